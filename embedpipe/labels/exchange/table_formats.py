"""Tables with a row for each item: the formats csv, jsonl and parquet."""

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
    table_bytes,
)
from .entries import Entry, Labelled
from .format import Format, ReadOptions, WriteOptions, formats

__all__ = [
    "CsvFormat",
    "JsonLinesFormat",
    "ParquetFormat",
    "Row",
    "check_column",
    "table_rows",
]

Row = tuple[str, Mapping[str, str]]
"""The place of a row, and its cells by column."""

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
    """Yield the rows of a table with the `required` columns and those of `EXTRAS` that it has."""
    # A table that `predict` wrote is refused, unless `predictions` are asked for.
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


def check_column(paths: Sequence[str], name: str, values: Sequence[str | None]) -> None:
    """Refuse a column of whole numbers with ``.0``, which a reader takes for class numbers."""
    at = changed_number([value or "" for value in values])
    if at is not None:
        raise FormatError(
            f"the item {paths[at]!r} has the {name} {values[at]!r}; a table in which all are whole "
            "numbers gives it back without '.0': rename it, or choose the format label-studio."
        )


class _TableFormat(Format):
    """A table with the columns path and label, and those of `EXTRAS` that hold something."""

    carries = frozenset({"skip", "unsure", "prediction", "score", "who", "model"})

    def read_entries(self, path: Path, options: ReadOptions) -> Iterator[Entry]:
        for where, row in table_rows(path, ("path", "label"), suffix=self.suffix):
            more: dict[str, Any] = {name: row.get(name) for name in EXTRAS}
            if not more["prediction"]:  # then they are the score of a pick, the model of a camera
                more |= {"score": None, "model": None}
            if more["status"] is not None:
                more["status"] = canonical_status(more["status"]) or more["status"]
            yield Entry(where, row["path"], row["label"], **more)

    def write_items(self, path: Path, items: Sequence[Labelled], options: WriteOptions) -> None:
        kept = [item for item in items if not item.is_empty]
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
        path.write_bytes(table_bytes(columns, self.suffix))


@formats.register("csv")
class CsvFormat(_TableFormat):
    r"""A table with the columns path and label, for spreadsheets and scripts.

    The path is the item's own, relative to the dataset's folder. The columns ``status``
    (``label``, ``skip``, ``unsure``), ``prediction`` with ``score`` and ``model``, and ``who`` are
    read if they are there and written if they hold something; others are ignored. Text is UTF-8;
    the delimiter may be a semicolon or a tab. A text that a spreadsheet would calculate has an
    apostrophe before it, which is taken off again.

    Examples
    --------
    >>> file = CsvFormat().write(tmp / "labels.csv", [Labelled("a/1.jpg", "hat")])
    >>> file.read_text()
    'path,label\na/1.jpg,hat\n'
    """

    suffix = ".csv"


@formats.register("jsonl")
class JsonLinesFormat(_TableFormat):
    r"""One JSON object a line with the keys path and label, for scripts and streams.

    The other keys are those of the columns of `CsvFormat`.

    Examples
    --------
    >>> file = JsonLinesFormat().write(tmp / "labels.jsonl", [Labelled("a/1.jpg", "hat")])
    >>> file.read_text()
    '{"path": "a/1.jpg", "label": "hat"}\n'
    """

    suffix = ".jsonl"


@formats.register("parquet")
class ParquetFormat(_TableFormat):
    """A table with the columns path and label, for DuckDB, Polars and pandas.

    The other columns are those of `CsvFormat`.

    Examples
    --------
    >>> file = ParquetFormat().write(tmp / "labels.parquet", [Labelled("a/1.jpg", "hat")])
    >>> [item.label for item in ParquetFormat().read(file)]
    ['hat']
    """

    suffix = ".parquet"
