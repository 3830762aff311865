"""Several datasets: who beats whom how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import UsageError
from ._arguments import DECIMALS, checked_sample, checked_share
from .corrections import correct
from .paired import Comparison, paired_comparison

__all__ = ["WinsTiesLosses", "wins_ties_losses"]

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
