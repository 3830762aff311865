"""The two solvers of ridge regression give the same result."""

import numpy as np
import pytest

from embedpipe.heads._labelled import Sample
from embedpipe.heads._moments import moments_of
from embedpipe.heads.ridge import CholeskySolver, SpectralSolver

SHARES = 10.0 ** np.arange(-6.0, 1.0)


def fits_of(n=300, d=20, noise=1.0):
    rng = np.random.default_rng(0)
    codes = np.sort(rng.integers(3, size=n))
    rows = rng.normal(size=(3, d))[codes] + noise * rng.normal(size=(n, d)) + 5.0
    weights = rng.uniform(0.5, 2.0, size=n)
    moments = moments_of(rows, codes, weights, 3, scatter=True)
    some = np.sort(rng.permutation(n)[:50])
    sample = Sample(rows[some], codes[some], weights[some], some.astype(np.uint64), False)
    return SpectralSolver(moments, sample), CholeskySolver(moments, sample)


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e4])
def test_both_solvers_give_the_same_fit(alpha):
    spectral, factor = fits_of()
    assert spectral.energy == pytest.approx(factor.energy)
    one, other = spectral.at(alpha), factor.at(alpha)
    np.testing.assert_allclose(one.left_out, other.left_out, atol=1e-9)
    for mine, theirs in zip(spectral.weights(one), factor.weights(other), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-9)


@pytest.mark.parametrize("noise", [0.1, 1.0, 5.0])
def test_both_solvers_choose_the_same_penalty(noise):
    spectral, factor = fits_of(noise=noise)
    every = np.arange(50)
    chosen = spectral.best(SHARES, every)
    assert factor.best(SHARES, every).alpha == pytest.approx(chosen.alpha)
    losses = [spectral.loss(spectral.at(spectral.energy * share), every) for share in SHARES]
    assert spectral.loss(chosen, every) == pytest.approx(min(losses), rel=1e-4)
