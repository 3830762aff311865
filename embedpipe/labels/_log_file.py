"""Opening the label log's file, and what SQLite's errors mean to a person."""

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
"""Seconds between two attempts to open a file that another process is just creating."""


@contextlib.contextmanager
def explained(path: Path, timeout: float) -> Iterator[None]:
    """Turn errors of SQLite into one line that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        message = {
            sqlite3.SQLITE_BUSY: (
                f"another process kept {path} busy for more than {timeout:g} s: nothing was "
                "written; try again."
            ),
            sqlite3.SQLITE_NOTADB: (
                f"{path} is not a label log: it is no SQLite database. Choose another path, or "
                "move it away."
            ),
            sqlite3.SQLITE_CORRUPT: (
                f"{path} is damaged ({error}): put back a copy; `sqlite3 {path.name} .recover` "
                "shows what is left."
            ),
            sqlite3.SQLITE_FULL: (
                f"the disk that holds {path} is full: nothing was written; make room and try again."
            ),
            sqlite3.SQLITE_READONLY: f"{path} cannot be written ({error}): check its permissions.",
            sqlite3.SQLITE_CANTOPEN: (
                f"{path} cannot be opened ({error}): check that it is a file in a folder that can "
                "be written."
            ),
        }.get(code, f"{path} cannot be read or written: {error}.")
        raise LabelError(message) from error


def open_log(path: Path, timeout: float) -> sqlite3.Connection:
    """Return a connection whose commits are durable, to a log of today's version."""
    with explained(path, timeout):
        if path.exists() and not os.access(path.parent, os.W_OK):
            return _copied(path)
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
                # While the file is made, SQLite says "busy" at once where waiting might deadlock.
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(_PAUSE)
            else:
                return connection


def _copied(path: Path) -> sqlite3.Connection:
    """Return a connection to a copy of the log in memory that cannot be written."""
    # In a read-only folder SQLite cannot open a write-ahead log, which has the last events.
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        with tempfile.TemporaryDirectory(prefix="embedpipe-") as folder:
            copy = Path(folder) / path.name
            for suffix in ("", "-wal"):
                part = path.with_name(path.name + suffix)
                if part.exists():
                    shutil.copyfile(part, copy.with_name(part.name))
            with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as whole:
                _prepare(whole, path, copy=True)
                whole.backup(memory)
        memory.execute("PRAGMA query_only = ON")
    except BaseException:
        memory.close()
        raise
    return memory


def _make_folder(path: Path) -> None:
    """Make the folder of the log such that a power cut does not take it away again."""
    if path.parent.is_dir():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent.parent)
    except OSError as error:
        raise LabelError(f"cannot make the folder {path.parent}: {error.strerror}.") from error


def _prepare(connection: sqlite3.Connection, path: Path, *, copy: bool = False) -> None:
    connection.execute("BEGIN")  # one moment of the file: another process may be migrating it
    try:
        version = version_of(connection, path)
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    finally:
        connection.execute("ROLLBACK")
    if problem != "ok":
        what = " ".join(problem.split())
        raise LabelError(
            f"{path} is damaged ({what}): put back a copy; `sqlite3 {path.name} .recover` shows "
            "what is left."
        )
    # A database in memory has no write-ahead log, and a copy is made for one.
    connection.execute(f"PRAGMA journal_mode = {'DELETE' if copy else 'WAL'}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # what "durable" takes on macOS
    connection.execute("PRAGMA cache_size = -65536")  # 64 MB: paths lie scattered in the table
    if version != VERSION:
        migrate(connection, path)
