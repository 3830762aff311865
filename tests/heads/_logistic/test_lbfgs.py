"""The minimiser on functions whose minimum is known."""

import numpy as np
import pytest

from embedpipe.heads._logistic.lbfgs import minimise


def quadratic(matrix, target):
    def objective(x):
        pull = matrix @ (x - target)
        return float((x - target) @ pull) / 2.0, pull

    return objective


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_ill_conditioned_quadratic(dtype):
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    matrix = ((axes * np.logspace(-3, 0, 12)) @ axes.T).astype(dtype)
    target = rng.normal(size=12).astype(dtype)
    found = minimise(quadratic(matrix, target), np.zeros(12, dtype), tolerance=1e-5, max_steps=300)
    assert found.converged
    assert np.linalg.norm(matrix @ (found.point - target)) <= 2e-5
    assert found.point.dtype == dtype


def test_steps_that_are_too_long_are_halved():
    steep = 50.0  # the gradient step overshoots 50-fold
    found = minimise(
        lambda x: (float(steep * (x @ x) / 2.0), steep * x),
        np.ones(3),
        tolerance=1e-9,
        max_steps=50,
    )
    assert found.converged
    np.testing.assert_allclose(found.point, 0.0, atol=1e-10)


def test_the_limit_of_steps_is_kept_and_reported():
    matrix = np.diag(np.logspace(-4, 0, 8))
    start = np.zeros(8)
    found = minimise(quadratic(matrix, np.ones(8)), start, tolerance=1e-12, max_steps=3)
    assert (found.steps, found.converged) == (3, False)
    assert start.tolist() == [0.0] * 8


def test_a_wrong_gradient_does_not_loop_forever():
    found = minimise(lambda x: (float(x @ x), -2.0 * x), np.ones(2), tolerance=1e-9, max_steps=100)
    assert not found.converged
    assert found.steps <= 100
