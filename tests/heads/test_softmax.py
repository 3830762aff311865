"""Softmax, log-loss and its gradient against SciPy."""

import numpy as np
import pytest
from scipy.special import log_softmax

from embedpipe.heads._arrays import log_losses, losses_and_residuals, mean_curvature, softmax


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_and_their_gradient(weighted):
    rng = np.random.default_rng(0)
    logits, codes = 30.0 * rng.normal(size=(3, 4, 7)), rng.integers(4, size=7)  # (F, K, n)
    counts = rng.uniform(size=(3, 7)) if weighted else None
    times = np.ones((3, 7)) if counts is None else counts
    likely = log_softmax(logits, axis=1)
    residuals = logits.copy()
    losses = losses_and_residuals(residuals, codes, counts)
    np.testing.assert_allclose(losses, -times * likely[:, codes, np.arange(7)], atol=1e-12)
    expected = (np.exp(likely) - np.eye(4)[codes].T) * times[:, None]
    np.testing.assert_allclose(residuals, expected, atol=1e-12)


def test_logits_that_would_overflow():
    logits = np.array([[1000.0, -1000.0], [0.0, 0.0]], dtype=np.float32)
    losses = losses_and_residuals(logits, np.array([1, 0]))
    assert losses.tolist() == [1000.0, 1000.0]
    assert logits.tolist() == [[1.0, -1.0], [-1.0, 1.0]]


def test_the_mean_curvature_by_hand():
    probabilities = softmax(np.log([[1.0, 1.0], [1.0, 3.0]]), axis=0)
    assert mean_curvature(probabilities) == pytest.approx((1 / 4 + 3 / 16) / 2)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("order", ["C", "F"])
def test_softmax_along_any_axis_in_place(axis, order):
    rng = np.random.default_rng(0)
    logits = np.array(300.0 * rng.normal(size=(5, 3, 4)), order=order)
    expected = np.exp(log_softmax(logits, axis=axis))
    found = softmax(logits, axis)
    assert found is logits
    np.testing.assert_allclose(found, expected, atol=1e-14)


def test_log_losses_leave_the_logits_alone():
    logits = np.array([[1000.0, 0.0], [0.0, np.log(3.0)], [0.0, -np.inf]])
    before = logits.copy()
    np.testing.assert_allclose(log_losses(logits, np.array([1, 1, 0])), [1000.0, np.log(4 / 3), 0])
    np.testing.assert_array_equal(logits, before)
