"""Datasets listed in a table: a CSV, JSON Lines or Parquet file with a `path` column."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from sys import intern
from typing import Any

from ..errors import DatasetError
from .archive import ARCHIVE_SUFFIXES, open_archive
from .dataset import Dataset, sorted_class_names
from .download import fetch, is_url
from .folder import FolderSource
from .identifiers import encode_id
from .item import Item
from .names import path_name
from .registry import Request
from .source import Source
from .splits import SPLIT_NAMES, canonical_split
from .suffixes import suffix_of

__all__ = ["MANIFEST_SUFFIXES", "load_manifest"]

Row = Mapping[str, Any]
Rows = Iterator[tuple[str, Row]]
"""Where each row is, for messages, and its values by column; the columns that are used."""


def load_manifest(path: str, request: Request | None = None) -> Dataset:
    """Return the dataset that a manifest lists.

    The column ``path`` is required; ``label``, ``split`` and ``bucket`` are used where they are
    there, other columns are not looked at. In a file called ``metadata.csv`` (``.jsonl``,
    ``.parquet``) the path may be called ``file_name``. Images that are missing are listed all the
    same, and reported when they are read.

    Parameters
    ----------
    path
        The manifest.
    request
        Its source is the folder, the archive or the URL of an archive that the paths are relative
        to; by default the folder that the manifest is in. An absolute path inside of that folder
        becomes a relative one.

    Raises
    ------
    DatasetError
        If it cannot be read, has no path column, lists a path twice, or a split is none.
    """
    absolute = os.path.abspath(path)
    images = _images(request or Request(), os.path.dirname(absolute))
    root = images.location if isinstance(images, FolderSource) else None
    lines: dict[str, str] = {}
    items = []
    for where, row in _rows(absolute):
        item = _item(row, root, f"{where} of manifest {encode_id(absolute)!r}")
        if item.id in lines:
            raise DatasetError(
                f"manifest {encode_id(absolute)!r} lists {item.id!r} twice, in {lines[item.id]} "
                f"and {where}; keep one of them."
            )
        lines[item.id] = where
        items.append(item)
    if not items:
        raise DatasetError(f"manifest {encode_id(absolute)!r} lists no images: it has no rows.")
    items.sort(key=lambda item: item.id)
    return Dataset(path_name(absolute), tuple(items), images, sorted_class_names(items))


def _images(request: Request, folder: str) -> Source:
    source = request.source or folder
    path = os.path.expanduser(source)
    if is_url(source):
        path = str(fetch(source, request.directory, request.progress))
    if os.path.isdir(path):
        return FolderSource(path)
    if os.path.isfile(path):
        return open_archive(path)
    raise DatasetError(
        f"no such source: {encode_id(path)!r}; give the folder or the archive "
        f"({', '.join(ARCHIVE_SUFFIXES)}) that the manifest's paths are relative to."
    )


def _item(row: Row, root: str | None, where: str) -> Item:
    path = _text(row.get("path"))
    if path is None:
        raise DatasetError(f"{where} has no path; fill it in or remove the row.")
    name = _text(row.get("split"))
    split = canonical_split(name) if name else None
    if name and not split:
        known = ", ".join(name for names in SPLIT_NAMES.values() for name in names)
        raise DatasetError(f"{where} has the split {name!r}; known splits: {known}.")
    label, bucket = _text(row.get("label")), _text(row.get("bucket"))
    return Item(_id(path, root), label and intern(label), split, bucket and intern(bucket))


def _id(path: str, root: str | None) -> str:
    """Return `path` relative to `root` if it is inside of it, else as it is, tidied."""
    path = path.replace(os.sep, "/")
    if os.path.isabs(path):
        path = os.path.normpath(path).replace(os.sep, "/")
        return path.removeprefix(root.rstrip("/") + "/") if root else path
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _text(value: object) -> str | None:
    """Return a value as the text of a label, None if there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of class numbers with gaps is read as floats
    return str(value).strip() or None


def _rows(path: str) -> Rows:
    readers: dict[str, Callable[[str], Rows]] = {
        ".csv": _csv_rows,
        ".jsonl": _json_rows,
        ".parquet": _parquet_rows,
    }
    try:
        yield from readers[suffix_of(os.path.basename(path))](path)
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"manifest {encode_id(path)!r} is not UTF-8; save it as UTF-8."
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DatasetError(f"manifest {encode_id(path)!r} cannot be read: {reason}.") from error


MANIFEST_SUFFIXES = (".csv", ".jsonl", ".parquet")
"""Of the files that are taken for manifests; in lower case."""


def _csv_rows(path: str) -> Rows:
    # "utf-8-sig": spreadsheets put a byte order mark before the first column's name.
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, skipinitialspace=True)
        columns = _columns(path, [name.strip() for name in next(reader, [])])
        for values in reader:
            if any(value.strip() for value in values):
                row = dict(zip(columns, values, strict=False))
                yield f"line {reader.line_num}", row


def _json_rows(path: str) -> Rows:
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"line {number}"
            row = _json_object(line, f"{where} of manifest {encode_id(path)!r}")
            yield where, dict(zip(_columns(path, list(row)), row.values(), strict=True))


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{where} is not JSON: {error}.") from error
    if not isinstance(row, dict):
        raise DatasetError(f"{where} is not a JSON object with a 'path'.")
    return row


def _parquet_rows(path: str) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            columns = dict(zip(_columns(path, names), names, strict=True))
            used = {use: columns[use] for use in _COLUMNS if use in columns}
            table = file.read(columns=list(used.values()))
    except pa.ArrowInvalid as error:
        raise DatasetError(f"manifest {encode_id(path)!r} is not a Parquet file.") from error
    values = [table.column(name).to_pylist() for name in used.values()]
    for number, row in enumerate(zip(*values, strict=True), start=1):
        yield f"row {number}", dict(zip(used, row, strict=True))


_COLUMNS = ("path", "label", "split", "bucket")


def _columns(path: str, columns: list[str]) -> list[str]:
    """Return `columns` with the one that holds the path called ``path``."""
    if "path" in columns:
        return columns
    base = os.path.basename(path)
    if base.lower().startswith("metadata.") and "file_name" in columns:
        return ["path" if name == "file_name" else name for name in columns]
    found = ", ".join(map(repr, columns)) or "none"
    raise DatasetError(f"manifest {encode_id(path)!r} has no column 'path'; its columns: {found}.")
