"""The tables of results of an experiment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from .._deprecated import old_attribute
from .analysis import summarise
from .cells import Cell, Setting
from .run_files import read_rounds
from .study import Failure, write_tables
from .summary import Summary

__all__ = [
    "RESULTS",
    "TIMINGS",
    "UPPER_BASELINES",
    "Results",
    "rounds_tables",
    "upper_baselines_table",
]

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
"""One row for each round: its cell and the measures on the test rows. The attributes of the head,
the diagnostics of the strategy and the advice on stopping are JSON. No column depends on the time
or the machine of a run."""

TIMINGS = pa.schema(
    [*_CELL, pa.field("select_seconds", pa.float64()), pa.field("fit_seconds", pa.float64())]
)
"""One row for each round: seconds of selection and fitting."""

UPPER_BASELINES = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("dataset", "backbone", "head")),
        pa.field("seed", pa.int64()),
        pa.field("accuracy", pa.float64()),
    ]
)
"""One row for each problem, head and seed: the accuracy with all labels."""

_OTHER_NAMES = {"chosen_by": "strategy", "fitted": "head"}
"""Columns that have another name in the file of a run."""


@dataclass(frozen=True)
class Results:
    """The results of an experiment.

    Attributes
    ----------
    table
        One row for each round, as in ``results.parquet``; the columns are described in
        ``docs/reference/comparisons.md``.
    timings
        One row for each round: seconds of selection and fitting.
    upper_baselines
        The accuracy of each head with all labels, for each problem and seed.
    baseline
        The strategies of the first and of later batches of the baseline.
    failures
        Failed runs.
    folder
        Folder of the tables, or None.
    left_out
        Number of copies of test images, which are not candidates: the minimum and the maximum over
        the seeds, by dataset and backbone.
    """

    table: pa.Table = field(repr=False)
    timings: pa.Table = field(repr=False)
    upper_baselines: pa.Table = field(repr=False)
    baseline: tuple[str, str]
    failures: tuple[Failure, ...] = ()
    folder: Path | None = None
    left_out: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict, repr=False)

    bounds = old_attribute("bounds", "upper_baselines")

    def to_pandas(self) -> Any:
        """Return `table` as a pandas data frame."""
        return self.table.to_pandas()

    def summary(
        self,
        target: float = 0.95,
        *,
        accuracy: float | None = None,
        budgets: Sequence[int] | None = None,
    ) -> Summary:
        """Return the statistics of each strategy over the seeds; ``str`` gives a table.

        Means have bootstrap (BCa) or Student's intervals over the seeds. Differences are paired by
        seed and tested with the paired t-test, with Holm's correction for all rows of one dataset,
        backbone, head and mode.

        Parameters
        ----------
        target
            Target accuracy, as a share of the accuracy with all labels.
        accuracy
            Target accuracy, such as 0.9; it replaces `target`.
        budgets
            Numbers of labels at which the accuracy is shown; by default three.
        """
        return summarise(self, target=target, accuracy=accuracy, budgets=budgets)

    def write(self) -> None:
        """Write the tables to `folder`, each whole or not at all."""
        tables = {"results": self.table, "timings": self.timings}
        write_tables(self.folder, {**tables, "bounds": self.upper_baselines})


def rounds_tables(
    cells: Iterable[Cell[Setting]], runs: Path, rounds: int
) -> tuple[pa.Table, pa.Table]:
    """Return the measures and the seconds of all rounds of cells."""
    rows = [(cell, row) for cell in cells for row in read_rounds(runs / cell.run_id, rounds)]
    return _table(rows, RESULTS), _table(rows, TIMINGS)


def upper_baselines_table(files: Iterable[tuple[tuple[str, str, str, int], Path]]) -> pa.Table:
    """Return the accuracies with all labels, from the files that exist."""
    rows = [
        dict(
            zip(
                UPPER_BASELINES.names,
                (*names, json.loads(path.read_bytes())["accuracy"]),
                strict=True,
            )
        )
        for names, path in files
        if path.exists()
    ]
    return pa.Table.from_pylist(rows, UPPER_BASELINES)


def _table(rows: list[tuple[Cell[Setting], dict[str, Any]]], schema: pa.Schema) -> pa.Table:
    filled = []
    for cell, row in rows:
        where = dict(zip(_TEXTS, astuple(cell.setting), strict=True))
        where |= {"seed": cell.seed, "run_id": cell.run_id}
        rest = {name: row.get(_OTHER_NAMES.get(name, name)) for name in schema.names}
        filled.append(rest | where)
    return pa.Table.from_pylist(filled, schema)
