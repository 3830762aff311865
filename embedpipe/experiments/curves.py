"""The runs of a table as curves: accuracy over the number of labels, for each seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .cells import Setting
from .statistics import count_runs, prefix_runs

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Curves", "curves_of"]

_SETTING = ("dataset", "backbone", "initial", "strategy", "head", "mode")

_IDENTITY = ("labelled", "accuracy", "macro_f1", "balanced_accuracy")
"""Measures that two identical runs have in common in every round. They follow from the predicted
classes; those that follow from probabilities may differ by a rounding error."""


@dataclass(frozen=True)
class Curves:
    """What the runs of one setting measured, for S seeds in R rounds."""

    setting: Setting
    seeds: tuple[int, ...]
    """Seeds without a run too."""
    labelled: NDArray[np.float64]
    """(S, R) number of labels in each round; NaN where a run had ended, or there is none."""
    values: NDArray[np.float64]
    """(S, R) the measure; likewise."""
    runs: NDArray[np.int64]
    """(S, R) seeds with the same number in column r have runs that are equal up to round r."""
    starts: NDArray[np.float64]
    """(S, M) measures in the first round; NaN where one is not known."""

    @property
    def n(self) -> int:
        """Number of seeds with a run."""
        return int((~np.isnan(self.labelled[:, 0])).sum())

    @property
    def distinct(self) -> int:
        """Number of distinct runs."""
        return count_runs(self.runs[~np.isnan(self.labelled[:, 0]), -1])

    def runs_at(self, budget: float) -> NDArray[np.int64]:
        """Return which seeds have the same run up to a number of labels, (S,)."""
        after = np.flatnonzero(self.budgets >= budget)
        return self.runs[:, after[0] if after.size else -1]

    def same_starts(self, other: Curves) -> bool:
        """Whether nothing is known to differ between the first batches of both, seed by seed."""
        known = ~np.isnan([self.starts, other.starts]).any(axis=(0, 2))  # (S,)
        return bool((self.starts[known] == other.starts[known]).all())

    def ids_beside(self, other: Curves) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which seeds are one observation of a comparison with other curves, (S,) each."""
        # Those with the same run; and those with the same first batch, unless both sides begin
        # with the same batch, seed by seed, so that it cancels out.
        at = -1 if self.same_starts(other) else 0
        return self.runs[:, at], other.runs[:, at]

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
    """Return the curves of each setting of `Results.table`, with the same seeds and rounds."""
    if not table.num_rows:
        return []
    names = list(dict.fromkeys((*_IDENTITY, measure)))
    rows = table.select([*_SETTING, "seed", "round", *names]).to_pylist()
    places = {seed: at for at, seed in enumerate(sorted({row["seed"] for row in rows}))}
    shape = len(names), len(places), max(row["round"] for row in rows) + 1
    found: dict[Setting, NDArray[np.float64]] = {}  # (M, S, R) each
    for row in rows:
        setting = Setting(*(row[name] for name in _SETTING))
        measured = found.setdefault(setting, np.full(shape, np.nan))
        values = [np.nan if row[name] is None else row[name] for name in names]
        measured[:, places[row["seed"]], row["round"]] = values
    return [
        Curves(
            setting,
            tuple(places),
            labelled=measured[names.index("labelled")],
            values=measured[names.index(measure)],
            runs=prefix_runs(*measured[: len(_IDENTITY)]),
            starts=measured[: len(_IDENTITY), :, 0].T,
        )
        for setting, measured in found.items()
    ]


def groups_of(curves: Sequence[Curves]) -> list[list[Curves]]:
    """Return the curves that can be compared with each other together: same data, same head."""
    found: dict[tuple[str, ...], list[Curves]] = {}
    for each in curves:
        found.setdefault(each.setting.surroundings, []).append(each)
    return list(found.values())
