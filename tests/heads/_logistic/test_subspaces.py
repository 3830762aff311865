"""The solver in growing subspaces, compared with Newton's method in float64."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.linalg import solve
from scipy.special import log_softmax, softmax
from threadpoolctl import threadpool_limits

from embedpipe.heads._logistic import subspaces
from embedpipe.heads._logistic.problem import CentredRows, Problem
from embedpipe.heads._logistic.subspaces import solve_in_subspaces


def rows_of(X, dtype=np.float32):
    return CentredRows(X.astype(dtype), X.mean(axis=0).astype(dtype))


def objective(weights, intercepts, X, codes, C, counts):
    logits = X @ weights.T + intercepts
    losses = -log_softmax(logits, axis=1)[np.arange(len(X)), codes]
    return float((counts * losses).sum() + (weights**2).sum() / (2.0 * C))


def best(X, codes, K, C, counts):
    """Return the minimum by Newton's method with the full Hessian in float64."""
    n, d = X.shape
    Z = np.column_stack([np.ones(n), X - X.mean(axis=0)])  # (n, 1 + d)
    penalty = np.tile(np.append(0.0, np.full(d, 1.0 / C)), K)
    flat = np.zeros(K * (d + 1))

    def value(flat):
        W = flat.reshape(K, -1)
        return objective(W[:, 1:], W[:, 0], Z[:, 1:], codes, C, counts)

    for _ in range(60):
        p = softmax(Z @ flat.reshape(K, -1).T, axis=1)  # (n, K)
        gradient = ((counts[:, None] * (p - np.eye(K)[codes])).T @ Z).ravel() + penalty * flat
        spread = p[:, :, None] * np.eye(K) - p[:, :, None] * p[:, None, :]  # (n, K, K)
        hessian = np.einsum("n,nkl,ni,nj->kilj", counts, spread, Z, Z, optimize=True)
        hessian = hessian.reshape(len(flat), -1) + np.diag(penalty + 1e-9)
        step, length = solve(hessian, gradient, assume_a="pos"), 1.0
        while value(flat - length * step) > value(flat) and length > 1e-6:
            length /= 2.0
        flat = flat - length * step
        if gradient @ step < 1e-12 * value(flat):
            break
    return value(flat)


def gap(found, X, codes, K, C, counts):
    centred = X - X.mean(axis=0)
    value = objective(found.weights, found.intercepts, centred, codes, C, counts)
    return value / best(X, codes, K, C, counts) - 1.0


def solved(X, codes, K, C, *, counts=None, start=None, tolerance=7e-4, dtype=np.float32):
    return solve_in_subspaces(
        Problem(rows_of(X, dtype), codes, K, counts),
        C,
        start=start,
        tolerance=tolerance,
        max_steps=1000,
    )


def problem(n, d, K, seed=0, *, noise=1.0):
    rng = np.random.default_rng(seed)
    spectrum = np.arange(1, d + 1) ** -0.7
    codes = np.arange(n) % K
    centres = rng.normal(size=(K, d)) * spectrum
    X = centres[codes] + noise * rng.normal(size=(n, d)) * spectrum + 3.0
    return X.astype(np.float32).astype(np.float64), codes


@pytest.mark.parametrize("C", [0.1, 10.0, 1000.0])
@pytest.mark.parametrize(("n", "d", "K"), [(150, 50, 4), (40, 80, 3), (200, 30, 2), (80, 8, 20)])
def test_the_objective_reaches_the_minimum(n, d, K, C):
    X, codes = problem(n, d, K)
    found = solved(X, codes, K, C, dtype=np.float32 if C < 100.0 else np.float64)
    assert found.converged
    assert -1e-6 < gap(found, X, codes, K, C, np.ones(n)) < 1e-5


