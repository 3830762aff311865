"""Learning curves: accuracy over the number of labels, for each seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .cells import Setting
from .statistics import count_runs, prefix_runs
from .statistics.runs import independent_pairs

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Curves", "curves_of"]

_SETTING = ("dataset", "backbone", "initial", "strategy", "head", "mode")

_IDENTITY = ("labelled", "accuracy", "macro_f1", "balanced_accuracy")
"""Runs are identical if these measures are equal in every round, or if the picks are equal in every
round. Measures of probabilities are left out, because they have rounding errors."""

_PICKS = "picks"
"""Column with a digest of the picks; results of earlier versions do not have it."""


@dataclass(frozen=True)
class Curves:
    """The measures of one setting, for S seeds in R rounds."""

    setting: Setting
    seeds: tuple[int, ...]
    """All seeds of the table, including seeds without a run of this setting."""
    labelled: NDArray[np.float64]
    """(S, R) number of labels in each round; NaN where there is no round."""
    values: NDArray[np.float64]
    """(S, R) the measure in each round; NaN where there is no round."""
    runs: NDArray[np.int64]
    """(S, R) run numbers: seeds with equal numbers in column r have equal runs up to round r."""
    starts: NDArray[np.float64]
    """(S, M) the M measures of the first round; NaN where a measure is missing."""

    @property
    def n(self) -> int:
        """Number of seeds with a run."""
        return int((~np.isnan(self.labelled[:, 0])).sum())

    @property
    def distinct(self) -> int:
        """Number of distinct runs."""
        return count_runs(self.runs[~np.isnan(self.labelled[:, 0]), -1])

    def runs_at(self, budget: float) -> NDArray[np.int64]:
        """Return the (S,) run numbers of the rounds up to a number of labels."""
        after = np.flatnonzero(self.budgets >= budget)
        return self.runs[:, after[0] if after.size else -1]

    def same_starts(self, other: Curves) -> bool:
        """Whether both settings have equal first rounds, for each seed that both have."""
        known = ~np.isnan([self.starts, other.starts]).any(axis=(0, 2))  # (S,)
        return bool((self.starts[known] == other.starts[known]).all())

    def ids_beside(self, other: Curves) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the (S,) run numbers of this and of the other setting, for a comparison."""
        # Seeds with the same first batch count as one run, unless both settings start with the same
        # batches. Then the effect of the first batch cancels out.
        at = -1 if self.same_starts(other) else 0
        return self.runs[:, at], other.runs[:, at]

    @cached_property
    def budgets(self) -> NDArray[np.float64]:
        """(R,) the mean number of labels in each round."""
        known = ~np.isnan(self.labelled)
        sums, counts = np.where(known, self.labelled, 0).sum(axis=0), known.sum(axis=0)
        return np.asarray(sums / np.maximum(counts, 1))

    def of_seed(self, at: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the numbers of labels and the values of one seed, as (r,) arrays with r <= R."""
        rounds = self.rounds_of_seed(at)
        return self.labelled[at][rounds], self.values[at][rounds]

    def rounds_of_seed(self, at: int) -> NDArray[np.int64]:
        """Return the (r,) rounds of one seed that have a value."""
        known = np.flatnonzero(~(np.isnan(self.labelled[at]) | np.isnan(self.values[at])))
        # A batch of which no item is labelled does not change the number of labels. If rounds have
        # equal numbers, only the last of these rounds is kept.
        labelled = self.labelled[at][known]
        return known[np.append(np.diff(labelled) > 0, True)] if labelled.size else known

    def is_whole(self, at: int) -> bool:
        """Whether the run of a seed has all rounds."""
        return not np.isnan(self.labelled[at]).any()


def curves_of(table: pa.Table, measure: str = "accuracy") -> list[Curves]:
    """Return the curves of each setting of `Results.table`, all with the same seeds and rounds."""
    if not table.num_rows:
        return []
    names = list(dict.fromkeys((*_IDENTITY, measure, _PICKS)))
    rows = table.select(
        [*_SETTING, "seed", "round", *(name for name in names if name in table.schema.names)]
    ).to_pylist()
    numbers: dict[str | None, float] = {None: np.nan}  # of the picks, by their digest
    places = {seed: at for at, seed in enumerate(sorted({row["seed"] for row in rows}))}
    shape = len(names), len(places), max(row["round"] for row in rows) + 1
    found: dict[Setting, NDArray[np.float64]] = {}  # (M, S, R) each
    for row in rows:
        setting = setting_of(row)
        measured = found.setdefault(setting, np.full(shape, np.nan))
        row[_PICKS] = numbers.setdefault(row.get(_PICKS), float(len(numbers)))
        values = [np.nan if row[name] is None else row[name] for name in names]
        measured[:, places[row["seed"]], row["round"]] = values
    return [
        Curves(
            setting,
            tuple(places),
            labelled=measured[names.index("labelled")],
            values=measured[names.index(measure)],
            runs=_runs(measured[: len(_IDENTITY)], measured[names.index(_PICKS)]),
            starts=measured[: len(_IDENTITY), :, 0].T,
        )
        for setting, measured in found.items()
    ]


def _runs(measures: NDArray[np.float64], picks: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return (S, R) run numbers: equal up to a round if all measures, or all picks, are equal."""
    by_measures = prefix_runs(*measures)  # (M, S, R) to (S, R)
    if np.isnan(picks).all():
        return by_measures
    by_picks = prefix_runs(picks)
    columns = [independent_pairs(*each) for each in zip(by_measures.T, by_picks.T, strict=True)]
    return np.stack(columns, axis=1)


def setting_of(row: Mapping[str, Any]) -> Setting:
    """Return the setting of a row of a table."""
    return Setting(*(row[name] for name in _SETTING))


def groups_of(curves: Sequence[Curves]) -> list[list[Curves]]:
    """Return groups of curves that can be compared: with equal data, head and mode."""
    found: dict[tuple[str, ...], list[Curves]] = {}
    for each in curves:
        found.setdefault(each.setting.surroundings, []).append(each)
    return list(found.values())
