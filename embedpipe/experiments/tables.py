"""From runs on disk to the tables of a grid."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .cell import Cell
from .stored import read_rounds

if TYPE_CHECKING:
    from .._workspace import Workspace
    from .grid import BoundEntry

__all__ = ["BOUNDS", "RESULTS", "TIMINGS", "bounds_table", "rounds_tables"]

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
"""One row a round: where it stands, what was measured on the test rows, what was told; the last
three as JSON. Nothing in it depends on when or where it was computed."""

TIMINGS = pa.schema(
    [*_CELL, pa.field("select_seconds", pa.float64()), pa.field("fit_seconds", pa.float64())]
)
"""One row a round: how long it took."""

BOUNDS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("dataset", "backbone", "head")),
        pa.field("seed", pa.int64()),
        pa.field("accuracy", pa.float64()),
    ]
)
"""One row for each problem and head: the accuracy with all labels."""

_OTHER_NAMES = {"chosen_by": "strategy", "fitted": "head"}
"""What the columns are called in the file of a run."""


def rounds_tables(cells: Iterable[Cell], runs: Path, rounds: int) -> tuple[pa.Table, pa.Table]:
    """Return the rounds of the cells, in their order: what was measured, and how long it took."""
    rows = [(cell, row) for cell in cells for row in read_rounds(runs / cell.run_id, rounds)]
    return _table(rows, RESULTS), _table(rows, TIMINGS)


def bounds_table(bounds: Iterable[BoundEntry], workspace: Workspace) -> pa.Table:
    """Return the accuracies with all labels that have been found."""
    rows = []
    for bound in bounds:
        path = bound.path(workspace)
        if path.exists():
            accuracy = json.loads(path.read_bytes())["accuracy"]
            source = bound.source
            row = (source.dataset, source.backbone, bound.head.name, bound.seed, accuracy)
            rows.append(dict(zip(BOUNDS.names, row, strict=True)))
    return pa.Table.from_pylist(rows, BOUNDS)


def _table(rows: list[tuple[Cell, dict[str, Any]]], schema: pa.Schema) -> pa.Table:
    filled = []
    for cell, row in rows:
        where = dict(zip(_TEXTS, astuple(cell.setting), strict=True))
        where |= {"seed": cell.seed, "run_id": cell.run_id}
        rest = {name: row.get(_OTHER_NAMES.get(name, name)) for name in schema.names}
        filled.append(rest | where)
    return pa.Table.from_pylist(filled, schema)
