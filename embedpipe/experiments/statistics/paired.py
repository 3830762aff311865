"""Two strategies, seed by seed."""

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
"""Independent pairs below which the p-value of the t-test is doubled.

See docs/explanation/statistics.md."""

NO_SEEDS = "no common seeds"
ONE_SEED = "one seed"
IDENTICAL = "identical runs"
FEW = "fewer than three distinct runs"
LINKED = "fewer than three independent pairs"
NO_SPREAD = "identical differences"
"""Reasons why two strategies were not tested."""


@dataclass(frozen=True)
class Comparison:
    """How much better one strategy is than another, over the same seeds.

    Attributes
    ----------
    difference
        The mean of ``a - b``; NaN if there is no pair.
    low, high
        Student's interval of the mean difference; NaN where nothing was tested.
    p_t
        Two-sided p-value of the paired t-test, the primary one. NaN where nothing was tested.
    p_wilcoxon
        Two-sided exact p-value of the signed-rank test, a check on the first that does not take
        differences for normal. With n independent pairs it is at least 2^(1 - n), 0.0625 for 5.
        NaN below three independent pairs.
    n
        How many pairs there are; a pair with a NaN is left out.
    wins, ties, losses
        In how many of them a is larger, equal, smaller.
    p_holm
        `p_t` corrected for all comparisons of the same table; None if there was one only.
    independent
        Independent pairs: groups of seeds without a common run. At most `n`.
    distinct
        How many distinct runs a and b have.
    reason
        Why nothing was tested, for example ``"identical runs"``; None if it was.
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

    @property
    def p(self) -> float:
        """The p-value that decides, see `decisive_p`; NaN where nothing was tested."""
        p = self.p_t if self.p_holm is None else self.p_holm
        return float(decisive_p(p, self.p_wilcoxon, self.independent))

    def significant(self, alpha: float = 0.05) -> bool:
        """Return whether the strategies are declared different: whether `p` is at most `alpha`."""
        return bool(self.p <= alpha)


def decisive_p(p: ArrayLike, p_wilcoxon: ArrayLike, n: ArrayLike) -> NDArray[np.float64]:
    """Return the p-values by which strategies are declared different.

    Parameters
    ----------
    p, p_wilcoxon, n
        Of the t-test, corrected or not; of the signed-rank test; the number of independent pairs.
        Any shapes that go together.

    Returns
    -------
    ndarray
        The p-value of the t-test, doubled below five pairs. Where the signed-rank test gives more,
        and more than the least it can with so many pairs, its p-value. NaN stays NaN.

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
    outvoted = signs > 2.0 ** (1.0 - count) * (1 + 1e-9)
    return np.minimum(np.where(outvoted, np.maximum(by_t, signs), by_t), 1.0)


