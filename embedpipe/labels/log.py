"""The label log: every event about the images and classes of all datasets."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from .._files import sync_folder, temporary_file
from ..errors import LabelError, UnknownNameError, UsageError
from ._log_file import explained, open_log
from ._log_schema import CLASSES, COLUMNS, CURRENT
from .log_event import Event, checked
from .log_state import Current, Matched, match

__all__ = ["LabelLog"]

_WRITTEN = COLUMNS[1:]
_NAMES = ", ".join((*_WRITTEN, "id"))  # the order of the fields of Event
_INSERT = (
    f"INSERT INTO events ({', '.join(_WRITTEN)}) VALUES ({', '.join(f':{n}' for n in _WRITTEN)})"
)
_READ_AT_ONCE = 1000

_FORGET = (
    "UPDATE events SET kind = CASE kind WHEN 'label' THEN 'new_class' ELSE 'forgotten' END, "
    "path = NULL, content_id = NULL, model = NULL, suggestion = NULL WHERE path IS NOT NULL"
)


class LabelLog:
    """Keep the events of labelling in one file that survives kills and power cuts.

    Events are only ever added. `append` returns when they are on the disk. Several processes, and
    several threads of each, may read and write at once.

    Parameters
    ----------
    path
        The SQLite file, ``labels.sqlite`` in a workspace. It is made if it is not there; a log of
        an older version is migrated. It must lie on a local disk: SQLite's write-ahead log does
        not work over network file systems.
    timeout
        Seconds to wait for another process that is writing.

    Raises
    ------
    LabelError
        If the file is damaged, holds something else, was written by a newer version, or cannot
        be opened. It is left as it was.

    Notes
    -----
    Opening checks the file, in time linear in its size. Appending takes logarithmic time and
    waits for one flush of the disk for each call, not for each event. A file has 200 bytes for
    each event, and up to 64 MB of it are held in memory. Measured
    times are in ``docs/benchmarks/label-log.md``.

    Examples
    --------
    >>> with LabelLog(tmp / "labels.sqlite") as log:
    ...     _ = log.append([Event("label", "shop", "red/1.jpg", label="cap", who="ann")])
    ...     _ = log.append([Event("rename_class", "shop", label="hat", previous="cap", who="ann")])
    ...     print(log.current("shop")["red/1.jpg"].label, log.classes("shop"))
    ...     undone = log.undo("shop", who="ann")
    ...     print(undone[0].kind, log.current("shop")["red/1.jpg"].label)
    hat ['hat']
    rename_class cap
    """

    def __init__(self, path: str | Path, *, timeout: float = 30.0) -> None:
        self.path = Path(path)
        self._timeout = timeout
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = open_log(self.path, timeout)

    def __repr__(self) -> str:
        return f"LabelLog({str(self.path)!r})"

    def __enter__(self) -> LabelLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. It may be left out: no event waits to be written."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def append(self, events: Sequence[Event]) -> list[int]:
        """Add events, all or none, and return when they are on the disk.

        A label of a class that is not there makes the class. A class may be made twice.

        Parameters
        ----------
        events
            In order; one with ``at=None`` gets the current time.

        Returns
        -------
        list of int
            Their ids: rising, and in the order in which events of all processes were written.

        Raises
        ------
        LabelError
            If an event is malformed, renames a class to one that is there, undoes what cannot be
            undone, or the file cannot be written. None of them is in the log then.
        UnknownNameError
            If a class that is renamed or merged, or merged into, is not there.
        """
        complete = [checked(event) for event in events]
        with self._writing() as connection:
            return [_insert(connection, event) for event in complete]

    def undo(self, dataset: str, who: str | None, n: int = 1) -> list[Event]:
        """Undo the last events of a person that are not undone yet, by events as well.

        Labels, skips and classes are undone; undoing is not. Events of others stay.

        Parameters
        ----------
        dataset, who
            The dataset and the annotator.
        n
            Number of events.

        Returns
        -------
        list of Event
            The undone events, the latest first; fewer than `n` if there are no more.

        Raises
        ------
        UsageError
            If `n` is less than 1.

        Notes
        -----
        Looks back through the log until `n` are found.
        """
        if n < 1:
            raise UsageError(f"cannot undo {n} events: ask for 1 or more.")
        with self._writing() as connection:
            found = connection.execute(
                f"SELECT {_NAMES} FROM live WHERE dataset = ? AND who IS ? "
                "ORDER BY id DESC LIMIT ?",
                (dataset, who, n),
            ).fetchall()
            undone = [Event(*row) for row in found]
            for event in undone:
                _insert(connection, checked(Event("undo", dataset, who=who, undoes=event.id)))
            return undone

    def events(self, after: int = 0) -> Iterator[Event]:
        """Yield the events with an id above `after`, in order.

        The last id is a bookmark: asked again with it, the log yields what is new. A thousand
        events are held at once, and writers are not kept waiting.
        """
        while True:
            with self._reading() as connection:
                rows = connection.execute(
                    f"SELECT {_NAMES} FROM events WHERE id > ? ORDER BY id LIMIT ?",
                    (after, _READ_AT_ONCE),
                ).fetchall()
            if not rows:
                return
            for row in rows:
                yield Event(*row)
            after = rows[-1][-1]

    def event(self, event_id: int) -> Event:
        """Return one event.

        Raises
        ------
        LabelError
            If there is none with this id.
        """
        query = f"SELECT {_NAMES} FROM events WHERE id = ?"
        with self._reading() as connection:
            row = connection.execute(query, (event_id,)).fetchone()
        if row is None:
            raise LabelError(f"{self.path} has no event {event_id}.")
        return Event(*row)

    def current(self, dataset: str, path: str | None = None) -> dict[str, Current]:
        """Return the current label or mark of each item of a dataset that has events, by path.

        Cleared items are there, with the kind ``"clear"`` and without a label. The same can be
        read from the view ``current`` of the file with any SQLite client.

        Parameters
        ----------
        dataset
            Its name.
        path
            The one item to return; None for all.

        Notes
        -----
        Time is linear in the dataset's events, or in those of the item; memory is 0.53 KB for
        each item, 0.71 KB at the peak.
        """
        of_item = "" if path is None else "AND path = :path"
        query = CURRENT.format(of_dataset=f"AND dataset = :dataset {of_item}")
        with self._reading() as connection:
            rows = connection.execute(query, {"dataset": dataset, "path": path}).fetchall()
        return {
            path: Current(label, kind, by, at, event_id, content_id)
            for _, path, label, kind, by, at, event_id, content_id in sorted(rows, key=_path)
        }

    def current_for(self, dataset: str, items: Mapping[str, bytes | None]) -> Matched:
        """Return the current labels of the items that a dataset has today, moved files included.

        An item is matched by its path. Where the log does not have the path, it is matched by its
        content, if a file with those bytes is gone and all labels of those bytes are the same. A
        copy of a file that is still there is an item of its own. An item with other bytes than
        those that were labelled under its path is reported as edited, and has no label.

        Parameters
        ----------
        dataset
            Its name.
        items
            The content id of each item of the dataset by path, None where it is not known.

        Notes
        -----
        Time and memory are linear in the dataset's events and items.
        """
        return match(self.current(dataset), items)

    def classes(self, dataset: str) -> list[str]:
        """Return the classes of a dataset, in order of first appearance.

        A class that others were merged into stands where the first of them did.

        Notes
        -----
        Time is linear in the dataset's events.
        """
        with self._reading() as connection:
            return _classes(connection, dataset)

    def forget(self, paths: Collection[tuple[str, str]], content_ids: Collection[bytes]) -> int:
        """Take items out of the log for good: the one change to events that were written.

        An event about such an item stays under its id, so that nobody's bookmark is wrong, but
        without path, content, label and suggestion; its kind becomes ``"forgotten"``. A label's
        becomes ``"new_class"`` and keeps the class, so that no class vanishes. The file is then
        written anew, so that no deleted bytes are left in it.

        Returns
        -------
        int
            Number of events that were changed.

        Raises
        ------
        LabelError
            If the file cannot be written, or another process keeps it busy.
        """
        changed = 0
        with self._writing() as connection:
            (trigger,) = connection.execute(
                "SELECT sql FROM sqlite_master WHERE name = 'events_stay'"
            ).fetchone()
            connection.execute("DROP TRIGGER events_stay")
            for dataset, path in paths:
                changed += connection.execute(
                    f"{_FORGET} AND dataset = ? AND path = ?", (dataset, path)
                ).rowcount
            for content_id in content_ids:
                changed += connection.execute(
                    f"{_FORGET} AND content_id = ?", (content_id,)
                ).rowcount
            connection.execute(trigger)
        # Also if nothing was changed now: an earlier call may have been stopped before this.
        with self._reading() as connection:
            connection.execute("VACUUM")
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise LabelError(
                f"another process reads {self.path}: the events are cleared, but their bytes are "
                "still in the file. End that process, then run the same command again."
            )
        return changed

    def backup(self, path: str | Path) -> Path:
        """Write a copy of the log as it is at one moment, while others go on writing.

        Raises
        ------
        LabelError
            If there is a file at `path` already, or it cannot be written.
        """
        path = Path(path)
        if path.exists():
            raise LabelError(f"{path} is there already: choose another path for the copy.")
        with self._reading() as connection, explained(path, self._timeout):
            with temporary_file(path) as unfinished:
                connection.execute("VACUUM INTO ?", (str(unfinished),))
                unfinished.replace(path)
            sync_folder(path.parent)
        return path

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection to one thread at a time."""
        with self._lock, explained(self.path, self._timeout):
            if self._process != os.getpid():
                raise LabelError(
                    f"{self.path} was opened by the process that this one was forked from: open it "
                    "again."
                )
            if self._connection is None:
                raise LabelError(f"{self.path} was closed: open it again.")
            yield self._connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Commit what the block does, durably, or undo all of it."""
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def _path(row: Sequence[str]) -> str:
    return row[1]


def _insert(connection: sqlite3.Connection, event: Event) -> int:
    """Add one event if it makes sense after those before it."""
    if event.previous is not None:
        _check_move(event, _classes(connection, event.dataset))
    if event.undoes is not None:
        _check_undo(connection, event)
    values = {name: getattr(event, name) for name in _WRITTEN}
    return int(connection.execute(_INSERT, values).lastrowid or 0)


def _classes(connection: sqlite3.Connection, dataset: str) -> list[str]:
    return [label for (label,) in connection.execute(CLASSES, {"dataset": dataset})]


def _check_move(event: Event, classes: list[str]) -> None:
    """Refuse to rename or merge what is not there, or to hide a merge in a new name."""
    needed = [event.previous] + [event.label] * (event.kind == "merge_class")
    for name in needed:
        if name not in classes:
            raise UnknownNameError("class", str(name), classes)
    if event.kind == "rename_class" and event.label in classes:
        raise LabelError(
            f"class {event.previous!r} cannot be renamed to {event.label!r}, which is a class "
            "already: merge the two, or choose another name."
        )


def _check_undo(connection: sqlite3.Connection, event: Event) -> None:
    """Refuse to undo what is not there, is undone, or is an undoing itself."""
    row = connection.execute(
        "SELECT kind FROM live WHERE id = ? AND dataset = ?", (event.undoes, event.dataset)
    ).fetchone()
    if row is None:
        raise LabelError(
            f"event {event.undoes} of {event.dataset!r} cannot be undone: it is not there, is "
            "undone already, or undoes another."
        )
