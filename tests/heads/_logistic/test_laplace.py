"""Draws of the Laplace approximation, compared with the full curvature and with results by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from threadpoolctl import threadpool_limits

from embedpipe.errors import LabelError, UsageError
from embedpipe.heads import LogisticHead
from embedpipe.heads._logistic import laplace as laplace_module
from embedpipe.heads._logistic.laplace import Laplace, LaplacePosterior


def covariance(laplace, points):
    """Return the exact (k K, k K) covariance of the logits of (k, d) points."""
    d, K = len(laplace.mean), len(laplace.intercept)
    units = np.eye((d + 1) * K).reshape(-1, d + 1, K)  # the answer is linear in the noise
    weights, shift = laplace.deviations(units)  # (d, s, K), (s, K)
    logits = np.tensordot(points, weights, axes=1) + shift  # (k, s, K)
    flat = logits.transpose(0, 2, 1).reshape(len(points) * K, -1)
    return flat @ flat.T


def in_full(rows, probabilities, precision, points):
    """The same from the inverse of the whole curvature, d K by d K."""
    centred = np.column_stack([rows - rows.mean(axis=0), np.ones(len(rows))])
    K = probabilities.shape[1]
    curvature = precision * np.eye(centred.shape[1] * K)
    for x, p in zip(centred, probabilities, strict=True):
        curvature += np.kron(np.outer(x, x), np.diag(p) - np.outer(p, p))
    at = np.column_stack([points - rows.mean(axis=0), np.ones(len(points))])
    jacobian = np.kron(at, np.eye(K))  # (k K, d K)
    return jacobian @ np.linalg.inv(curvature) @ jacobian.T


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 9),
    d=st.integers(1, 6),
    K=st.integers(1, 4),
    precision=st.sampled_from([1e-3, 1.0, 50.0]),
)
def test_the_approximation_is_exact_for_equal_probabilities(seed, n, d, K, precision):
    rng = np.random.default_rng(seed)
    rows, points = rng.normal(size=(n, d)), rng.normal(size=(3, d))
    rows[n // 2] = rows[0]
    probabilities = np.repeat(rng.dirichlet(np.ones(K))[None], n, axis=0)
    found = covariance(Laplace.fit(rows, probabilities, precision), points)
    expected = in_full(rows, probabilities, precision, points)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9 / precision)


def test_two_classes_worked_out_by_hand():
    # Rows +1 and -1; p (1 - p) is the same q for both. scikit-learn's one weight w has precision
    # 1/C + 2 q, and so has the intercept with the prior of a weight: the log-odds at x have the
    # variance (1 + x²) / (1/C + 2 q).
    head = LogisticHead(C=4.0, tol=1e-9).fit([[1.0], [-1.0]], [0, 1])
    p = head.predict_proba([[1.0], [-1.0]])
    q = p[0, 0] * p[0, 1]
    assert head.prior_precision == 0.5
    found = covariance(Laplace.fit(np.array([[1.0], [-1.0]]), p, 0.5), np.array([[3.0]]))
    variance = found[0, 0] + found[1, 1] - 2 * found[0, 1]
    assert variance == pytest.approx((1 + 9) / (1 / 4 + 2 * q), rel=1e-9)


def test_draws_have_the_mean_and_the_covariance_of_the_distribution():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 4)), np.arange(12) % 3
    head = LogisticHead(C=2.0, normalize=False).fit(X, y)
    points = rng.normal(size=(2, 4))
    draws = head.posterior(X, 40_000, rng).predict_proba(points)  # (S, 2, 3)
    logits = np.log(draws.astype(np.float64))
    gaps = (logits[:, :, :2] - logits[:, :, 2:]).reshape(len(draws), 4)  # what softmax leaves
    contrast = np.kron(np.eye(2), np.array([[1, 0, -1], [0, 1, -1]]))  # (4, 6)
    around = Laplace.fit(X, head.predict_proba(X), head.prior_precision)
    expected = contrast @ covariance(around, points) @ contrast.T
    fitted = contrast @ (points @ head.coef_.T + head.intercept_).reshape(6)
    spread = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(gaps.mean(axis=0) / spread, fitted / spread, atol=0.02)
    off = np.cov(gaps.T) / np.outer(spread, spread) - expected / np.outer(spread, spread)
    assert np.abs(off).max() < 0.03


@pytest.fixture
def problem():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(30, 8)).astype(np.float32)
    return X, np.arange(30) % 3


def drawn(head, X, points, S=20, seed=0):
    return head.posterior(X, S, np.random.default_rng(seed)).predict_proba(points)


def test_draws_depend_on_the_seed(problem):
    head = LogisticHead(C=1.0).fit(*problem)
    first = drawn(head, problem[0], problem[0])
    assert first.shape == (20, 30, 3)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, drawn(head, problem[0], problem[0]))
    assert np.abs(first - drawn(head, problem[0], problem[0], seed=1)).max() > 0.01
    np.testing.assert_allclose(first.sum(axis=2), 1, rtol=1e-5)


def test_order_and_threads_do_not_change_the_draws(problem):
    X, y = problem
    head = LogisticHead(C=1.0).fit(X, y)
    order = np.random.default_rng(2).permutation(30)
    with threadpool_limits(1):
        one = drawn(head, X, X)
    with threadpool_limits(2):
        two = drawn(head, X[order], X)
    np.testing.assert_array_equal(one, two)


def test_the_chunk_size_does_not_change_the_draws(problem, monkeypatch):
    X, y = problem
    head = LogisticHead(C=1.0).fit(X, y)
    together = drawn(head, X, X)
    monkeypatch.setattr(laplace_module, "CHUNK_VALUES", 60)  # two draws of (8 + 1) x 3
    np.testing.assert_allclose(drawn(head, X, X), together, atol=1e-6)


def test_all_blocks_use_the_same_draws(problem):
    X, y = problem
    posterior = LogisticHead(C=1.0).fit(X, y).posterior(X, 20, np.random.default_rng(0))
    whole = posterior.predict_proba(X)
    parts = [posterior.predict_proba(X[start : start + 7]) for start in range(0, 30, 7)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-6)


def test_more_labels_reduce_the_variance_along_their_directions():
    rng = np.random.default_rng(3)
    X = np.column_stack([rng.normal(size=(200, 2)), np.zeros(200)])
    y = (X[:, 0] > 0).astype(int)
    points = np.array([[0.3, 0.3, 0.0], [0.3, 0.3, 3.0]])

    def doubt(n):
        head = LogisticHead(C=10.0, normalize=False).fit(X[:n], y[:n])
        return drawn(head, X[:n], points, S=500)[:, :, 0].std(axis=0)

    few, many = doubt(6), doubt(200)
    assert many[0] < few[0]
    assert many[1] > 2 * many[0]


def test_the_norm_of_a_row_matters_only_without_normalize(problem):
    X, y = problem
    head = LogisticHead(C=1.0).fit(X, y)
    expected = drawn(head, X, X)
    for scale in (np.float32(1e-25), np.float32(2.0**90)):
        np.testing.assert_allclose(drawn(head, X * scale, X * scale), expected, atol=1e-5)
    raw = LogisticHead(C=1.0, normalize=False).fit(X, y)
    assert np.abs(drawn(raw, X, 5 * X) - drawn(raw, X, X)).max() > 0.01


def test_products_that_overflow_are_done_again(problem):
    X, y = problem
    head = LogisticHead(C=1e6).fit(X, y)
    posterior = head.posterior(X, 20, np.random.default_rng(0))
    longest = np.float32(1e37) * X[:3] / np.abs(X[:3]).max()
    np.testing.assert_allclose(
        posterior.predict_proba(longest), posterior.predict_proba(X[:3]), atol=1e-3
    )


def test_a_row_of_zeros_has_no_direction(problem):
    X, y = problem
    head = LogisticHead(C=1.0).fit(X, y)
    assert np.isfinite(drawn(head, X, np.zeros((1, 8)))).all()


def test_with_one_class_nothing_is_uncertain():
    X = np.eye(3)
    head = LogisticHead().fit(X, ["hat"] * 3)
    assert head.prior_precision == 1.0
    assert drawn(head, X, X, S=2).tolist() == [[[1.0]] * 3] * 2


@pytest.mark.parametrize(("n", "d", "K"), [(120, 40, 60), (30, 400, 15)])
def test_many_classes_and_many_dimensions(n, d, K):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, d)).astype(np.float32), np.arange(n) % K
    found = drawn(LogisticHead(C=100.0).fit(X, y), X, X[:5], S=4)
    assert found.shape == (4, 5, K)
    np.testing.assert_allclose(found.sum(axis=2), 1, rtol=1e-5)


def test_features_are_scaled_rows_and_a_one():
    head = LogisticHead(C=10.0).fit([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], ["x", "y", "z"])
    assert head.prior_precision == pytest.approx(0.1)
    rows = np.array([[3, 4], [0, 0], [3e-25, 4e-25]], dtype=np.float32)
    found = head.features(rows)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.6, 0.8, 1], [0, 0, 1], [0.6, 0.8, 1]], rtol=1e-6)
    assert head.features([[3.0, 4.0]]).dtype == np.float64
    raw = LogisticHead(C=10.0, normalize=False).fit([[1.0, 0.0], [0.0, 1.0]], ["x", "y"])
    assert raw.features([[3.0, 4.0]]).tolist() == [[3.0, 4.0, 1.0]]
    logits = found @ np.column_stack([head.coef_, head.intercept_]).T
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p, head.predict_proba(rows), atol=1e-6)


@pytest.mark.parametrize("n_samples", [0, -1, 2.0, True, "8"])
def test_a_number_of_draws_without_meaning(problem, n_samples):
    with pytest.raises(UsageError) as error:
        LogisticHead(C=1.0).fit(*problem).posterior(problem[0], n_samples, None)
    assert str(error.value) == f"n_samples is {n_samples!r}: give a whole number, at least 1."


def test_rows_that_cannot_be_drawn_from(problem):
    X, y = problem
    head = LogisticHead(C=1.0).fit(X, y)
    rng = np.random.default_rng(0)
    with pytest.raises(LabelError) as error:
        head.posterior(X[:0], 3, rng)
    assert str(error.value) == "X has no rows: give the labelled rows of the head."
    broken = X.copy()
    broken[4, 1] = np.nan
    for call in (
        lambda: head.posterior(broken, 3, rng),
        lambda: head.posterior(X, 3, rng).predict_proba(broken),
        lambda: head.features(broken),
    ):
        with pytest.raises(LabelError) as error:
            call()
        assert str(error.value) == (
            "row 4 of X holds NaN or infinity: embed the item again or leave it out."
        )
    with pytest.raises(NotFittedError):
        LogisticHead().posterior(X, 3, rng)


def test_probabilities_of_given_weights():
    weights = np.array([[[1.0, 0.0], [0.0, 0.0]]], dtype=np.float32) * np.log(3)
    posterior = LaplacePosterior(weights, np.zeros((2, 2)), normalize=True)
    found = posterior.predict_proba([[5.0]])
    np.testing.assert_allclose(found, [[[0.75, 0.25]], [[0.5, 0.5]]], atol=1e-6)
