"""Two strategies, seed by seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import UsageError
from ._checks import DECIMALS, checked_share
from .intervals import t_interval

__all__ = ["Comparison", "declared_different", "paired_comparison", "signed_rank_p"]


@dataclass(frozen=True)
class Comparison:
    """How much better one strategy is than another, over the same seeds.

    Attributes
    ----------
    difference
        The mean of ``a - b``; NaN if there is no pair.
    low, high
        Student's interval of the mean difference; NaN below two pairs.
    p_t
        Two-sided p-value of the paired t-test, the primary one. NaN where it cannot be told: below
        two pairs, or when all differences are the same and not 0.
    p_wilcoxon
        Two-sided exact p-value of the signed-rank test, a check on the first that does not take
        differences for normal. With n pairs it is at least 2^(1 - n), 0.0625 for 5. NaN without a
        pair, and when `a` and `b` are both the same for every seed: then there is one result,
        written down n times.
    n
        How many pairs there are; a pair with a NaN is left out.
    wins, ties, losses
        In how many of them a is larger, equal, smaller.
    p_holm
        `p_t` corrected for all comparisons of the same table; None if there was one only.
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

    def significant(self, alpha: float = 0.05) -> bool:
        """Return whether the strategies are declared different, see `declared_different`.

        By the corrected p-value of the t-test where there was more than one comparison.
        """
        p = self.p_t if self.p_holm is None else self.p_holm
        return bool(declared_different(p, self.p_wilcoxon, self.n, alpha))


def declared_different(
    p: ArrayLike, p_wilcoxon: ArrayLike, n: ArrayLike, alpha: float = 0.05
) -> NDArray[np.bool_]:
    """Return what is declared different: where the t-test says so and the signs do not object.

    The signed-rank test must give at most `alpha` as well, or the least it can with so many
    seeds: with 5, all must be on one side. So no single seed makes a difference, and of two
    equal strategies with normal accuracies 4 in 100, not 5, are declared different.

    Parameters
    ----------
    p, p_wilcoxon, n
        Of the t-test, corrected or not; of the signed-rank test; the number of seeds. Any shapes
        that go together.
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
    least = 2.0 ** (1.0 - np.asarray(n, dtype=np.float64))
    signs_agree = np.asarray(p_wilcoxon) <= np.maximum(alpha, least)
    return np.asarray((np.asarray(p) <= alpha) & signs_agree)


def paired_comparison(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> Comparison:
    """Compare two strategies over the same seeds.

    Parameters
    ----------
    a, b
        (S,) each, entry s of both from the same seed; a pair with a NaN is left out. Differences
        are rounded to 12 decimals, so that equal ones are ties.
    level
        Of the interval.

    Returns
    -------
    Comparison
        Of ``a - b``. All differences 0: both p-values are 1. All the same but not 0: `p_t` is NaN,
        for a spread of zero says that the seeds are no independent repetitions, or that the test
        set is too small to show their differences; the interval has no width then.

    Raises
    ------
    UsageError
        If the lengths differ or a value is infinite.

    Notes
    -----
    The p-values speak of other seeds on the same dataset and the same test items, not of other
    datasets. The t-test is the primary one because the signed-rank test cannot reach 0.05 with
    5 seeds, nor any smaller level that a correction asks for, and because accuracies are means
    over hundreds of test items, whose differences are close to normal. O(S^3) time, of the exact
    signed-rank test.

    References
    ----------
    Dror, Baumer, Shlomov, Reichart (2018), "The hitchhiker's guide to testing statistical
    significance in natural language processing", ACL. Demšar (2006), "Statistical comparisons of
    classifiers over multiple data sets", JMLR 7.

    Examples
    --------
    >>> found = paired_comparison([0.84, 0.86, 0.85, 0.88], [0.80, 0.84, 0.82, 0.85])
    >>> round(found.difference, 4), round(found.p_t, 4), found.p_wilcoxon, found.wins
    (0.03, 0.0052, 0.125, 4)
    """
    first, second = _pairs(a, b)  # (n,), (n,)
    level = checked_share(level, "level")
    differences = np.round(first - second, DECIMALS)  # (n,)
    n = len(differences)
    interval = t_interval(differences, level)
    repeated = n > 1 and bool((first == first[0]).all() and (second == second[0]).all())
    different = bool((differences != 0).any())
    return Comparison(
        difference=interval.estimate,
        low=interval.low,
        high=interval.high,
        p_t=_t_p(differences),
        p_wilcoxon=float("nan") if repeated and different else signed_rank_p(differences),
        n=n,
        wins=int((differences > 0).sum()),
        ties=int((differences == 0).sum()),
        losses=int((differences < 0).sum()),
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


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
    return first[known], second[known]


def _t_p(differences: NDArray[np.float64]) -> float:
    from scipy.special import stdtr

    n = len(differences)
    if n < 2:
        return float("nan")
    if (differences == differences[0]).all():
        return 1.0 if differences[0] == 0 else float("nan")
    t = differences.mean() / (differences.std(ddof=1) / np.sqrt(n))
    return float(2 * stdtr(n - 1, -abs(t)))
