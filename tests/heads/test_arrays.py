"""Norms, digests and folds of rows, softmax and log-loss."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from embedpipe.heads._arrays import (
    NEVER_SCORED,
    assign_folds,
    log_losses,
    losses_and_residuals,
    mean_curvature,
    row_digests,
    row_norms,
    softmax,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(2, 6))
def test_every_fold_leaves_every_scored_class_in_training(labels, n_folds):
    codes = np.unique(labels, return_inverse=True)[1]
    digests = row_digests(np.arange(len(codes), dtype=float)[:, None])
    folds = assign_folds(digests, codes, n_folds)
    for code in range(codes.max() + 1):
        own = folds[codes == code]
        if len(own) == 1:
            assert own.tolist() == [NEVER_SCORED]
            continue
        sizes = np.bincount(own, minlength=n_folds)
        assert sizes.max() - sizes.min() <= 1
        assert sizes.max() < len(own)
    scored = np.bincount(folds[folds >= 0], minlength=n_folds)
    assert scored.max() - scored.min() <= 1


def test_folds_depend_on_content_not_order():
    X = np.array([[1.0], [2.0], [1.0], [3.0], [0.0], [-0.0], [5.0]])
    codes = np.array([0, 0, 0, 0, 1, 1, 1])
    folds = assign_folds(row_digests(X), codes, 3)
    assert folds[0] == folds[2]
    assert folds[4] == folds[5] != folds[6]
    order = np.array([6, 2, 0, 3, 5, 1, 4])
    again = assign_folds(row_digests(X[order]), codes[order], 3)
    np.testing.assert_array_equal(again, folds[order])


def test_norms_beyond_the_range_of_float32():
    assert row_norms(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [5.0, 1.0]
    for scale in (1.0, 1e-30, 1e30):
        rows = np.array([[3.0 * scale, 4.0 * scale]], dtype=np.float32)
        assert row_norms(rows)[0] / scale == pytest.approx(5.0)


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


def test_log_losses_do_not_change_the_logits():
    logits = np.array([[1000.0, 0.0], [0.0, np.log(3.0)], [0.0, -np.inf]])
    before = logits.copy()
    np.testing.assert_allclose(log_losses(logits, np.array([1, 1, 0])), [1000.0, np.log(4 / 3), 0])
    np.testing.assert_array_equal(logits, before)