def declared_different(
    p: ArrayLike, p_wilcoxon: ArrayLike, n: ArrayLike, alpha: float = 0.05
) -> NDArray[np.bool_]:
    """Return what is declared different: where the t-test says so and the signs do not object.

    The signed-rank test must give at most `alpha` as well, or the least it can with so many
    pairs: with 5, all must be on one side. So no single seed makes a difference, and of two
    equal strategies with normal accuracies 4 in 100, not 5, are declared different.

    Parameters
    ----------
    p, p_wilcoxon, n
        See `decisive_p`.
    alpha
        How often equal strategies may be declared different.

    Returns
    -------
    ndarray
        False where a p-value is NaN.

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
    """Compare two strategies over the same seeds; identical runs are one observation.

    Parameters
    ----------
    a, b
        (S,) each, entry s of both from the same seed; a pair with a NaN is left out. Differences
        are rounded to 12 decimals, so that equal ones are ties.
    level
        Of the interval.
    runs
        (S,) each, which run the values are from, for example columns of `prefix_runs`. By default,
        and for None, equal values of one side are from the same run.
    within
        The least and the largest difference that there can be; the interval is cut there.

    Returns
    -------
    Comparison
        Of ``a - b``. Nothing is tested, and `reason` says why, below three distinct runs on
        either side, below three independent pairs, and where all differences are the same but not
        0: a spread of zero shows that the seeds are no independent repetitions, or that the test
        set is too small to show their differences. All differences 0: both p-values are 1.

    Raises
    ------
    UsageError
        If the lengths differ or a value is infinite.

    Notes
    -----
    Seeds that share a run, on either side, are one group. The k means of groups are independent,
    and their spread gives the standard error: sd / √m, m Kish's effective sample size of the
    groups. With k - 1 degrees of freedom the test is valid although groups differ in variance: a
    t-test is conservative then. Without identical runs it is the paired t-test.

    The p-values speak of other seeds on the same dataset and the same test items, not of other
    datasets. The t-test is the primary one because the signed-rank test cannot reach 0.05 with
    5 seeds, nor any smaller level that a correction asks for, and because accuracies are means
    over hundreds of test items, whose differences are close to normal. O(S^3) time, of the exact
    signed-rank test.

    References
    ----------
    Dror, Baumer, Shlomov, Reichart (2018), "The hitchhiker's guide to testing statistical
    significance in natural language processing", ACL. Demšar (2006), "Statistical comparisons of
    classifiers over multiple data sets", JMLR 7. Ibragimov, Müller (2010), "t-statistic based
    correlation and heterogeneity robust inference", JBES 28 (t-tests of group means).

    Examples
    --------
    >>> found = paired_comparison([0.84, 0.86, 0.85, 0.88], [0.80, 0.84, 0.82, 0.85])
    >>> round(found.difference, 4), round(found.p_t, 4), found.p_wilcoxon, found.wins
    (0.03, 0.0052, 0.125, 4)
    >>> found = paired_comparison([0.86] * 5, [0.80, 0.84, 0.82, 0.85, 0.81])
    >>> round(found.difference, 4), found.p, found.reason
    (0.036, nan, 'identical runs')
    """
    first, second, ids = _pairs(a, b, runs)  # (n,), (n,), two of (n,)
    level = checked_share(level, "level")
    differences = np.round(first - second, DECIMALS)  # (n,)
    n = len(differences)
    groups = independent_pairs(*ids)  # (n,)
    sizes = np.bincount(groups)  # (k,)
    means = np.round(np.bincount(groups, differences) / sizes, DECIMALS)  # (k,)
    distinct = count_runs(ids[0]), count_runs(ids[1])
    reason = _why_not(n, distinct, means)
    p_t = low = high = float("nan")
    mean = float(np.mean(differences)) if n else float("nan")
    if reason is None:
        p_t, half = _student(mean, means, sizes, level)
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
    )


def _why_not(n: int, distinct: tuple[int, int], means: NDArray[np.float64]) -> str | None:
    """Return why nothing can be tested; None if something can."""
    if n < 2:
        return ONE_SEED if n else NO_SEEDS
    if min(distinct) < LEAST_RUNS:
        return IDENTICAL if min(distinct) == 1 else FEW
    if len(means) < LEAST_RUNS:
        return LINKED
    return NO_SPREAD if means[0] != 0 and (means == means[0]).all() else None


def _student(
    mean: float, means: NDArray[np.float64], sizes: NDArray[np.int64], level: float
) -> tuple[float, float]:
    """Return the p-value of a mean difference, and half the width of its interval."""
    from scipy.special import stdtr, stdtrit

    k = len(means)
    error = float(means.std(ddof=1)) / np.sqrt(effective_size(sizes))
    if error == 0:  # all differences are 0
        return 1.0, 0.0
    return float(2 * stdtr(k - 1, -abs(mean / error))), float(
        stdtrit(k - 1, (1 + level) / 2) * error
    )


def signed_rank_p(differences: ArrayLike) -> float:
    """Return the exact two-sided p-value of Wilcoxon's signed-rank test, with ties and zeros.

    Under the hypothesis each difference is as likely to have the other sign. Zeros are ranked
    with the others and then dropped (Pratt); equal sizes share the mean of their ranks. The
    distribution over all 2^n signs is worked out exactly for the ranks as they are, so ties need
    no approximation.

    Parameters
    ----------
    differences
        (n,) numbers, without NaN.

    Returns
    -------
    float
        1 if all are 0; NaN if there are none.

    Notes
    -----
    O(n^3) time, O(n^2) memory.

    References
    ----------
    Wilcoxon (1945), "Individual comparisons by ranking methods", Biometrics Bulletin 1. Pratt
    (1959), "Remarks on zeros and ties in the Wilcoxon signed rank procedures", JASA 54.

    Examples
    --------
    >>> signed_rank_p([1, 2, 3, 4, 5])  # 2 of the 32 ways to give signs are as one-sided
    0.0625
    >>> signed_rank_p([0, 0, 3]), signed_rank_p([0, 0])
    (1.0, 1.0)
    """
    from scipy.stats import rankdata

    values = np.asarray(differences, dtype=np.float64)
    if not values.size:
        return float("nan")
    doubled = np.rint(2 * rankdata(np.abs(values))).astype(np.int64)  # whole numbers, ties or not
    doubled = doubled[values != 0]
    positive = int(doubled[values[values != 0] > 0].sum())
    total = int(doubled.sum())
    chances = np.zeros(total + 1)  # of each sum of the positive ranks, doubled
    chances[0] = 1.0
    for rank in doubled:
        chances[rank:] = (chances[rank:] + chances[: total + 1 - rank]) / 2
        chances[:rank] /= 2
    # As far from the middle as what was seen, on either side.
    sums = np.arange(total + 1)
    extreme = np.abs(2 * sums - total) >= abs(2 * positive - total)
    return min(1.0, float(chances[extreme].sum()))


def _pairs(
    a: ArrayLike, b: ArrayLike, runs: tuple[ArrayLike | None, ArrayLike | None] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[Ids, Ids]]:
    """Return the pairs without NaN, and which run each value is from."""
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
