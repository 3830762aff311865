"""Tables with a row for each item: CSV, JSON Lines, Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import FormatError
from ...tables import (
    canonical_status,
    changed_number,
    check_no_predictions,
    read_table,
    write_table,
)
from .entries import Entry
from .labelled import Labelled

__all__ = ["Row", "check_column", "label_entries", "table_rows", "write_rows"]

Row = tuple[str, Mapping[str, str]]
"""Where a row stands, and its cells by column."""

EXTRAS = ("status", "prediction", "score", "who", "model")
"""Columns that are written only if they hold something."""


def table_rows(
    path: Path,
    required: Sequence[str],
    *,
    suffix: str | None = None,
    guarded: bool = True,
    predictions: bool = False,
) -> Iterator[Row]:
    """Yield the rows of a table with the `required` columns and those of `EXTRAS` that it has.

    Parameters
    ----------
    path
        The file.
    required
        Names of columns.
    suffix, guarded
        As of `read_table`.
    predictions
        Whether a table that `predict` wrote is meant; it is refused otherwise.
    """
    table = read_table(
        path,
        required,
        EXTRAS,
        error=FormatError,
        what="file",
        suffix=suffix,
        guarded=guarded,
        exact_paths=True,  # the resolver drops blanks if no item has them
    )
    if not predictions:
        check_no_predictions(table)
    yield from table.rows()


def label_entries(path: Path, suffix: str) -> Iterator[Entry]:
    """Yield the entry of each row with the columns ``path``, ``label`` and those of `EXTRAS`.

    Without a prediction, the columns ``score`` and ``model`` are about something else: the score
    of a pick, the model of a camera.
    """
    for where, row in table_rows(path, ("path", "label"), suffix=suffix):
        more: dict[str, Any] = {name: row.get(name) for name in EXTRAS}
        if not more["prediction"]:
            more |= {"score": None, "model": None}
        if more["status"] is not None:
            more["status"] = canonical_status(more["status"]) or more["status"]
        yield Entry(where, row["path"], row["label"], **more)


def write_rows(path: Path, items: Sequence[Labelled]) -> None:
    """Write the columns ``path`` and ``label``, and those of the others that hold something."""
    kept = [item for item in items if not item.says_nothing]
    columns: dict[str, list[Any]] = {
        "path": [item.path for item in kept],
        "label": [item.label for item in kept],
    }
    for name in EXTRAS:
        values = [getattr(item, name) for item in kept]
        if any(value not in (None, "label") for value in values):
            columns[name] = values
    for name in ("label", "prediction", "who", "model"):
        check_column(columns["path"], name, columns.get(name, ()))
    write_table(columns, path)


def check_column(paths: Sequence[str], name: str, values: Sequence[str | None]) -> None:
    """Refuse a column of whole numbers with ``.0``, which a reader takes for class numbers.

    Raises
    ------
    FormatError
        If reading would change a value.
    """
    at = changed_number([value or "" for value in values])
    if at is not None:
        raise FormatError(
            f"the item {paths[at]!r} has the {name} {values[at]!r}; a table in which all are whole "
            "numbers gives it back without '.0': rename it, or choose the format label-studio."
        )
