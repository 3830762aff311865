"""Sums over rows, block by block."""

import numpy as np
import pytest

from embedpipe.heads import _moments
from embedpipe.heads._moments import moments_of


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_blocks_are_nothing(block, monkeypatch):
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
