"""Searching files for an image: NumPy arrays, Parquet tables, zip archives and plain bytes."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import html
import json
import os
import re
import zipfile
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .._files import read_parquet

__all__ = ["all_files", "contains", "contains_name", "encodings", "file_holds"]

SEARCHED = 1 << 24
"""Maximum bytes that are searched at once."""

_PACKED = re.compile(rb'<script type="text/plain">([A-Za-z0-9+/=]+)</script>')
"""Pattern of a compressed chart in a page."""


def all_files(root: Path) -> Iterator[Path]:
    """Yield the files below a folder, without links and SQLite's shared memory."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and not name.endswith("-shm"):
                yield path


def encodings(item: str) -> set[bytes]:
    """Return the encodings of an id: as text, in JSON, in HTML, in charts and in URLs."""
    texts = {item, json.dumps(item)[1:-1], html.escape(item), quote(item), html.escape(quote(item))}
    texts.add(json.dumps(html.escape(item, quote=False), ensure_ascii=False)[1:-1])
    return {text.encode("utf-8", "surrogateescape") for text in texts}


def contains(needle: bytes) -> Callable[[bytes], bool]:
    """Return a function that tests whether data contain `needle`."""
    return lambda data: needle in data


def contains_name(needle: bytes) -> Callable[[bytes], bool]:
    """Return a function that tests whether data contain `needle` outside of longer names."""
    pattern = re.compile(rb"(?<![\w.\-])" + re.escape(needle) + rb"(?![\w\-])")
    return lambda data: pattern.search(data) is not None


def file_holds(
    path: Path,
    tests: Sequence[Callable[[bytes], bool]],
    content_ids: Sequence[bytes],
    vectors: Sequence[np.ndarray],
) -> bool:
    """Return whether a file contains the content id, path, vector or bytes of the image."""
    if any(test(os.fsencode(path.name)) for test in tests):
        return True
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"\x93NUMPY"):
        return _array_holds(path, vectors)
    if head.startswith(b"PAR1"):
        return _table_holds(path, tests, content_ids, vectors)
    if head.startswith(b"PK\x03\x04"):
        return _archive_holds(path, tests, content_ids)
    needles = [contains(vector.tobytes()) for vector in vectors]
    if path.stat().st_size <= SEARCHED:
        data = path.read_bytes()
        whole = hashlib.sha256(data).digest() in content_ids
        parts = [data, *_compressed_charts(data)]
        return whole or any(test(part) for part in parts for test in (*tests, *needles))
    return any(test(data) for data in _windows(path) for test in (*tests, *needles))


def _compressed_charts(page: bytes) -> Iterator[bytes]:
    """Yield the decompressed data of the charts of a page."""
    for packed in _PACKED.findall(page):
        with contextlib.suppress(ValueError, OSError, EOFError):  # another kind of script
            yield gzip.decompress(b64decode(packed, validate=True))


def _windows(path: Path) -> Iterator[bytes]:
    """Yield overlapping parts of a large file."""
    overlap = 1 << 16
    with path.open("rb") as file:
        before = b""
        while data := file.read(SEARCHED):
            yield before + data
            before = data[-overlap:]


def _array_holds(path: Path, vectors: Sequence[np.ndarray]) -> bool:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    if array.ndim != 2 or array.dtype != np.float32:
        return False
    rows = max(1, SEARCHED // max(1, array.shape[1] * 4))
    for vector in vectors:
        if array.shape[1] != vector.size:
            continue
        for start in range(0, len(array), rows):
            if (np.asarray(array[start : start + rows]) == vector).all(axis=1).any():
                return True
    return False


def _table_holds(
    path: Path,
    tests: Sequence[Callable[[bytes], bool]],
    content_ids: Sequence[bytes],
    vectors: Sequence[np.ndarray],
) -> bool:
    try:
        table = read_parquet(path)
    except pa.ArrowException:
        data = path.read_bytes()
        return any(test(data) for test in tests)
    contents = {*content_ids, *(vector.tobytes() for vector in vectors)}
    for column in table.columns:
        for value in pc.unique(column).to_pylist() if _is_text(column.type) else ():
            data = value.encode() if isinstance(value, str) else value
            if data is not None and (data in contents or any(test(data) for test in tests)):
                return True
        if pa.types.is_fixed_size_list(column.type):
            rows = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
            rows = rows.reshape(-1, column.type.list_size)
            if any((rows == v).all(axis=1).any() for v in vectors if v.size == rows.shape[1]):
                return True
    return False


def _is_text(kind: Any) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_fixed_size_binary(kind)
    )


def _archive_holds(
    path: Path, tests: Sequence[Callable[[bytes], bool]], content_ids: Sequence[bytes]
) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if any(test(member.filename.encode()) for test in tests):
                    return True
                if member.file_size <= SEARCHED:
                    data = archive.read(member)
                    if hashlib.sha256(data).digest() in content_ids:
                        return True
                    if any(test(data) for test in tests):
                        return True
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return any(test(path.read_bytes()) for test in tests)
    return False
