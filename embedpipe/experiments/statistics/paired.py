"""Comparisons of two strategies, paired by seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import UsageError
from .intervals import checked_share, cut
from .runs import (
    DECIMALS,
    LEAST_RUNS,
    Ids,
    checked_runs,
    count_runs,
    effective_size,
    independent_pairs,
)

__all__ = ["Comparison", "decisive_p", "declared_different", "paired_comparison", "signed_rank_p"]

NORMALITY_UNCHECKED = 5
"""Number of independent pairs below which the p-value of the t-test is doubled.

See docs/explanation/statistics.md."""

NO_SEEDS = "no common seeds"
ONE_SEED = "one seed"
IDENTICAL = "identical runs"
FEW = "fewer than three distinct runs"
LINKED = "fewer than three independent pairs"
NO_SPREAD = "identical differences"
"""Reasons for a missing test."""


@dataclass(frozen=True)
class Comparison:
    """The difference of two strategies a and b over the same seeds.

    Attributes
    ----------
    difference
        Mean of ``a - b``; NaN without a pair.
    low, high
        Student's interval of the mean difference; NaN without a test, and if all differences are 0.
    p_t
        Two-sided p-value of the paired t-test, the primary test; NaN without a test.
    p_wilcoxon
        Two-sided exact p-value of the signed-rank test, which does not assume normal differences;
        NaN below three independent pairs. The minimum p-value for n independent pairs is 2^(1 - n).
    n
        Number of pairs without NaN.
    wins, ties, losses
        Number of pairs where a is larger than b, equal to b, and smaller than b.
    p_holm
        `p_t` corrected for all comparisons of the table; None without a correction.
    independent
        Number of independent pairs; seeds with a common run count as one pair.
    distinct
        Numbers of distinct runs of a and b.
    reason
        Reason for a missing test, such as ``"identical runs"``; None with a test.
    standard_error
        Standard error of the mean difference; NaN without a test.
    """

    difference: float
    low: float
    high: float
    p_t: float
    p_wilcoxon: float
    n: int
    wins: int
    ties: int
    losses: int
    p_holm: float | None = None
    independent: int = 0
    distinct: tuple[int, int] = (0, 0)
    reason: str | None = None
    standard_error: float = float("nan")

    @property
    def p(self) -> float:
        """The decisive p-value, see `decisive_p`; NaN without a test."""
        p = self.p_t if self.p_holm is None else self.p_holm
        return float(decisive_p(p, self.p_wilcoxon, self.independent))

    def significant(self, alpha: float = 0.05) -> bool:
        """Return whether the difference is significant: whether `p` is at most `alpha`."""
        return bool(self.p <= alpha)


def decisive_p(p: ArrayLike, p_wilcoxon: ArrayLike, n: ArrayLike) -> NDArray[np.float64]:
    """Return the decisive p-values, from the p-values of the t-test and the signed-rank test.

    `n` is the number of independent pairs. A decisive p-value is the p-value of the t-test, doubled
    below five pairs. If the p-value of the signed-rank test is larger, and also larger than its
    minimum for `n` pairs, the signed-rank test is decisive instead.

    Examples
    --------
    >>> decisive_p([0.03, 0.03, 0.06], [0.0625, 0.125, 0.0625], 5).tolist()
    [0.03, 0.125, 0.06]
    >>> float(decisive_p(0.01, 0.25, 3))
    0.02
    """
    count = np.asarray(n, dtype=np.float64)
    signs = np.asarray(p_wilcoxon, dtype=np.float64)
    by_t = np.asarray(p, dtype=np.float64) * np.where(count < NORMALITY_UNCHECKED, 2.0, 1.0)
    disagrees = signs > 2.0 ** (1.0 - count) * (1 + 1e-9)
    return np.minimum(np.where(disagrees, np.maximum(by_t, signs), by_t), 1.0)


def declared_different(
    p: ArrayLike, p_wilcoxon: ArrayLike, n: ArrayLike, alpha: float = 0.05
) -> NDArray[np.bool_]:
    """Return a mask of the differences that are significant in both tests.

    The p-value of the signed-rank test must be at most `alpha`, or equal to its minimum for the
    number of pairs. So a single seed cannot make a difference significant. For the arguments see
    `decisive_p`.

    Examples
    --------
    >>> declared_different([0.03, 0.03, 0.06], [0.0625, 0.125, 0.0625], 5).tolist()
    [True, False, False]
    """
    return np.asarray(decisive_p(p, p_wilcoxon, n) <= alpha)


def paired_comparison(
    a: ArrayLike,
    b: ArrayLike,
    *,
    level: float = 0.95,
    runs: tuple[ArrayLike | None, ArrayLike | None] | None = None,
    within: tuple[float, float] | None = None,
) -> Comparison:
    """Compare two strategies by seed; identical runs are one observation.

    Parameters
    ----------
    a, b
        (S,) values of the same S seeds in the same order; pairs with NaN are left out. Differences
        are rounded to 12 decimals.
    level
        Confidence level.
    runs
        (S,) run numbers of a and of b, for example columns of `prefix_runs`. By default seeds with
        equal values have the same run, for a and for b separately.
    within
        Minimum and maximum of the difference; the interval is clipped.

    Returns
    -------
    Comparison
        The comparison of ``a - b``. A test needs three distinct runs of a, three of b, and three
        independent pairs. Equal differences other than 0 are not tested. Without a test, `reason`
        is set. If all differences are 0, both p-values are 1, and there is no interval.

    Notes
    -----
    Seeds with the same run of a, or the same run of b, are one group. The standard error is sd /
    √m: sd is the standard deviation of the k group means, and m is Kish's effective sample size of
    the groups. The t-test has k - 1 degrees of freedom (Ibragimov, Müller 2010, JBES 28). Without
    identical runs this is the ordinary paired t-test. The p-values hold for other seeds with the
    same dataset and test items, not for other datasets. O(S^3) time.

    Examples
    --------
    >>> found = paired_comparison([0.84, 0.86, 0.85, 0.88], [0.80, 0.84, 0.82, 0.85])
    >>> round(found.difference, 4), round(found.p_t, 4), found.p_wilcoxon, found.wins
    (0.03, 0.0052, 0.125, 4)
    >>> found = paired_comparison([0.86] * 5, [0.80, 0.84, 0.82, 0.85, 0.81])
    >>> round(found.difference, 4), found.p, found.reason
    (0.036, nan, 'identical runs')
    """
    first, second, ids = _pairs(a, b, runs)  # each (n,)
    level = checked_share(level, "level")
    differences = np.round(first - second, DECIMALS)  # (n,)
    n = len(differences)
    groups = independent_pairs(*ids)  # (n,)
    sizes = np.bincount(groups)  # (k,)
    means = np.round(np.bincount(groups, differences) / sizes, DECIMALS)  # (k,)
    distinct = count_runs(ids[0]), count_runs(ids[1])
    reason = _missing_reason(n, distinct, means)
    p_t = low = high = error = float("nan")
    mean = float(np.mean(differences)) if n else float("nan")
    if reason is None:
        error = float(means.std(ddof=1)) / np.sqrt(effective_size(sizes))
        p_t, half = _student(mean, error, len(means), level)
        low, high = cut(mean - half, mean + half, within)
    return Comparison(
        difference=mean,
        low=low,
        high=high,
        p_t=p_t,
        p_wilcoxon=signed_rank_p(means) if reason in (None, NO_SPREAD) else float("nan"),
        n=n,
        wins=int((differences > 0).sum()),
        ties=int((differences == 0).sum()),
        losses=int((differences < 0).sum()),
        independent=len(means),
        distinct=distinct,
        reason=reason,
        standard_error=float(error),
    )


def _missing_reason(n: int, distinct: tuple[int, int], means: NDArray[np.float64]) -> str | None:
    """Return the reason for a missing test; None if a test is possible."""
    if n < 2:
        return ONE_SEED if n else NO_SEEDS
    if min(distinct) < LEAST_RUNS:
        return IDENTICAL if min(distinct) == 1 else FEW
    if len(means) < LEAST_RUNS:
        return LINKED
    return NO_SPREAD if means[0] != 0 and (means == means[0]).all() else None


def _student(mean: float, error: float, k: int, level: float) -> tuple[float, float]:
    """Return the p-value of a mean of k values, and half the width of its interval."""
    from scipy.special import stdtr, stdtrit

    if error == 0:  # all differences are 0: an interval would have no width
        return 1.0, float("nan")
    p = float(2 * stdtr(k - 1, -abs(mean / error)))
    return p, float(stdtrit(k - 1, (1 + level) / 2) * error)


def signed_rank_p(differences: ArrayLike) -> float:
    """Return the exact two-sided p-value of Wilcoxon's signed-rank test, with ties and zeros.

    Zeros are ranked with the other differences and then dropped (Pratt 1959, JASA 54). Ties have
    mean ranks. The result is NaN without differences. O(n^3) time, O(n^2) memory for (n,)
    differences.

    Examples
    --------
    >>> signed_rank_p([1, 2, 3, 4, 5])  # 2 of the 32 sign patterns are as extreme
    0.0625
    >>> signed_rank_p([0, 0, 3]), signed_rank_p([0, 0])
    (1.0, 1.0)
    """
    from scipy.stats import rankdata

    values = np.asarray(differences, dtype=np.float64)
    if not values.size:
        return float("nan")
    doubled = np.rint(2 * rankdata(np.abs(values))).astype(np.int64)  # whole numbers
    doubled = doubled[values != 0]
    positive = int(doubled[values[values != 0] > 0].sum())
    chances = chances_of_sums(doubled)
    total = chances.size - 1
    # Sums that are at least as far from the mean as the observed sum, on either side.
    sums = np.arange(total + 1)
    extreme = np.abs(2 * sums - total) >= abs(2 * positive - total)
    return min(1.0, float(chances[extreme].sum()))


def chances_of_sums(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability of each sum of the ranks with a positive sign; signs are random."""
    total = int(ranks.sum())
    chances = np.zeros(total + 1)
    chances[0] = 1.0
    for rank in ranks:
        chances[rank:] = (chances[rank:] + chances[: total + 1 - rank]) / 2
        chances[:rank] /= 2
    return chances


def _pairs(
    a: ArrayLike, b: ArrayLike, runs: tuple[ArrayLike | None, ArrayLike | None] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[Ids, Ids]]:
    """Return the pairs without NaN, and their run numbers."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise UsageError(
            f"a has the shape {first.shape} and b {second.shape}: give one number for each seed, "
            "the same seeds in the same order."
        )
    for name, values in (("a", first), ("b", second)):
        if np.isinf(values).any():
            at = int(np.flatnonzero(np.isinf(values))[0])
            raise UsageError(f"{name}[{at}] is infinite: leave it out, or give NaN.")
    known = ~(np.isnan(first) | np.isnan(second))
    of_a, of_b = runs or (None, None)
    ids = (
        _renumbered(checked_runs(of_a, first, "runs[0]")[known]),
        _renumbered(checked_runs(of_b, second, "runs[1]")[known]),
    )
    return first[known], second[known], ids


def _renumbered(ids: Ids) -> Ids:
    return np.unique(ids, return_inverse=True)[1].astype(np.int64)
