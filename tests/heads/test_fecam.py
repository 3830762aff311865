"""Mahalanobis distances with a covariance per class, compared with full matrices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.heads import FeCAMHead, load_head, save_head
from embedpipe.heads.fecam import ClassGaussian, ClassScatter


def rows_of(n, d=12, n_classes=3, seed=0):
    """Return rows of classes with different covariances."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % n_classes
    spreads = rng.normal(size=(n_classes, d, d)) / np.sqrt(d)
    noise = np.einsum("nd,nde->ne", rng.normal(size=(n, d)), spreads[codes])
    return (rng.normal(size=(n_classes, d))[codes] + noise).astype(np.float32), codes


def transformed(X, beta, normalize):
    """Return rows after Tukey's power, in float64."""
    X = X.astype(np.float64)
    if normalize:
        X = X / np.linalg.norm(X, axis=1, keepdims=True)
    X = np.sign(X) * np.abs(X) ** beta
    return X / np.linalg.norm(X, axis=1, keepdims=True) if normalize else X


def correlations(rows, weights, shrinkage):
    """Return the correlation matrix of the shrunk covariance of a class."""
    covariance = np.cov(rows.T, aweights=weights, bias=True)
    shrunk = covariance + shrinkage * np.diag(covariance).mean() * np.eye(rows.shape[1])
    deviations = np.sqrt(np.diag(shrunk))
    return shrunk / np.outer(deviations, deviations)


def squared_distances(train, y, weights, test, shrinkage):
    """Return (n, K) squared distances, computed with full matrices."""
    found = []
    for label in np.unique(y):
        own = y == label
        mean = np.average(train[own], axis=0, weights=weights[own])
        inverse = np.linalg.inv(correlations(train[own], weights[own], shrinkage))
        away = test - mean
        found.append(np.einsum("nd,de,ne->n", away, inverse, away))
    return np.stack(found, axis=1)


@pytest.mark.parametrize("n", [15, 60])  # fewer and more rows of a class than dimensions
@pytest.mark.parametrize(
    ("shrinkage", "beta", "normalize"), [(1.0, 0.5, True), (0.03, 1.0, False), (100.0, 0.7, True)]
)
def test_distances_equal_those_of_full_matrices(n, shrinkage, beta, normalize):
    X, y = rows_of(n + 40)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, size=n)
    head = FeCAMHead(shrinkage, beta=beta, normalize=normalize)
    head.fit(X[:n], y[:n], sample_weight=weights)
    expected = squared_distances(
        transformed(X[:n], beta, normalize),
        y[:n],
        weights,
        transformed(X[n:], beta, normalize),
        shrinkage,
    )
    found = -head._logits(X[n:].astype(np.float64), np.float64, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_array_equal(head.predict(X[n:]), expected.argmin(axis=1))
    by_temperature = np.exp(-(expected - expected.min(axis=1, keepdims=True)) / head.temperature_)
    np.testing.assert_allclose(
        head.predict_proba(X[n:]),
        by_temperature / by_temperature.sum(axis=1, keepdims=True),
        atol=1e-4,
    )


@pytest.mark.parametrize("n", [6, 15, 60])
def test_leaving_a_row_out_changes_only_its_class(n):
    X, y = rows_of(n, seed=2)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, size=n)
    head = FeCAMHead(1.0).fit(X, y, sample_weight=weights)
    sample = head._sample()
    rows = sample.rows.astype(np.float64)
    whole = -np.stack([gaussian.distances(rows) for _, gaussian in head._gaussians(1.0)], axis=1)
    left_out = head._left_out(sample, 1.0)
    for row in range(n):
        others = np.arange(n) != row
        again = FeCAMHead(1.0).fit(X[others], y[others], sample_weight=weights[others])
        at = int(np.flatnonzero(sample.digests == digest_of(X[row]))[0])
        gaussian = dict(again._gaussians(1.0))[y[row]]
        whole[at, y[row]] = -gaussian.distances(rows[at : at + 1])[0]
    np.testing.assert_allclose(left_out, whole, rtol=1e-6)


def digest_of(row):
    return FeCAMHead()._read(row[None], [0], None, reset=True).digests[0]


@pytest.mark.parametrize(("n", "least", "most"), [(18, 10.0, 1000.0), (1200, 1.0, 3.0)])
def test_fewer_rows_get_a_larger_shrinkage(n, least, most):
    X, y = rows_of(n, d=30)
    head = FeCAMHead().fit(X, y)
    assert least <= head.shrinkage_ <= most
    found = FeCAMHead(head.shrinkage_).fit(X, y)
    np.testing.assert_array_equal(head.predict_proba(X), found.predict_proba(X))


def test_the_state_of_a_class_is_smaller_than_its_rows():
    X, y = rows_of(12, d=500)
    head = FeCAMHead().fit(X, y)
    assert head.ranks_.tolist() == [3, 3, 3]
    assert head.axes_.shape == (9, 500)
    head.partial_fit(X[:6] + np.float32(0.5), y[:6])
    assert head.ranks_.tolist() == [5, 5, 5]
    many, labels = rows_of(90)
    assert FeCAMHead().fit(many, labels).ranks_.tolist() == [12, 12, 12]


