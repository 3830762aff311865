"""Writing tables for people and other programs: predictions, picks."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .._files import write_atomically
from ..errors import LabelError
from ._formats import format_of

__all__ = ["write_table"]


def write_table(columns: Mapping[str, Sequence[Any]], path: str | Path) -> Path:
    """Write columns of equal length as a ``.csv``, ``.jsonl`` or ``.parquet`` file.

    Parameters
    ----------
    columns
        Values by column name: texts, numbers or None, as lists or arrays.
    path
        The file, written whole or not at all.

    Raises
    ------
    LabelError
        If the suffix is another, or the file cannot be written.

    Examples
    --------
    >>> print(write_table({"path": ["a.jpg"], "score": [0.5]}, tmp / "t.csv").read_text())
    path,score
    a.jpg,0.5
    <BLANKLINE>
    """
    path = Path(path)
    encode = {".csv": _csv_bytes, ".jsonl": _jsonl_bytes, ".parquet": _parquet_bytes}
    try:
        write_atomically(path, encode[format_of(path)](columns))
    except OSError as error:
        raise LabelError(f"cannot write {path}: {error.strerror or error}.") from error
    return path


def _csv_bytes(columns: Mapping[str, Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


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

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), sink)
    return bytes(sink.getvalue().to_pybytes())
