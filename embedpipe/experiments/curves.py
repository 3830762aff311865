"""The runs of a table as curves: accuracy over the number of labels, for each seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .cell import Setting

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Curves", "curves_of"]

_SETTING = ("dataset", "backbone", "initial", "strategy", "head", "mode")


@dataclass(frozen=True)
class Curves:
    """What the runs of one setting measured, seed by seed.

    Attributes
    ----------
    setting
        What they have in common.
    seeds
        (S,) the seeds; those without a run too.
    labelled, values
        (S, R) float64: the number of labels in each round, and the measure; NaN where a run
        had ended, or there is none.
    """

    setting: Setting
    seeds: tuple[int, ...]
    labelled: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def n(self) -> int:
        """How many seeds have a run."""
        return int((~np.isnan(self.labelled[:, 0])).sum())

    @cached_property
    def budgets(self) -> NDArray[np.float64]:
        """(R,) the number of labels in each round, on average over the seeds."""
        known = ~np.isnan(self.labelled)
        sums, counts = np.where(known, self.labelled, 0).sum(axis=0), known.sum(axis=0)
        return np.asarray(sums / np.maximum(counts, 1))

    def of_seed(self, at: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the labels and the values of one seed, (r,) each, r at most R."""
        known = ~(np.isnan(self.labelled[at]) | np.isnan(self.values[at]))
        # Where the labeller abstained from a whole batch the number of labels stands still.
        labelled, values = self.labelled[at][known], self.values[at][known]
        moved = np.append(np.diff(labelled) > 0, True) if labelled.size else known[:0]
        return labelled[moved], values[moved]

    def is_whole(self, at: int) -> bool:
        """Whether the run of a seed has all rounds."""
        return not np.isnan(self.labelled[at]).any()


def curves_of(table: pa.Table, measure: str = "accuracy") -> list[Curves]:
    """Return the curves of each setting, in the order of the table.

    Parameters
    ----------
    table
        `Results.table`.
    measure
        One of its columns of numbers.

    Returns
    -------
    list of Curves
        All with the same seeds and the same number of rounds.
    """
    if not table.num_rows:
        return []
    columns = [table.column(name).to_pylist() for name in _SETTING]
    settings = [Setting(*names) for names in zip(*columns, strict=True)]  # one a row
    seeds = table.column("seed").to_pylist()
    rounds = table.column("round").to_pylist()
    labelled = table.column("labelled").to_pylist()
    values = table.column(measure).to_pylist()
    known = {seed: at for at, seed in enumerate(sorted(set(seeds)))}
    shape = len(known), max(rounds) + 1
    found: dict[Setting, Curves] = {}
    for setting, seed, number, count, value in zip(
        settings, seeds, rounds, labelled, values, strict=True
    ):
        if setting not in found:
            empty = np.full(shape, np.nan), np.full(shape, np.nan)
            found[setting] = Curves(setting, tuple(known), *empty)
        found[setting].labelled[known[seed], number] = count
        found[setting].values[known[seed], number] = np.nan if value is None else value
    return list(found.values())


def groups_of(curves: Sequence[Curves]) -> list[list[Curves]]:
    """Return the curves that can be compared with each other together: same data, same head."""
    found: dict[tuple[str, ...], list[Curves]] = {}
    for each in curves:
        found.setdefault(each.setting.surroundings, []).append(each)
    return list(found.values())
