"""Opening the file of the label log, and messages for SQLite's errors."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .._files import sync_folder
from ..errors import LabelError
from ._log_schema import VERSION, migrate, version_of

_PAUSE = 0.02
"""Seconds between two attempts to open a file that another process is creating."""


@contextlib.contextmanager
def sqlite_errors_explained(path: Path, timeout: float) -> Iterator[None]:
    """Convert SQLite errors to `LabelError` with an instruction for the user."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        message = {
            sqlite3.SQLITE_BUSY: (
                f"another process locked {path} for more than {timeout:g} s. Nothing was written; "
                "try again."
            ),
            sqlite3.SQLITE_NOTADB: (
                f"{path} is not a label log, because it is not a SQLite database. Choose another "
                "path, or move this file away."
            ),
            sqlite3.SQLITE_CORRUPT: _damaged(path, str(error)),
            sqlite3.SQLITE_FULL: (
                f"the disk with {path} is full. Nothing was written; free some space and try again."
            ),
            sqlite3.SQLITE_READONLY: f"{path} cannot be written ({error}). Check its permissions.",
            sqlite3.SQLITE_CANTOPEN: (
                f"{path} cannot be opened ({error}). Check that it is a file in a writable folder."
            ),
        }.get(code, f"{path} cannot be read or written: {error}.")
        raise LabelError(message) from error


def _damaged(path: Path, problem: str) -> str:
    return (
        f"{path} is damaged ({problem}). Restore a backup, or save the readable events with "
        f"`sqlite3 {path.name} .recover`."
    )


def open_log(path: Path, timeout: float) -> sqlite3.Connection:
    """Return a connection to the log with durable commits; migrate an older log first."""
    with sqlite_errors_explained(path, timeout):
        if path.exists() and not os.access(path.parent, os.W_OK):
            return _copy_in_memory(path)
        _make_folder(path)
        deadline = time.monotonic() + timeout
        while True:
            connection = sqlite3.connect(
                path, timeout=timeout, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(connection, path)
            except BaseException as error:
                connection.close()
                # While another process creates the file, SQLite may return BUSY without waiting.
                # So try again until the deadline.
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(_PAUSE)
            else:
                return connection


def _copy_in_memory(path: Path) -> sqlite3.Connection:
    """Return a read-only connection to a copy of the log in memory."""
    # The last events are in the write-ahead log. SQLite cannot open it in a read-only folder.
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        with tempfile.TemporaryDirectory(prefix="embedpipe-") as folder:
            copy = Path(folder) / path.name
            for suffix in ("", "-wal"):
                part = path.with_name(path.name + suffix)
                if part.exists():
                    shutil.copyfile(part, copy.with_name(part.name))
            with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as on_disk:
                _prepare(on_disk, path, copy=True)
                on_disk.backup(memory)
        memory.execute("PRAGMA query_only = ON")
    except BaseException:
        memory.close()
        raise
    return memory


def _make_folder(path: Path) -> None:
    """Make the folder of the log, and sync its directory entry to disk."""
    if path.parent.is_dir():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent.parent)
    except OSError as error:
        raise LabelError(f"cannot make the folder {path.parent}: {error.strerror}.") from error


def _prepare(connection: sqlite3.Connection, path: Path, *, copy: bool = False) -> None:
    connection.execute("BEGIN")  # both reads see one snapshot, even during a migration
    try:
        version = version_of(connection, path)
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    finally:
        connection.execute("ROLLBACK")
    if problem != "ok":
        raise LabelError(_damaged(path, " ".join(problem.split())))
    connection.execute(f"PRAGMA journal_mode = {'DELETE' if copy else 'WAL'}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # durable commits on macOS
    connection.execute("PRAGMA cache_size = -65536")  # 64 MB: an item's rows are on many pages
    if version != VERSION:
        migrate(connection, path)
