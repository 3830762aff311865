"""The results of an experiment: its tables, in memory and on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from .analysis import summarise
from .cells import Cell, Setting
from .run_files import read_rounds
from .study import Failure, write_tables
from .summary import Summary

__all__ = ["BOUNDS", "RESULTS", "TIMINGS", "Results", "bounds_table", "rounds_tables"]

_TEXTS = ("dataset", "backbone", "initial", "strategy", "head", "mode")
_CELL = [
    *(pa.field(name, pa.string()) for name in _TEXTS),
    pa.field("seed", pa.int64()),
    pa.field("run_id", pa.string()),
    pa.field("round", pa.int32()),
    pa.field("labelled", pa.int64()),
]
_MEASURES = ("accuracy", "macro_f1", "balanced_accuracy", "ece", "cost")

RESULTS = pa.schema(
    [
        *_CELL,
        *(pa.field(name, pa.float64()) for name in _MEASURES),
        pa.field("chosen_by", pa.string()),
        pa.field("fitted", pa.string()),
        pa.field("diagnostics", pa.string()),
        pa.field("advice", pa.string()),
    ]
)
"""One row a round: its cell, the measures on the test rows, and as JSON what head, strategy and
stopping advice report. Nothing in it depends on when or where it was computed."""

TIMINGS = pa.schema(
    [*_CELL, pa.field("select_seconds", pa.float64()), pa.field("fit_seconds", pa.float64())]
)
"""One row a round: seconds."""

BOUNDS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("dataset", "backbone", "head")),
        pa.field("seed", pa.int64()),
        pa.field("accuracy", pa.float64()),
    ]
)
"""One row for each problem and head: the accuracy with all labels."""

_OTHER_NAMES = {"chosen_by": "strategy", "fitted": "head"}
"""Names of columns in the file of a run, where they differ."""


@dataclass(frozen=True)
class Results:
    """The results of an experiment.

    Attributes
    ----------
    table
        One row per round, as in ``results.parquet``.
        The columns are in ``docs/reference/comparisons.md``.
    timings
        One row a round: how long choosing and fitting took.
    bounds
        The accuracy of each head with all labels, for each problem.
    baseline
        What chooses the first batch and the others in the baseline from its own start.
    failures
        What could not be done.
    folder
        Where the tables are written, or None.
    left_out
        By dataset and backbone: number of copies of test images that are not chosen from, the
        least and the most over the seeds.
    """

    table: pa.Table = field(repr=False)
    timings: pa.Table = field(repr=False)
    bounds: pa.Table = field(repr=False)
    baseline: tuple[str, str]
    failures: tuple[Failure, ...] = ()
    folder: Path | None = None
    left_out: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict, repr=False)

    def to_pandas(self) -> Any:
        """Return `table` as a pandas data frame; pandas must be installed."""
        return self.table.to_pandas()

    def summary(
        self,
        target: float = 0.95,
        *,
        accuracy: float | None = None,
        budgets: Sequence[int] | None = None,
    ) -> Summary:
        """Return how good each strategy is, and whether it could be chance.

        Parameters
        ----------
        target
            Labels are counted to this share of the accuracy with all labels.
        accuracy
            If given, to this accuracy.
        budgets
            Numbers of labels at which the accuracy is shown; by default three.

        Returns
        -------
        Summary
            ``str`` gives a table.

        Notes
        -----
        Intervals of means are bootstrap intervals (BCa) over the seeds; differences are paired by
        seed, their p-values those of the paired t-test, corrected by Holm's method for all rows
        of one dataset, backbone, head and mode. Every curve is what was measured, never a
        running maximum.
        """
        return summarise(self, target=target, accuracy=accuracy, budgets=budgets)

    def write(self) -> None:
        """Write the tables to `folder`, each whole or not at all.

        Raises
        ------
        RunError
            If they cannot be written.
        """
        tables = {"results": self.table, "timings": self.timings, "bounds": self.bounds}
        write_tables(self.folder, tables)


def rounds_tables(
    cells: Iterable[Cell[Setting]], runs: Path, rounds: int
) -> tuple[pa.Table, pa.Table]:
    """Return the rounds of cells, in their order: the measures, and the seconds."""
    rows = [(cell, row) for cell in cells for row in read_rounds(runs / cell.run_id, rounds)]
    return _table(rows, RESULTS), _table(rows, TIMINGS)


def bounds_table(found: Iterable[tuple[tuple[str, str, str, int], Path]]) -> pa.Table:
    """Return the accuracies with all labels that are known, from their names and files."""
    rows = [
        dict(zip(BOUNDS.names, (*names, json.loads(path.read_bytes())["accuracy"]), strict=True))
        for names, path in found
        if path.exists()
    ]
    return pa.Table.from_pylist(rows, BOUNDS)


def _table(rows: list[tuple[Cell[Setting], dict[str, Any]]], schema: pa.Schema) -> pa.Table:
    filled = []
    for cell, row in rows:
        where = dict(zip(_TEXTS, astuple(cell.setting), strict=True))
        where |= {"seed": cell.seed, "run_id": cell.run_id}
        rest = {name: row.get(_OTHER_NAMES.get(name, name)) for name in schema.names}
        filled.append(rest | where)
    return pa.Table.from_pylist(filled, schema)
