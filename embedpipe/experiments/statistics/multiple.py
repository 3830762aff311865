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
    """The difference of a strategy from the baseline in each of R rounds.

    Attributes
    ----------
    difference, low, high
        (R,) means of strategy minus baseline over the seeds, and Student's intervals.
    p_t, p_holm
        (R,) two-sided p-values of the paired t-test, uncorrected, and corrected for all rounds of
        all strategies; NaN without a test, see `paired_comparison`.
    p_wilcoxon
        (R,) exact two-sided p-values of the signed-rank test.
    n
        (R,) int64 numbers of seeds.
    independent
        (R,) int64 numbers of independent pairs. In a round, runs that are equal up to that round
        count as one.
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
        """Return an (R,) mask of the rounds in which the strategy is significantly worse.

        "Never significantly below the baseline" is ``not comparison.below().any()``. Without the
        correction, about 1 round in 50 of an equally good strategy is significantly worse by
        chance.
        """
        return np.asarray((self.difference < 0) & self._significant(alpha, corrected))

    def above(self, alpha: float = 0.05, *, corrected: bool = True) -> NDArray[np.bool_]:
        """Return an (R,) mask of the rounds in which the strategy is significantly better."""
        return np.asarray((self.difference > 0) & self._significant(alpha, corrected))

    def _significant(self, alpha: float, corrected: bool) -> NDArray[np.bool_]:
        p = self.p_holm if corrected else self.p_t
        return declared_different(p, self.p_wilcoxon, self.independent, alpha)


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Return p-values with Holm's (1979) correction for multiple comparisons; NaN stays NaN.

    The probability of any false significance at the level 0.05 is at most 0.05, for dependent
    comparisons too.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()  # 3 * 0.01, 2 * 0.03; 1 * 0.04 rises to 0.06
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
    """Compare every strategy with the baseline over the same seeds, with corrected p-values.

    Parameters
    ----------
    values
        (S,) numbers of each strategy, such as areas, for the same S seeds in the same order.
    baseline
        One of the strategies.
    level
        Confidence level of the intervals, which are not corrected.
    runs
        (S,) run numbers of each strategy; for the default see `paired_comparison`.

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
    """Return the comparisons with `p_holm`, which is corrected for all these comparisons."""
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

    P-values are corrected for all rounds of all strategies.

    Parameters
    ----------
    curves
        (S, R) accuracies of each strategy, for the same S seeds in R rounds; NaN after the end of a
        run.
    baseline
        One of the strategies.
    level
        Confidence level of the intervals, which are not corrected.
    runs
        (S, R) run numbers of each strategy; by default `prefix_runs` of its curves.
    within
        See `paired_comparison`.

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
    """Return the comparisons with p-values corrected for all rounds of the tested strategies.

    `tested` are, for example, the strategies whose areas differ significantly; by default all
    strategies. The `p_holm` of any other strategy is NaN.
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
    """Number of datasets where one strategy is significantly better than another.

    Attributes
    ----------
    strategies
        (k,) names of the rows and columns.
    wins
        (k, k) int64 numbers of datasets where the row is significantly better than the column.
    ties, untested
        (k, k) int64 numbers of datasets where the difference is not significant, and where there is
        no test. The diagonals are 0.
    ranks
        (k,) mean ranks over the datasets with all strategies; 1 is the best rank. NaN if no dataset
        has all strategies.
    n_ranked
        Number of datasets with all strategies.
    """

    strategies: tuple[str, ...]
    wins: NDArray[np.int64]
    ties: NDArray[np.int64]
    untested: NDArray[np.int64]
    ranks: NDArray[np.float64]
    n_ranked: int

    @property
    def losses(self) -> NDArray[np.int64]:
        """(k, k) numbers of datasets where the column is significantly better than the row."""
        return self.wins.T


def wins_ties_losses(
    tables: Mapping[str, Mapping[str, ArrayLike]],
    *,
    alpha: float = 0.05,
    corrected: bool = True,
    runs: RunsOf | None = None,
) -> WinsTiesLosses:
    """Count significant wins between strategies over datasets.

    Parameters
    ----------
    tables
        One number for each of S seeds, by dataset and strategy; larger numbers are better.
    alpha
        Significance level.
    corrected
        Whether the p-values of all pairs of a dataset have Holm's correction.
    runs
        Function of a dataset and two strategies that returns the (S,) run numbers of each strategy.
        For the default see `paired_comparison`.

    References
    ----------
    Ash et al. (2020), "Deep batch active learning by diverse, uncertain gradient lower bounds",
    arXiv:1906.03671 (the matrix of wins).

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
        raise UsageError("there is no dataset: give at least one.")
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
    present = [at for at, name in enumerate(names) if name in table]
    found = {
        (a, b): paired_comparison(
            table[names[a]],
            table[names[b]],
            runs=None if runs is None else runs(names[a], names[b]),
        )
        for a, b in combinations(present, 2)
    }
    return correct(found) if corrected else found


def _ranks(values: list[ArrayLike]) -> NDArray[np.float64]:
    from scipy.stats import rankdata

    means = [np.round(np.mean(checked_sample(each)), DECIMALS) for each in values]
    ranks: NDArray[np.float64] = rankdata(-np.array(means))
    return ranks
