"""The tables of results of an experiment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._deprecated import old_attribute
from .._html import result_html
from .analysis import summarise
from .cells import Cell, Setting
from .curves import curves_of
from .problems import Pools, SeedPool
from .run_files import picks_digests, read_rounds
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
_MEASURES = (
    "accuracy", "macro_f1", "balanced_accuracy", "ece", "cost",
    "expected_accuracy", "rest_accuracy",
)  # fmt: skip

RESULTS = pa.schema(
    [
        *_CELL,
        pa.field("pool_share", pa.float64()),
        pa.field("pool_size", pa.int64()),
        pa.field("picks", pa.string()),
        *(pa.field(name, pa.float64()) for name in _MEASURES),
        pa.field("expected_accuracy_ci", pa.list_(pa.float64(), 2)),
        pa.field("chosen_by", pa.string()),
        pa.field("fitted", pa.string()),
        pa.field("diagnostics", pa.string()),
        pa.field("advice", pa.string()),
        pa.field("test_set", pa.string()),
        pa.field("tested", pa.int32()),
        pa.field("correct", pa.binary()),
    ]
)
"""One row for each round: its cell, the pool of the seed, the measures on the test rows, and the
expected and measured accuracy on the rest of the pool. The pool is given by its share of the
candidates and its size. The attributes of the head, the diagnostics of the strategy and the advice
on stopping are JSON. `correct` has one bit for each of the `tested` test rows: whether the
prediction is right. No column depends on the time or the machine of a run."""

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
        ``docs/reference/comparison-files.md``.
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
    pools
        The pools of the seeds, by dataset and backbone.
    """

    table: pa.Table = field(repr=False)
    timings: pa.Table = field(repr=False)
    upper_baselines: pa.Table = field(repr=False)
    baseline: tuple[str, str]
    failures: tuple[Failure, ...] = ()
    folder: Path | None = None
    left_out: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict, repr=False)
    pools: Mapping[tuple[str, str], Pools] = field(default_factory=dict, repr=False)

    bounds = old_attribute("bounds", "upper_baselines")

    def _repr_html_(self) -> str:
        curves = curves_of(self.table)
        rows = [
            (
                each.setting.where,
                each.setting.chosen_by,
                each.n,
                f"{each.budgets[0]:,.0f} to {each.budgets[-1]:,.0f}",
                _mean(each.values[:, -1]),
            )
            for each in curves
        ]
        facts = [
            ("runs", sum(each.n for each in curves)),
            ("failures", len(self.failures)),
            ("folder", None if self.folder is None else str(self.folder)),
            ("statistics", "results.summary(), plot_comparison(results)"),
        ]
        headings = ["setting", "strategy", "seeds", "labels", "mean last accuracy"]
        return result_html("Results of an experiment", facts, headings, rows, n_rows=len(rows))

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


def _mean(values: NDArray[np.float64]) -> float | None:
    """Return the mean without NaN; None if there is no other value."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def rounds_tables(
    pools: Mapping[Cell[Setting], SeedPool], share: float, runs: Path, rounds: int
) -> tuple[pa.Table, pa.Table]:
    """Return the measures and the seconds of all rounds of cells; `pools` has their pools."""
    rows = []
    for cell, pool in pools.items():
        folder = runs / cell.run_id
        picks = picks_digests(folder, pool.data)
        for row in read_rounds(folder, rounds):
            more = {"pool_share": share, "pool_size": pool.size, "picks": picks.get(row["round"])}
            rows.append((cell, {**row, **more}))
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
