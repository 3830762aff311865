"""Rows of tables with named columns: CSV, JSON Lines, Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from ..._files import write_atomically
from ...errors import FormatError
from ..reading import _delimiter
from ..tables import write_table
from .entries import Entry
from .labelled import Labelled
from .text import parse_json, read_text

__all__ = [
    "Row",
    "csv_bytes",
    "csv_rows",
    "csv_writer",
    "jsonl_rows",
    "parquet_rows",
    "row_entry",
    "write_rows",
]

Row = tuple[str, Mapping[str, Any]]
"""Where a row stands, and its values by column."""

EXTRAS = ("status", "prediction", "score", "who", "model")
"""Columns that are written only if they hold something."""


def csv_rows(path: Path, required: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a CSV file with a header; blank rows and repeated headers are left out."""
    text = read_text(path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=_delimiter(text))
    try:
        header = next(reader, [])
        _check_columns(f"{path}, line 1", header, required)
        for fields in reader:
            if not fields or fields == header:  # files put one behind the other repeat it
                continue
            where = f"{path}, line {reader.line_num}"
            if len(fields) != len(header):
                raise FormatError(
                    f"{where}: {len(fields)} fields under a header of {len(header)}. "
                    "Quote a field that holds a comma."
                )
            yield where, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise FormatError(f"{path}, line {reader.line_num}: not CSV: {error}.") from None


def jsonl_rows(path: Path, required: Sequence[str]) -> Iterator[Row]:
    """Yield the objects of a JSON Lines file; blank lines are left out."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = parse_json(line, str(path), number)
        if not isinstance(row, dict):
            raise FormatError(f"{where}: not a JSON object.")
        _check_columns(where, row, required)
        yield where, row


def parquet_rows(path: Path, required: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a Parquet file, numbered from 0."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check_columns(str(path), names, required)
            used = [name for name in names if name in (*required, *EXTRAS)]
            columns = [column.to_pylist() for column in file.read(columns=used).columns]
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            f"{path} is not Parquet: {' '.join(str(error).split()).rstrip('.')}."
        ) from None
    for number, values in enumerate(zip(*columns, strict=True)):
        yield f"{path}, row {number}", dict(zip(used, values, strict=True))


def _check_columns(where: str, present: Iterable[str], required: Sequence[str]) -> None:
    """Refuse a table that lacks a column, has one twice that is used, or holds predictions."""
    names = list(present)
    missing = [column for column in required if column not in names]
    if missing:
        raise FormatError(
            f"{where}: the column {' and '.join(map(repr, missing))} is missing; "
            f"there is {', '.join(map(repr, names)) or 'none'}."
        )
    for column in (*required, *EXTRAS):
        if names.count(column) > 1:
            raise FormatError(f"{where}: the column {column!r} is there twice.")
    guessed = "confidence" in names and any(name.startswith("probability_") for name in names)
    if guessed and "confidence" not in required:
        raise FormatError(
            f"{where}: these are predictions, which are no labels: `predict` wrote them. To have "
            "them as labels all the same, remove the column 'confidence'."
        )


def row_entry(where: str, row: Mapping[str, Any]) -> Entry:
    """Return the entry of a row with the columns ``path``, ``label`` and the others if there.

    Without a prediction, the columns ``score`` and ``model`` are about something else: the score
    of a pick, the model of a camera.
    """
    more = {name: row.get(name) for name in EXTRAS}
    if more["prediction"] in (None, ""):
        more |= {"score": None, "model": None}
    return Entry(where, row["path"], row["label"], **more)


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
    if path.suffix.lower() == ".csv":
        write_atomically(path, csv_bytes(columns))
    else:
        write_table(columns, path)


def csv_bytes(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Return columns of equal length as CSV."""
    rows = [list(columns), *map(list, zip(*columns.values(), strict=True))]
    text = io.StringIO(newline="")
    csv_writer(text, any("\r" in str(cell) for row in rows for cell in row)).writerows(rows)
    return text.getvalue().encode()


def csv_writer(file: TextIO, returns: bool) -> Any:
    r"""Return a writer of lines that end in "\n".

    Parameters
    ----------
    file
        Open with ``newline=""``.
    returns
        Whether a cell holds a "\r": it ends a line for readers but is not quoted by itself.
    """
    if returns:
        return csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    return csv.writer(file, lineterminator="\n")
