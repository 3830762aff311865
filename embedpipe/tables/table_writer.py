"""Writing CSV, JSON Lines and Parquet tables."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from .._files import write_atomically
from ..errors import LabelError
from .csv_text import guard
from .table_reader import table_format

__all__ = ["csv_bytes", "csv_writer", "table_bytes", "write_table"]


def write_table(columns: Mapping[str, Sequence[Any]], path: str | os.PathLike[str]) -> Path:
    """Write columns of equal length atomically as a ``.csv``, ``.jsonl`` or ``.parquet`` file.

    Values are strings, numbers or None. See `guard` for formulas in CSV.

    Examples
    --------
    >>> columns = {"path": ["a.jpg", "=b.jpg"], "score": [0.5, -2.0]}
    >>> print(write_table(columns, tmp / "t.csv").read_text())
    path,score
    a.jpg,0.5
    '=b.jpg,-2.0
    <BLANKLINE>
    """
    path = Path(path)
    try:
        write_atomically(path, table_bytes(columns, table_format(path)))
    except OSError as error:
        raise LabelError(f"cannot write {path}: {error.strerror or error}.") from error
    return path


def table_bytes(columns: Mapping[str, Sequence[Any]], suffix: str) -> bytes:
    """Return columns of equal length as the content of a file with this suffix."""
    encode = {".csv": csv_bytes, ".jsonl": _jsonl_bytes, ".parquet": _parquet_bytes}
    return encode[suffix](columns)


def csv_bytes(columns: Mapping[str, Sequence[Any]], *, guarded: bool = True) -> bytes:
    """Return columns of equal length as CSV, with `guard` applied to text if `guarded`."""
    rows = [list(columns), *map(list, zip(*columns.values(), strict=True))]
    if guarded:
        rows = [[guard(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    text = io.StringIO(newline="")
    csv_writer(text, (cell for row in rows for cell in row)).writerows(rows)
    return text.getvalue().encode()


def csv_writer(file: TextIO, cells: Iterable[Any]) -> Any:
    r"""Return a CSV writer for all `cells` of a file that is open with ``newline=""``."""
    # A reader would end a line at a bare "\r" and remove spaces at the ends of a cell. The
    # standard writer does not quote these cells, so here all cells are quoted.
    if any(isinstance(cell, str) and ("\r" in cell or cell != cell.strip(" \t")) for cell in cells):
        return csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    return csv.writer(file, lineterminator="\n")


def _jsonl_bytes(columns: Mapping[str, Sequence[Any]]) -> bytes:
    rows = zip(*columns.values(), strict=True)
    lines = (
        json.dumps(dict(zip(columns, map(_plain, row), strict=True)), ensure_ascii=False)
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines).encode()


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _parquet_bytes(columns: Mapping[str, Sequence[Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {name: pa.array(values) for name, values in columns.items()}
    for name, array in arrays.items():
        if pa.types.is_null(array.type):  # with only nulls, the type is unknown
            arrays[name] = array.cast(pa.string())
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays), sink)
    return bytes(sink.getvalue().to_pybytes())
