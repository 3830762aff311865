"""Atomic writes, file locks, and readers that open each file once.

A file that another process may replace is opened once, so that its schema, rows and digest match.
Paths are opened by `Path.open`, because some libraries would read a path as a URL.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import secrets
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ._storage import ObjectPath, StoredPath

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

if sys.platform != "win32":
    import fcntl

TEMPORARY_PREFIX = ".tmp-"
"""Prefix of unfinished files: readers ignore them, `cache gc` removes them."""


def is_read_only(error: OSError) -> bool:
    """Return whether an error is a lack of permission to write."""
    return error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


def temporary_path(path: Path) -> Path:
    """Return an unused temporary name beside `path`."""
    return path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(6)}-{path.name}")


def sync_folder(folder: Path) -> None:
    """Sync the renames in `folder` to the disk, if the platform supports it."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(
    path: StoredPath, data: bytes, *, overwrite: bool = True, mode: int = 0o666
) -> bool:
    """Write `data` to `path` completely or not at all; return false if an existing file is kept."""
    if isinstance(path, ObjectPath):
        return path.write(data, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_file(path) as temporary:
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError:  # a file system without hard links
                if path.exists():
                    return False
                temporary.replace(path)
    sync_folder(path.parent)
    return True


@contextlib.contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; the file is removed afterwards."""
    temporary = temporary_path(path)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder; do nothing if the system has no locks."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_parquet(path: StoredPath, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file; raise ArrowInvalid if it is damaged, OSError if it is unreadable."""
    whole = isinstance(path, ObjectPath) and columns is None  # one request instead of several
    source = io.BytesIO(path.read_bytes()) if whole else path.open("rb")
    with source as file, _parquet(file) as opened:
        if columns is not None and (missing := set(columns) - set(opened.schema_arrow.names)):
            raise _invalid(f"it has no column {sorted(missing)[0]!r}")
        return opened.read(columns=columns, use_threads=False)


def count_rows(path: Path) -> int:
    """Return the number of rows of a Parquet file; raise the errors of `read_parquet`."""
    with path.open("rb") as file, _parquet(file) as opened:
        return int(opened.metadata.num_rows)


def write_parquet(path: StoredPath, table: pa.Table, compression: str = "snappy") -> None:
    """Write a Parquet file with checksums, atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression=compression, write_page_checksum=True)
    write_atomically(path, sink.getvalue().to_pybytes())


@contextlib.contextmanager
def _parquet(file: BinaryIO) -> Iterator[Any]:
    """Open a Parquet file; raise ArrowInvalid if it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as opened:
            yield opened
    except OSError as error:
        if error.errno is not None:  # an error of the file system, not damage
            raise
        raise _invalid(str(error)) from error
    except (KeyError, ValueError, UnicodeDecodeError) as error:
        if isinstance(error, pa.ArrowException):
            raise
        raise _invalid(str(error)) from error


def _invalid(reason: str) -> Exception:
    import pyarrow as pa

    return pa.ArrowInvalid(reason)  # type: ignore[no-any-return]


def map_array(file: BinaryIO) -> np.memmap[Any, Any]:
    """Map a ``.npy`` file, open at its start, into memory; raise ValueError if it is invalid."""
    import numpy as np

    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    try:
        shape, by_column, dtype = read(file)
    except tokenize.TokenError as error:
        raise ValueError(f"its header is damaged: {error.args[0]}") from error
    if dtype.hasobject:
        raise ValueError("it contains objects, not numbers")
    order = "F" if by_column else "C"
    mapped: np.memmap[Any, Any] = np.memmap(
        file,  # type: ignore[call-overload]  # a file for reading has no `write`
        dtype=dtype, mode="r", offset=file.tell(), shape=shape, order=order,
    )  # fmt: skip
    return mapped


SETTLED_NS = 2_000_000_000
"""Minimum age of a file when it is checked, in nanoseconds.

File systems have time steps of up to two seconds, so a younger file may change without a new time
stamp. Such a file is checked again.
"""


class CheckedFiles:
    """The digests of files of a folder that were checked before, in ``checked.json``.

    A file with an unchanged size, time stamps and inode is not read again. A damaged or missing
    ``checked.json`` only means that files are checked again.
    """

    NAME = "checked.json"

    def __init__(self, folder: Path) -> None:
        self._path = folder / self.NAME

    def knows(self, name: str, stat: os.stat_result, digest: str) -> bool:
        """Return whether the file with this `stat` had this digest."""
        return bool(self._read().get(name) == [*_stamp(stat), digest])

    def add(self, name: str, stat: os.stat_result, digest: str, now: int) -> None:
        """Remember the digest of a checked file, unless it was too young at its `stat`.

        `now` is the time of the `stat` in nanoseconds: the file may change while it is read.
        """
        if max(stat.st_mtime_ns, stat.st_ctime_ns) + SETTLED_NS > now:
            return
        known = {**self._read(), name: [*_stamp(stat), digest]}
        with contextlib.suppress(OSError):  # a read-only folder
            write_atomically(self._path, json.dumps(known).encode())

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


def _stamp(stat: os.stat_result) -> tuple[int, int, int, int]:
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