@settings(max_examples=20, deadline=None)
@example(seed=4, n=45, d=4, K=4, C=0.01, weighted=True)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 60),
    d=st.integers(1, 30),
    K=st.integers(2, 6),
    C=st.sampled_from([0.01, 1.0, 100.0]),
    weighted=st.booleans(),
)
def test_random_problems_reach_the_minimum(seed, n, d, K, C, weighted):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)).astype(np.float32).astype(np.float64)
    X[n // 2] = X[0]
    codes = np.concatenate([np.arange(min(K, n)), rng.integers(K, size=max(0, n - K))])
    K = int(codes.max()) + 1
    counts = rng.integers(1, 5, size=n).astype(float) if weighted else np.ones(n)
    found = solved(X, codes, K, C, counts=counts if weighted else None)
    assert gap(found, X, codes, K, C, counts) < 1e-5


def test_rounding_errors_are_not_directions():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(6, 6)))[0].T.astype(np.float32)
    directions = (rng.normal(size=(4, 6)) @ basis).astype(np.float32)
    basis[2] += 1e-4 * basis[1]  # a little less than orthonormal
    assert len(subspaces._orthonormal(directions, basis)) == 0
    halves = subspaces._orthonormal(directions, basis[:3])
    assert len(halves) == 3  # four directions, of which only three are left
    assert np.abs(halves @ halves.T - np.eye(3)).max() < 1e-6
    assert np.abs(halves @ basis[:3].T).max() < 1e-4


def test_float64_reaches_the_tolerance():
    X, codes = problem(200, 50, 3)
    found = solved(X, codes, 3, 10.0, tolerance=1e-6, dtype=np.float64)
    assert found.converged
    assert gap(found, X, codes, 3, 10.0, np.ones(200)) < 1e-10


def test_a_condensed_basis_reaches_the_minimum(monkeypatch):
    X, codes = problem(200, 60, 3)
    whole = solved(X, codes, 3, 100.0)
    monkeypatch.setattr(subspaces, "MAX_WIDTH", 3)
    condensed = solved(X, codes, 3, 100.0)
    assert condensed.converged
    assert condensed.steps > whole.steps
    assert gap(condensed, X, codes, 3, 100.0, np.ones(200)) < 1e-5


def test_a_start_at_the_solution_needs_few_steps():
    X, codes = problem(300, 60, 4)
    first = solved(X, codes, 4, 10.0, tolerance=1e-4)
    second = solved(X, codes, 4, 10.0, start=(first.weights, first.intercepts))
    assert second.converged
    assert second.steps <= 2
    np.testing.assert_allclose(second.weights, first.weights, atol=1e-2)


def test_a_start_nearby_needs_fewer_steps():
    X, codes = problem(400, 40, 4)
    cold = solved(X, codes, 4, 100.0)
    near = solved(X[:390], codes[:390], 4, 100.0)
    warm = solved(X, codes, 4, 100.0, start=(near.weights, near.intercepts))
    assert warm.steps < cold.steps
    assert gap(warm, X, codes, 4, 100.0, np.ones(400)) < 1e-5


def test_a_class_without_rows_has_a_tiny_probability():
    X, codes = problem(60, 10, 2)
    found = solved(X, codes, 3, 1.0)
    likely = softmax((X - X.mean(axis=0)) @ found.weights.T + found.intercepts, axis=1)
    assert likely[:, 2].max() < 1e-3


@pytest.mark.parametrize("C", [1.0, 1e6])
def test_equal_rows_are_accepted(C):
    found = solved(np.ones((10, 3)), np.array([0] * 7 + [1] * 3), 2, C)
    assert found.converged
    assert not found.weights.any()
    np.testing.assert_allclose(np.diff(found.intercepts), np.log(3 / 7), atol=1e-3)


def test_separable_classes_are_accepted():
    X, codes = problem(100, 50, 4, noise=0.01)
    found = solved(X, codes, 4, 1e5)
    assert np.isfinite(found.weights).all()
    logits = (X - X.mean(axis=0)) @ found.weights.T + found.intercepts
    assert logits.argmax(axis=1).tolist() == codes.tolist()


def test_too_few_steps_are_reported():
    X, codes = problem(200, 60, 4)
    few = Problem(rows_of(X), codes, 4, None)
    found = solve_in_subspaces(few, 1000.0, start=None, tolerance=7e-4, max_steps=3)
    assert not found.converged


def test_the_number_of_threads_does_not_change_a_bit():
    X, codes = problem(6000, 700, 6)  # 25 million multiplications: shared by threads
    with threadpool_limits(1):
        one = solved(X, codes, 6, 10.0)
    with threadpool_limits(2):
        two = solved(X, codes, 6, 10.0)
    np.testing.assert_array_equal(one.weights, two.weights)
    np.testing.assert_array_equal(one.intercepts, two.intercepts)
