"""Reading label files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import LabelError
from ._formats import COLUMNS, format_of

_Entry = tuple[int, Any, Any]
"""The number of a line or row in its file, the path and the label as they stand there."""


def read_labels(path: str | Path) -> dict[str, str]:
    r"""Read a file that says which item has which label.

    Parameters
    ----------
    path
        A ``.csv`` with a header, a ``.jsonl`` or a ``.parquet`` file with the columns ``path``
        (relative to the dataset's folder) and ``label``; others are ignored. Text is UTF-8,
        with or without a byte-order mark. Labels may be whole numbers; spaces around a label
        are dropped. A blank label means unlabelled and is left out. A path may appear again
        with the same label.

    Returns
    -------
    dict
        Label by path, in the order of the file.

    Raises
    ------
    LabelError
        If the file is missing, damaged or of another format, lacks a column, or gives one path
        two labels.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "labels.csv"
    ...     _ = file.write_text("path,label\ncats/1.jpg,cat\ncats/2.jpg,\n")
    ...     read_labels(file)
    {'cats/1.jpg': 'cat'}
    """
    path = Path(path)
    suffix = format_of(path)
    if not path.is_file():
        raise LabelError(f"there is no label file at {path}.")
    entries = {".csv": _csv_entries, ".jsonl": _jsonl_entries, ".parquet": _parquet_entries}
    return _collect(path, suffix, entries[suffix](path))


def _collect(path: Path, suffix: str, entries: Iterable[_Entry]) -> dict[str, str]:
    """Check the entries one by one and key the labels by path."""
    unit = "row" if suffix == ".parquet" else "line"
    labels: dict[str, str] = {}
    for number, item, label in entries:
        where = f"{path}, {unit} {number}"
        if not isinstance(item, str) or not item.strip():
            raise LabelError(f"{where}: the path is {item!r}; it must be a text that is not empty.")
        text = _label_text(where, label)
        if not text:
            continue
        if labels.setdefault(item, text) != text:
            raise LabelError(
                f"{where}: {item!r} is labelled {text!r}, but {labels[item]!r} before. "
                "Keep one of the two."
            )
    return labels


def _label_text(where: str, label: Any) -> str:
    """Return a label as text, empty if there is none."""
    if label is None:
        return ""
    if isinstance(label, bool) or not isinstance(label, str | int):
        raise LabelError(f"{where}: the label {label!r} is neither a text nor a whole number.")
    return str(label).strip()


def _text(path: Path) -> str:
    """Return the text of a file, without its byte-order mark."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelError(
            f"{path} is not UTF-8 text: byte {error.start} does not fit. Save it again as UTF-8."
        ) from None


def _check_columns(path: Path, present: Iterable[str]) -> None:
    """Refuse a file that lacks a column or has it twice."""
    names = list(present)
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise LabelError(
            f"{path} lacks the column {' and '.join(map(repr, missing))}; "
            f"it has {', '.join(map(repr, names)) or 'none'}."
        )
    for column in COLUMNS:
        if names.count(column) > 1:
            raise LabelError(f"{path} has the column {column!r} {names.count(column)} times.")


def _csv_entries(path: Path) -> Iterator[_Entry]:
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=_delimiter(text))
    try:
        header = next(reader, [])
        _check_columns(path, header)
        item, label = (header.index(column) for column in COLUMNS)
        for fields in reader:
            if not fields or fields == header:  # files put one behind the other repeat it
                continue
            if len(fields) != len(header):
                raise LabelError(
                    f"{path}, line {reader.line_num}: {len(fields)} fields under a header of "
                    f"{len(header)}. Quote a field that holds a comma."
                )
            yield reader.line_num, fields[item], fields[label]
    except csv.Error as error:
        raise LabelError(f"{path}, line {reader.line_num}: not CSV: {error}.") from None


def _delimiter(text: str) -> str:
    """Return what separates the columns: spreadsheets of many countries write semicolons."""
    header = text.split("\n", maxsplit=1)[0]
    for other in (";", "\t"):
        if "," not in header and other in header:
            return other
    return ","


def _jsonl_entries(path: Path) -> Iterator[_Entry]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise LabelError(f"{path}, line {number}: not JSON: {error}.") from None
        if not isinstance(entry, dict):
            raise LabelError(f"{path}, line {number}: not a JSON object.")
        _check_columns(Path(f"{path}, line {number}"), entry)
        yield number, entry["path"], entry["label"]


def _parquet_entries(path: Path) -> Iterator[_Entry]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names)
            table = file.read(columns=list(COLUMNS))
    except (pa.ArrowException, OSError) as error:
        raise LabelError(f"{path} is not Parquet: {' '.join(str(error).split())}") from None
    pairs = zip(*(table[column].to_pylist() for column in COLUMNS), strict=True)
    for number, (item, label) in enumerate(pairs):
        yield number, item, label
