"""The smallest difference that a comparison can find."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from .intervals import checked_share
from .paired import Comparison, chances_of_sums, declared_different

__all__ = ["detectable_difference"]

DRAWS = 2_000
"""Simulated studies for each number of pairs; the power has a standard error of 0.9 points."""

MOST_PAIRS = 30
"""Number of pairs above which the result in standard errors no longer changes."""


def detectable_difference(
    found: Comparison, *, tests: int = 1, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Return the smallest true difference that this comparison would declare with a given power.

    The result uses the observed spread and the number of independent pairs, so it says what a study
    of this size can show. It does not depend on the observed difference.

    Parameters
    ----------
    found
        A comparison of two strategies over S seeds.
    tests
        Number of comparisons with a common correction by Holm's method.
    power
        Probability that a difference of this size is declared significant.
    alpha
        Significance level of the test.

    Returns
    -------
    float
        The difference in the unit of the values; NaN without a test or without any spread.

    Notes
    -----
    The power is simulated with normal differences and the complete rule of `decisive_p`: the paired
    t-test, doubled below five pairs, and the signed-rank test. With identical runs, the standard
    error is that of `paired_comparison`, with Kish's effective sample size. The simulation takes
    less than half a second for each number of pairs and tests; its result is kept.

    Examples
    --------
    >>> from embedpipe.experiments.statistics import paired_comparison
    >>> five = paired_comparison([0.84, 0.86, 0.85, 0.88, 0.87], [0.80, 0.84, 0.82, 0.85, 0.83])
    >>> round(detectable_difference(five), 3)  # 1.8 standard deviations
    0.015
    >>> round(detectable_difference(five, tests=10), 3)
    0.027
    """
    power, alpha = checked_share(power, "power"), checked_share(alpha, "alpha")
    if tests < 1:
        raise UsageError(f"tests is {tests!r}: give the number of comparisons, at least 1.")
    if found.reason is not None or not found.standard_error > 0:
        return float("nan")
    k = min(found.independent, MOST_PAIRS)
    return found.standard_error * float(np.sqrt(k)) * _standardised(k, tests, power, alpha)


@lru_cache(maxsize=256)
def _standardised(k: int, tests: int, power: float, alpha: float) -> float:
    """Return the detectable mean of k normal differences with standard deviation 1."""
    draws = np.random.default_rng(0).standard_normal((DRAWS, k))
    table = _signed_rank_table(k)

    def reached(mean: float) -> bool:
        return bool(_declared(draws + mean, table, tests, alpha).mean() >= power)

    low, high = 0.0, 1.0
    while not reached(high):
        low, high = high, 2 * high
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _declared(
    differences: NDArray[np.float64], table: NDArray[np.float64], tests: int, alpha: float
) -> NDArray[np.bool_]:
    """Return a (B,) mask of the significant studies among (B, k) differences."""
    from scipy.special import stdtr

    k = differences.shape[1]
    errors = differences.std(axis=1, ddof=1) / np.sqrt(k)  # (B,)
    p_t = 2 * stdtr(k - 1, -np.abs(differences.mean(axis=1) / errors))  # (B,)
    ranks = np.abs(differences).argsort(axis=1).argsort(axis=1) + 1  # (B, k)
    positive = (ranks * (differences > 0)).sum(axis=1)  # (B,)
    return declared_different(np.minimum(tests * p_t, 1.0), table[positive], k, alpha)


def _signed_rank_table(k: int) -> NDArray[np.float64]:
    """Return the exact p-value for each sum of positive ranks of k differences without ties."""
    chances = chances_of_sums(np.arange(1, k + 1))
    far = np.abs(2 * np.arange(chances.size) - (chances.size - 1))
    return np.array([min(1.0, float(chances[far >= each].sum())) for each in far])
