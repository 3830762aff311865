"""The formats csv, jsonl and parquet: tables with a row for each item."""

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
"""Place of a row, and its cells by column."""

EXTRAS = ("status", "prediction", "score", "who", "model")
"""Optional columns, which are written only if they have values."""


def table_rows(
    path: Path,
    required: Sequence[str],
    *,
    suffix: str | None = None,
    guarded: bool = True,
    predictions: bool = False,
) -> Iterator[Row]:
    """Yield the rows of a table: the `required` columns, and those of `EXTRAS` that it has."""
    # Tables of `predict` are refused unless `predictions` is true.
    table = read_table(
        path,
        required,
        EXTRAS,
        error=FormatError,
        suffix=suffix,
        guarded=guarded,
        exact_paths=True,  # the resolver removes spaces if no item has them
    )
    if not predictions:
        check_no_predictions(table)
    yield from table.rows()


def check_column(paths: Sequence[str], name: str, values: Sequence[str | None]) -> None:
    """Refuse a column of whole numbers with ``.0``, because a reader removes the ``.0``."""
    at = changed_number([value or "" for value in values])
    if at is not None:
        raise FormatError(
            f"the item {paths[at]!r} has the {name} {values[at]!r}, which would be read without "
            f"'.0', because all values are whole numbers. Rename the {name}, or choose the format "
            "label-studio."
        )


class _TableFormat(Format):
    """A table with the columns path and label, and the columns of `EXTRAS` that have values."""

    carries = frozenset({"accepted", "skip", "unsure", "prediction", "score", "who", "model"})

    def read_entries(self, path: Path, options: ReadOptions) -> Iterator[Entry]:
        for where, row in table_rows(path, ("path", "label"), suffix=self.suffix):
            more: dict[str, Any] = {name: row.get(name) for name in EXTRAS}
            if not more["prediction"]:  # `score` may be the score of a pick
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

    Paths are relative to the dataset's folder. Optional columns are ``status`` (``label``,
    ``accepted``, ``skip``, ``unsure``), ``prediction`` with ``score`` and ``model``, and ``who``.
    Other columns are ignored. `embedpipe.tables.read_table` describes delimiters, encodings and
    apostrophes.

    Examples
    --------
    >>> file = CsvFormat().write(tmp / "labels.csv", [Labelled("a/1.jpg", "hat")])
    >>> file.read_text()
    'path,label\na/1.jpg,hat\n'
    """

    suffix = ".csv"


@formats.register("jsonl")
class JsonLinesFormat(_TableFormat):
    r"""JSON Lines: objects with the keys path and label, for scripts and streams.

    The optional keys are the optional columns of `CsvFormat`.

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

    The optional columns are the same as in `CsvFormat`.

    Examples
    --------
    >>> file = ParquetFormat().write(tmp / "labels.parquet", [Labelled("a/1.jpg", "hat")])
    >>> [item.label for item in ParquetFormat().read(file)]
    ['hat']
    """

    suffix = ".parquet"
