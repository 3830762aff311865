"""Many comparisons: with a baseline, round by round, and on several datasets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import UnknownNameError, UsageError
from .intervals import checked_sample, checked_share
from .paired import Comparison, declared_different, paired_comparison
from .runs import DECIMALS, prefix_runs

__all__ = [
    "RoundComparison",
    "WinsTiesLosses",
    "compare_with_baseline",
    "correct",
    "correct_rounds",
    "holm",
    "per_round_comparison",
    "wins_ties_losses",
]


K = TypeVar("K")


@dataclass(frozen=True)
class RoundComparison:
    """How much better a strategy is than the baseline in each round.

    Attributes
    ----------
    difference, low, high
        (R,) means of strategy minus baseline over the seeds, and Student's intervals.
    p_t, p_holm
        (R,) two-sided p-values of the paired t-test, plain and corrected for all rounds of all
        strategies. NaN in rounds that were not tested, see `paired_comparison`.
    p_wilcoxon
        (R,) exact two-sided p-values of the signed-rank test.
    n
        (R,) int64, how many seeds there were.
    independent
        (R,) int64, how many independent pairs. Runs that were equal up to a round are one
        observation there.
    """

    difference: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p_t: NDArray[np.float64]
    p_holm: NDArray[np.float64]
    p_wilcoxon: NDArray[np.float64]
    n: NDArray[np.int64]
    independent: NDArray[np.int64]

    def below(self, alpha: float = 0.05, *, corrected: bool = True) -> NDArray[np.bool_]:
        """Return in which rounds the strategy is declared worse, see `declared_different`: (R,).

        "Never significantly below the baseline" is ``not comparison.below().any()``. Without the
        correction the claim is harder to keep: 1 round in 50 is below by chance alone. Either
        way it does not say that the strategy is as good; `low` says how much worse it may be.
        """
        return np.asarray((self.difference < 0) & self._declared(alpha, corrected))

    def above(self, alpha: float = 0.05, *, corrected: bool = True) -> NDArray[np.bool_]:
        """Return in which rounds the strategy is declared better: (R,)."""
        return np.asarray((self.difference > 0) & self._declared(alpha, corrected))

    def _declared(self, alpha: float, corrected: bool) -> NDArray[np.bool_]:
        p = self.p_holm if corrected else self.p_t
        return declared_different(p, self.p_wilcoxon, self.independent, alpha)


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Return p-values that may be read as if there were one: Holm's correction.

    Of all comparisons whose corrected p-value is at most 0.05, the chance that any is there by
    mistake is at most 0.05, however they depend on each other.

    Parameters
    ----------
    p
        (k,) p-values; NaN stays NaN and does not count as a comparison.

    Returns
    -------
    ndarray
        (k,) float64: the smallest times k, the next times k - 1, and so on, never smaller than
        the one before and at most 1.

    Raises
    ------
    UsageError
        If a value is no p-value.

    References
    ----------
    Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal
    of Statistics 6.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()  # 3 * 0.01, 2 * 0.03, and no less than that
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=np.float64)
    wrong = (values < 0) | (values > 1)
    if values.ndim != 1 or wrong.any():
        shown = values[wrong][0] if values.ndim == 1 else f"an array of shape {values.shape}"
        raise UsageError(f"p holds {shown}: give p-values, (k,) numbers from 0 to 1.")
    corrected = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(factors * values[order]))
    return corrected


def compare_with_baseline(
    values: Mapping[str, ArrayLike],
    baseline: str,
    *,
    level: float = 0.95,
    runs: Mapping[str, ArrayLike] | None = None,
) -> dict[str, Comparison]:
    """Compare every strategy with the baseline over the same seeds.

    Parameters
    ----------
    values
        By strategy, (S,) one number for each seed, such as areas under the curve: the same seeds
        in the same order for all.
    baseline
        The name of one of them.
    level
        Of the intervals, which are not corrected.
    runs
        By strategy, (S,) which run each value is from; by default see `paired_comparison`.

    Returns
    -------
    dict
        A `Comparison` for each other strategy, in their order, with `p_holm`: `p_t` corrected
        for all of them.

    Raises
    ------
    UnknownNameError
        If there is no such baseline.
    UsageError
        If the numbers of seeds differ.

    Examples
    --------
    >>> found = compare_with_baseline(
    ...     {
    ...         "random": [0.70, 0.72, 0.71],
    ...         "margin": [0.75, 0.765, 0.76],
    ...         "odd": [0.69, 0.73, 0.70],
    ...         "fixed": [0.76, 0.76, 0.76],
    ...     },
    ...     baseline="random",
    ... )
    >>> {name: (round(each.difference, 4), each.significant()) for name, each in found.items()}
    {'margin': (0.0483, True), 'odd': (-0.0033, False), 'fixed': (0.05, False)}
    >>> found["fixed"].reason
    'identical runs'
    """
    _check_baseline(values, baseline)
    found = {
        name: paired_comparison(
            each,
            values[baseline],
            level=level,
            runs=None if runs is None else (runs[name], runs[baseline]),
        )
        for name, each in values.items()
        if name != baseline
    }
    return correct(found)


def correct(found: Mapping[K, Comparison]) -> dict[K, Comparison]:
    """Return the comparisons with `p_holm`: `p_t` corrected for all of them."""
    corrected = holm([each.p_t for each in found.values()])
    return {
        name: replace(each, p_holm=float(p))
        for (name, each), p in zip(found.items(), corrected, strict=True)
    }


def per_round_comparison(
    curves: Mapping[str, ArrayLike],
    baseline: str,
    *,
    level: float = 0.95,
    runs: Mapping[str, ArrayLike] | None = None,
    within: tuple[float, float] | None = None,
) -> dict[str, RoundComparison]:
    """Compare every strategy with the baseline in each round.

    Parameters
    ----------
    curves
        By strategy, (S, R) accuracies: the same seeds and the same budgets for all; NaN where a
        run had ended.
    baseline
        The name of one of them.
    level
        Of the intervals, which are not corrected.
    runs
        By strategy, (S, R) which run each seed has up to each round; by default that of
        `prefix_runs` of the curves.
    within
        See `paired_comparison`.

    Returns
    -------
    dict
        A `RoundComparison` for each other strategy. The correction is for all rounds of all
        strategies.

    Raises
    ------
    UnknownNameError
        If there is no such baseline.
    UsageError
        If the shapes differ.

    Examples
    --------
    >>> random = [[0.50, 0.60], [0.52, 0.62], [0.54, 0.61]]
    >>> mine = [[0.50, 0.70], [0.51, 0.71], [0.54, 0.71]]
    >>> found = per_round_comparison({"random": random, "mine": mine}, "random")["mine"]
    >>> found.difference.round(4).tolist(), found.below().tolist(), found.above().tolist()
    ([-0.0033, 0.0967], [False, False], [False, True])
    """
    _check_baseline(curves, baseline)
    arrays = {name: np.asarray(curve, dtype=np.float64) for name, curve in curves.items()}
    reference = arrays[baseline]  # (S, R)
    for name, curve in arrays.items():
        if curve.ndim != 2 or curve.shape != reference.shape:
            raise UsageError(
                f"the curves of {name!r} have the shape {curve.shape} and those of {baseline!r} "
                f"{reference.shape}: give (S, R) accuracies, the same seeds and rounds for all."
            )
    ids = {
        name: prefix_runs(curve) if runs is None else np.asarray(runs[name])
        for name, curve in arrays.items()
    }
    return correct_rounds(
        {
            name: _by_round((curve, reference), (ids[name], ids[baseline]), level, within)
            for name, curve in arrays.items()
            if name != baseline
        }
    )


def correct_rounds(
    found: Mapping[K, RoundComparison], tested: Collection[K] | None = None
) -> dict[K, RoundComparison]:
    """Return the comparisons with p-values corrected for all rounds of all of them.

    Parameters
    ----------
    found
        One for each strategy.
    tested
        Whose rounds are tested; by default all. A page that tests the area under each curve and
        then the rounds of those curves alone whose areas differ does not declare a difference
        between equal strategies more often than one that tests the areas.

    Returns
    -------
    dict
        The same with `p_holm`, NaN for those that are not tested.
    """
    kept = [name for name in found if tested is None or name in tested]
    p = [found[name].p_t for name in kept]
    corrected = holm(np.concatenate(p)) if p else np.zeros(0)
    parts = np.split(corrected, np.cumsum([len(each) for each in p])[:-1])
    of_name = dict(zip(kept, parts, strict=False))
    return {
        name: replace(each, p_holm=of_name.get(name, np.full(len(each.p_t), np.nan)))
        for name, each in found.items()
    }


def _by_round(
    curves: tuple[NDArray[np.float64], NDArray[np.float64]],
    runs: tuple[NDArray[np.int64], NDArray[np.int64]],
    level: float,
    within: tuple[float, float] | None,
) -> RoundComparison:
    (curve, reference), (own, other) = curves, runs  # (S, R) each
    rounds = [
        paired_comparison(
            curve[:, at],
            reference[:, at],
            level=level,
            runs=(own[:, at], other[:, at]),
            within=within,
        )
        for at in range(curve.shape[1])
    ]
    p = np.array([each.p_t for each in rounds])
    return RoundComparison(
        difference=np.array([each.difference for each in rounds]),
        low=np.array([each.low for each in rounds]),
        high=np.array([each.high for each in rounds]),
        p_t=p,
        p_holm=p,
        p_wilcoxon=np.array([each.p_wilcoxon for each in rounds]),
        n=np.array([each.n for each in rounds], dtype=np.int64),
        independent=np.array([each.independent for each in rounds], dtype=np.int64),
    )


def _check_baseline(values: Mapping[str, Any], baseline: str) -> None:
    if baseline not in values:
        raise UnknownNameError("baseline", baseline, values)


# Several datasets

RunsOf = Callable[[str, str, str], tuple[ArrayLike, ArrayLike]]


@dataclass(frozen=True)
class WinsTiesLosses:
    """On how many datasets each strategy is significantly better than each other.

    Attributes
    ----------
    strategies
        (k,) names: rows and columns of what follows.
    wins, ties, untested
        (k, k) int64: on how many datasets the row's strategy beats the column's, no difference
        was shown, or nothing was tested, see `paired_comparison`. Losses are ``wins.T``. The
        diagonals are 0.
    ranks
        (k,) average ranks of the means over the datasets that have every strategy, 1 for the
        best, ties shared; NaN if there is no such dataset.
    n_ranked
        How many such datasets there are.
    """

    strategies: tuple[str, ...]
    wins: NDArray[np.int64]
    ties: NDArray[np.int64]
    untested: NDArray[np.int64]
    ranks: NDArray[np.float64]
    n_ranked: int

    @property
    def losses(self) -> NDArray[np.int64]:
        """(k, k): on how many datasets the column's strategy beats the row's."""
        return self.wins.T


def wins_ties_losses(
    tables: Mapping[str, Mapping[str, ArrayLike]],
    *,
    alpha: float = 0.05,
    corrected: bool = True,
    runs: RunsOf | None = None,
) -> WinsTiesLosses:
    """Count significant wins over datasets, strategy against strategy.

    Parameters
    ----------
    tables
        By dataset and strategy, (S,) one number for each seed, larger is better. A pair that a
        dataset does not have both of counts there for neither.
    alpha
        How often equal strategies may be declared different.
    corrected
        Whether the p-values of all pairs of one dataset are corrected by Holm's method. Without,
        of k strategies that are all the same one pair in 20 wins somewhere.
    runs
        Called with a dataset and two strategies: returns (S,) which run each number of either is
        from; by default see `paired_comparison`.

    Returns
    -------
    WinsTiesLosses
        By paired t-tests, as `declared_different`.

    Raises
    ------
    UsageError
        If there is no dataset.

    References
    ----------
    Demšar (2006), "Statistical comparisons of classifiers over multiple data sets", JMLR 7.
    Ash et al. (2020), "Deep batch active learning by diverse, uncertain gradient lower bounds",
    arXiv:1906.03671 (the pairwise matrix).

    Examples
    --------
    >>> found = wins_ties_losses({
    ...     "digits": {"margin": [0.90, 0.91, 0.92], "random": [0.80, 0.82, 0.81]},
    ...     "photos": {"margin": [0.70, 0.71, 0.74], "random": [0.71, 0.70, 0.73]},
    ... })
    >>> found.wins.tolist(), found.ties.tolist(), found.ranks.tolist()
    ([[0, 1], [0, 0]], [[0, 1], [1, 0]], [1.0, 2.0])
    """
    if not tables:
        raise UsageError("there is no dataset to count wins on: give at least one.")
    alpha = checked_share(alpha, "alpha")
    names = tuple(dict.fromkeys(name for table in tables.values() for name in table))
    wins = np.zeros((len(names), len(names)), dtype=np.int64)
    ties, untested = np.zeros_like(wins), np.zeros_like(wins)
    for dataset, table in tables.items():
        found = _compared(names, table, None if runs is None else partial(runs, dataset), corrected)
        for (a, b), each in found.items():
            if each.significant(alpha):
                wins[(a, b) if each.difference > 0 else (b, a)] += 1
            else:
                count = ties if each.reason is None else untested
                count[[a, b], [b, a]] += 1
    whole = [table for table in tables.values() if len(table) == len(names)]
    ranks = [_ranks([table[name] for name in names]) for table in whole]  # each (k,)
    average = np.mean(ranks, axis=0) if ranks else np.full(len(names), np.nan)
    return WinsTiesLosses(names, wins, ties, untested, average, len(whole))


def _compared(
    names: tuple[str, ...],
    table: Mapping[str, ArrayLike],
    runs: Callable[[str, str], tuple[ArrayLike, ArrayLike]] | None,
    corrected: bool,
) -> dict[tuple[int, int], Comparison]:
    """Return the comparisons of all pairs of one dataset."""
    there = [at for at, name in enumerate(names) if name in table]
    found = {
        (a, b): paired_comparison(
            table[names[a]],
            table[names[b]],
            runs=None if runs is None else runs(names[a], names[b]),
        )
        for a, b in combinations(there, 2)
    }
    return correct(found) if corrected else found


def _ranks(values: list[ArrayLike]) -> NDArray[np.float64]:
    from scipy.stats import rankdata

    means = [np.round(np.mean(checked_sample(each)), DECIMALS) for each in values]
    ranks: NDArray[np.float64] = rankdata(-np.array(means))
    return ranks
