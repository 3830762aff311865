"""Several datasets: who beats whom how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import UsageError
from ._checks import DECIMALS, checked_sample, checked_share
from .families import holm
from .paired import paired_comparison

__all__ = ["WinsTiesLosses", "wins_ties_losses"]


@dataclass(frozen=True)
class WinsTiesLosses:
    """On how many datasets each strategy is significantly better than each other.

    Attributes
    ----------
    strategies
        (k,) names: rows and columns of what follows.
    wins, ties
        (k, k) int64: on how many datasets the row's strategy beats the column's, or neither does.
        Losses are ``wins.T``. The diagonals are 0.
    ranks
        (k,) average ranks of the means over the datasets that have every strategy, 1 for the
        best, ties shared; NaN if there is no such dataset.
    n_ranked
        How many such datasets there are.
    """

    strategies: tuple[str, ...]
    wins: NDArray[np.int64]
    ties: NDArray[np.int64]
    ranks: NDArray[np.float64]
    n_ranked: int

    @property
    def losses(self) -> NDArray[np.int64]:
        """(k, k): on how many datasets the column's strategy beats the row's."""
        return self.wins.T


def wins_ties_losses(
    tables: Mapping[str, Mapping[str, ArrayLike]], *, alpha: float = 0.05, corrected: bool = True
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

    Returns
    -------
    WinsTiesLosses
        By paired t-tests, as `declared_different`. Where the p-value cannot be told it is a tie.

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
    ties = np.zeros_like(wins)
    for table in tables.values():
        _count(names, table, alpha, corrected, wins, ties)
    whole = [table for table in tables.values() if len(table) == len(names)]
    ranks = [_ranks([table[name] for name in names]) for table in whole]  # each (k,)
    average = np.mean(ranks, axis=0) if ranks else np.full(len(names), np.nan)
    return WinsTiesLosses(names, wins, ties, average, len(whole))


def _count(
    names: tuple[str, ...],
    table: Mapping[str, ArrayLike],
    alpha: float,
    corrected: bool,
    wins: NDArray[np.int64],
    ties: NDArray[np.int64],
) -> None:
    """Add the outcomes of one dataset."""
    there = [at for at, name in enumerate(names) if name in table]
    pairs = list(combinations(there, 2))
    found = [paired_comparison(table[names[a]], table[names[b]]) for a, b in pairs]
    p = np.array([each.p_t for each in found])
    p = holm(p) if corrected else p
    for (a, b), each, chance in zip(pairs, found, p, strict=True):
        if replace(each, p_holm=float(chance)).significant(alpha):
            winner, loser = (a, b) if each.difference > 0 else (b, a)
            wins[winner, loser] += 1
        else:
            ties[a, b] += 1
            ties[b, a] += 1


def _ranks(values: list[ArrayLike]) -> NDArray[np.float64]:
    from scipy.stats import rankdata

    means = [np.round(np.mean(checked_sample(each)), DECIMALS) for each in values]
    ranks: NDArray[np.float64] = rankdata(-np.array(means))
    return ranks