def test_equal_rows_have_no_axes():
    X, y = rows_of(8, n_classes=2)
    X[y == 0] = X[0]
    weights = np.linspace(0.1, 0.9, 8)
    head = FeCAMHead().partial_fit(X[:4], y[:4], sample_weight=weights[:4])
    head.partial_fit(X[4:], y[4:], sample_weight=weights[4:])
    assert head.ranks_.tolist() == [0, 3]
    np.testing.assert_allclose(head.class_count_[0], weights[y == 0].sum())


def test_a_gaussian_of_one_row_by_hand():
    gaussian = ClassGaussian(
        ClassScatter(2.0, np.array([1.0, 0.0]), np.empty(0), np.empty((0, 2))), 0.5
    )
    # The identity times (1 + 0.5) / 0.5, at distance 2 from the mean.
    np.testing.assert_allclose(gaussian.distances(np.array([[3.0, 0.0]])), [3.0 * 4.0])
    # Removing a quarter of the weight at the mean changes nothing.
    np.testing.assert_allclose(gaussian.left_out(np.array([[1.0, 0.0]]), np.array([0.5])), [0.0])


def test_a_gaussian_by_hand():
    # Rows at -1 and 1 on the first axis: S = diag(2, 0), v = 1, S + 1 = diag(3, 1); its
    # correlation matrix is the identity.
    spread = ClassScatter.empty(2).with_rows(np.array([[-1.0, 0.0], [1.0, 0.0]]), np.ones(2))
    gaussian = ClassGaussian(spread, 1.0)
    np.testing.assert_allclose(gaussian.distances(np.array([[3.0, 4.0]])), [25.0])
    # Without the row at 1 there is one row, at -1: 2 times the squared distance, which is 4.
    np.testing.assert_allclose(gaussian.left_out(np.array([[1.0, 0.0]]), np.ones(1)), [8.0])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5), st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 2**32)
)
def test_the_scatter_of_batches_is_the_scatter_of_all(dimensions, sizes, seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(sum(sizes), dimensions)) * rng.uniform(0.01, 10.0, size=dimensions)
    weights = rng.uniform(0.1, 3.0, size=len(rows))
    spread = ClassScatter.empty(dimensions)
    for part in np.split(np.arange(len(rows)), np.cumsum(sizes)[:-1]):
        spread = spread.with_rows(rows[part], weights[part])
    mean = np.average(rows, axis=0, weights=weights)
    scatter = (weights[:, None] * (rows - mean)).T @ (rows - mean)
    assert spread.count == pytest.approx(weights.sum())
    np.testing.assert_allclose(spread.mean, mean, atol=1e-9)
    found = spread.axes.T @ (spread.values[:, None] * spread.axes)
    np.testing.assert_allclose(found, scatter, atol=1e-8 * max(scatter.max(), 1.0))
    assert len(spread.values) <= min(len(rows) - 1, dimensions)


def test_negative_numbers_keep_their_sign():
    X = np.array([[-4.0, 1.0], [-9.0, 1.0], [4.0, 1.0], [9.0, 1.0]], dtype=np.float32)
    head = FeCAMHead(normalize=False).fit(X, ["left", "left", "right", "right"])
    np.testing.assert_allclose(head.means_, [[-2.5, 1.0], [2.5, 1.0]])
    assert head.predict([[-1.0, 1.0], [1.0, 1.0]]).tolist() == ["left", "right"]


def test_rows_longer_than_float32_can_square():
    X, y = rows_of(30)
    X = X * np.float32(1e25)
    head = FeCAMHead(beta=1.0, normalize=False).fit(X, y)
    np.testing.assert_allclose(
        head.predict_proba(X),
        FeCAMHead(beta=1.0, normalize=False).fit(X / 1e25, y).predict_proba(X / 1e25),
        atol=1e-4,
    )


def test_partial_fit_continues_after_loading(tmp_path):
    X, y = rows_of(40)
    head = FeCAMHead().fit(X[:20], y[:20])
    again, _ = load_head(save_head(head, tmp_path / "head"))
    np.testing.assert_array_equal(
        again.partial_fit(X[20:], y[20:]).predict_proba(X),
        head.partial_fit(X[20:], y[20:]).predict_proba(X),
    )


def test_a_class_weight_multiplies_the_probability():
    X = [[0.0, 0.0], [2.0, 0.0], [4.0, 0.0], [6.0, 0.0]]
    y = ["low", "low", "high", "high"]
    head = FeCAMHead(beta=1.0, normalize=False, class_weight={"low": 3.0}).fit(X, y)
    np.testing.assert_allclose(head.predict_proba([[3.0, 1.0]]), [[0.25, 0.75]], rtol=1e-6)


def test_the_scatter_of_batches_by_hand():
    first = ClassScatter.empty(2).with_rows(np.array([[0.0, 1.0], [2.0, 1.0]]), np.ones(2))
    both = first.with_rows(np.array([[4.0, 1.0]]), np.ones(1))
    assert (both.count, both.mean.tolist()) == (3.0, [2.0, 1.0])
    np.testing.assert_allclose(both.values, [8.0])
