"""Sums over rows, block by block."""

import numpy as np
import pytest

from embedpipe.heads import _moments
from embedpipe.heads._moments import (
    Moments,
    Spectrum,
    drop_rounding_errors,
    joined,
    moments_of,
    spectrum_of_rows,
)


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_the_block_size_does_not_matter(block, monkeypatch):
    monkeypatch.setattr(_moments, "BLOCK_ROWS", block)
    rng = np.random.default_rng(0)
    codes = np.sort(rng.integers(4, size=50)) + (np.arange(50) >= 40)  # a class may have no row
    rows, weights = rng.normal(size=(50, 3)) + 100.0, rng.uniform(0.1, 2.0, size=50)
    found = moments_of(rows, codes, weights, 6, scatter=True, features=lambda part: part[:, :2])
    scatter = np.zeros((2, 2))
    for k in range(6):
        own, w = rows[codes == k, :2], weights[codes == k]
        assert found.counts[k] == pytest.approx(w.sum())
        mean = w @ own / w.sum() if len(own) else np.zeros(2)
        np.testing.assert_allclose(found.means[k], mean, rtol=1e-12)
        scatter += (w[:, None] * (own - mean)).T @ (own - mean)
    np.testing.assert_allclose(found.scatter, scatter, rtol=1e-9)


def test_moments_by_hand():
    rows = np.array([[0.0], [2.0], [5.0]], dtype=np.float32)
    moments = moments_of(rows, np.array([0, 0, 1]), np.ones(3), 2, scatter=True)
    assert moments.counts.tolist() == [2.0, 1.0]
    assert moments.means.tolist() == [[1.0], [5.0]]
    assert moments.scatter.tolist() == [[2.0]]


def test_joined_moments_by_hand():
    one = Moments(np.array([2.0]), np.array([[0.0]]), np.array([[0.0]]))
    other = Moments(np.array([2.0]), np.array([[4.0]]), np.array([[2.0]]))
    both = joined(one, other)
    assert (both.counts.tolist(), both.means.tolist()) == ([4.0], [[2.0]])
    assert both.scatter[0, 0] == pytest.approx(18.0)


def test_a_spectrum_by_hand():
    found = spectrum_of_rows(np.array([[3.0, 0.0, 0.0], [0.0, 0.0, 2.0]]))
    np.testing.assert_allclose(found.values, [4.0, 9.0])
    np.testing.assert_allclose(np.abs(found.axes), [[0, 1], [0, 0], [1, 0]], atol=1e-12)


def test_equal_rows_have_no_axes():
    rounding = Spectrum(np.array([1e-32]), np.array([[1.0], [0.0]]))
    assert drop_rounding_errors(rounding, 10.0).axes.shape == (2, 0)
    assert drop_rounding_errors(rounding, 1e-9).axes.shape == (2, 1)
