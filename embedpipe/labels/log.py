"""The label log: all events about the images and classes of all datasets."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from .._files import sync_folder, temporary_file
from ..errors import LabelError, UnknownNameError, UsageError
from ._log_file import open_log, sqlite_errors_explained
from ._log_schema import CLASSES, COLUMNS, CURRENT
from .log_event import LINK, Event, validated_events
from .log_state import Current, Matched, match

__all__ = ["LabelLog"]

_WRITTEN = COLUMNS[1:]
_NAMES = ", ".join((*_WRITTEN, "id"))  # the order of the fields of Event
_INSERT = (
    f"INSERT INTO events ({', '.join(_WRITTEN)}, act) "
    f"VALUES ({', '.join(f':{n}' for n in _WRITTEN)}, :act)"
)

_BATCH = 1000
"""Maximum events in one query of `LabelLog.events`."""

_FORGET = (
    "UPDATE events SET "
    "kind = CASE WHEN kind IN ('label', 'accept') THEN 'new_class' ELSE 'forgotten' END, "
    "path = NULL, content_id = NULL, model = NULL, suggestion = NULL WHERE path IS NOT NULL"
)


class LabelLog:
    """Append-only log of labelling events in a durable SQLite file.

    `append` returns after its events are on the disk. Several processes and threads can read and
    write at the same time.

    Parameters
    ----------
    path
        The SQLite file, ``labels.sqlite`` in a workspace. A missing file is created, and an old
        file is migrated. The file must be on a local disk, because SQLite's write-ahead log does
        not work over network file systems.
    timeout
        Maximum seconds to wait for another process that is writing.

    Notes
    -----
    Opening takes time linear in the size of the file. `append` waits for one disk flush per call.
    An event takes 200 bytes on the disk; up to 64 MB of the file are cached in memory. Measured
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
        self._links: dict[str, str] = {}  # the dataset whose labels a linked dataset has
        self._links_read = 0  # id of the last event that was searched for links

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
        """Close the file. All events are on the disk already."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def append(self, events: Sequence[Event]) -> list[int]:
        """Append events as one act, all or none, and return their ids after they are on the disk.

        `undo` undoes all events of an act. A label of a new class creates the class. The ids rise
        in the order of writing across all processes.

        Raises
        ------
        LabelError
            If an event is malformed, renames a class to an existing class, or undoes an event that
            cannot be undone. Also if the file cannot be written. In all cases, no event is
            appended.
        UnknownNameError
            If a class that is deleted, renamed, merged or merged into does not exist.
        """
        return self.append_acts([events])

    def append_acts(self, acts: Iterable[Iterable[Event]]) -> list[int]:
        """Append the events of several acts, all or none; see `append`."""
        complete = [validated_events(events) for events in acts]
        ids = []
        with self._writing() as connection:
            # Links are read before the first insert. The id of an event that is rolled back is used
            # again, perhaps for a link, which would then count as read.
            stored = [[self._of_linked(connection, each) for each in act] for act in complete]
            for events in stored:
                act = _next_id(connection)
                ids += [_insert(connection, event, act) for event in events]
        return ids

    def link(self, dataset: str, other: str) -> None:
        """Give a dataset the labels of another dataset of this log, instead of its own labels.

        From now on, both names read and write the same events. If `other` is the name of the
        dataset itself, the dataset has its own labels again.

        Examples
        --------
        >>> with LabelLog(tmp / "labels.sqlite") as log:
        ...     _ = log.append([Event("label", "old-place", "1.jpg", label="cap")])
        ...     log.link("new-place", "old-place")
        ...     print(log.dataset_of("new-place"), log.current("new-place")["1.jpg"].label)
        old-place cap
        """
        target = dataset if other == dataset else self.dataset_of(other)
        if other == dataset or target not in {dataset, self.dataset_of(dataset)}:
            self.append([Event(LINK, dataset, label=target)])

    def dataset_of(self, dataset: str) -> str:
        """Return the name under which a dataset's events are stored: its own, or a linked one."""
        with self._reading() as connection:
            return self._resolved(connection, dataset)

    def is_linked(self, dataset: str) -> bool:
        """Return whether a link was stored for a dataset, to another dataset or to itself."""
        with self._reading() as connection:
            self._resolved(connection, dataset)
            return dataset in self._links

    def has_items(self, dataset: str) -> bool:
        """Return whether the log has labels or marks of a dataset that are not undone."""
        query = "SELECT 1 FROM live WHERE dataset = ? AND path IS NOT NULL LIMIT 1"
        with self._reading() as connection:
            stored = self._resolved(connection, dataset)
            return connection.execute(query, (stored,)).fetchone() is not None

    def labelled_contents(self, limit: int = -1) -> list[tuple[str, bytes]]:
        """Return dataset and content id of each event with a label, at most `limit` (-1: all)."""
        query = (
            "SELECT dataset, content_id FROM events "
            "WHERE path IS NOT NULL AND content_id IS NOT NULL AND label IS NOT NULL LIMIT ?"
        )
        with self._reading() as connection:
            return connection.execute(query, (limit,)).fetchall()

    def undo(self, dataset: str, who: str | None, n: int = 1) -> list[Event]:
        """Undo up to the last `n` acts of an annotator, and return their events, latest first.

        An act is the annotator's events of one call of `append`. Undo events are appended. They
        cannot be undone.
        """
        if n < 1:
            raise UsageError(f"the number of acts to undo must be at least 1; got {n}.")
        undone: list[Event] = []
        with self._writing() as connection:
            dataset = self._resolved(connection, dataset)
            act = _next_id(connection)
            for _ in range(n):
                found = _last_act(connection, dataset, who)
                undone += found
                undo = [Event("undo", dataset, who=who, undoes=event.id) for event in found]
                for event in validated_events(undo):
                    _insert(connection, event, act)
        return undone

    def events(self, after: int = 0) -> Iterator[Event]:
        """Yield the events with an id above `after`, in order.

        To get only new events, give the last id that was read. Writers are not blocked.
        """
        while True:
            with self._reading() as connection:
                rows = connection.execute(
                    f"SELECT {_NAMES} FROM events WHERE id > ? ORDER BY id LIMIT ?",
                    (after, _BATCH),
                ).fetchall()
            if not rows:
                return
            for row in rows:
                yield Event(*row)
            after = rows[-1][-1]

    def event(self, event_id: int) -> Event:
        """Return the event with an id; an unknown id raises `LabelError`."""
        query = f"SELECT {_NAMES} FROM events WHERE id = ?"
        with self._reading() as connection:
            row = connection.execute(query, (event_id,)).fetchone()
        if row is None:
            raise LabelError(f"{self.path} has no event {event_id}.")
        return Event(*row)

    def current(self, dataset: str, path: str | None = None) -> dict[str, Current]:
        """Return the current labels and marks of a dataset's items (or of one item) by path.

        Cleared items have the kind ``"clear"``. Other SQLite clients can read the view ``current``
        of the file. Time is linear in the number of events; peak memory is 0.71 KB per item.
        """
        of_item = "" if path is None else "AND path = :path"
        query = CURRENT.format(of_dataset=f"AND dataset = :dataset {of_item}")
        with self._reading() as connection:
            dataset = self._resolved(connection, dataset)
            rows = connection.execute(query, {"dataset": dataset, "path": path}).fetchall()
        return {
            path: Current(label, kind, by, at, event_id, content_id)
            for _, path, label, kind, by, at, event_id, content_id in sorted(rows, key=_path)
        }

    def current_for(self, dataset: str, items: Mapping[str, bytes | None]) -> Matched:
        """Return the current labels of present items, including files that were moved.

        Items are matched by path. An item whose path has no events gets the label of a deleted or
        edited file that had the same content, if all labels of this content agree. A file that was
        edited after labelling has no label. `items` has the content id of each path, or None.
        """
        return match(self.current(dataset), items)

    def classes(self, dataset: str) -> list[str]:
        """Return the classes of a dataset in order of first appearance.

        A merged class has the earliest position of its original classes.
        """
        with self._reading() as connection:
            return _classes(connection, self._resolved(connection, dataset))

    def forget(self, paths: Collection[tuple[str, str]], content_ids: Collection[bytes]) -> int:
        """Remove the paths, content ids, models and suggestions of items from all events.

        The events keep their ids. Labels and accepted suggestions get the kind ``"new_class"``, so
        that no class is lost. Other events get the kind ``"forgotten"``. The file is rewritten
        without the deleted bytes.

        Parameters
        ----------
        paths
            Pairs of dataset and path.
        content_ids
            Content ids of images to remove from all datasets.

        Returns
        -------
        int
            Number of changed events.
        """
        changed = 0
        with self._writing() as connection:
            (trigger,) = connection.execute(
                "SELECT sql FROM sqlite_master WHERE name = 'events_stay'"
            ).fetchone()
            connection.execute("DROP TRIGGER events_stay")
            for dataset, path in paths:
                stored = self._resolved(connection, dataset)
                changed += connection.execute(
                    f"{_FORGET} AND dataset IN (?, ?) AND path = ?", (dataset, stored, path)
                ).rowcount
            for content_id in content_ids:
                changed += connection.execute(
                    f"{_FORGET} AND content_id = ?", (content_id,)
                ).rowcount
            connection.execute(trigger)
        # This also runs if no event was changed: an earlier call may have been killed before it.
        with self._reading() as connection:
            connection.execute("VACUUM")
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise LabelError(
                f"another process is reading {self.path}. The events are cleared, but their bytes "
                "are still in the file. End that process, then run the same command again."
            )
        return changed

    def backup(self, path: str | Path) -> Path:
        """Write a consistent copy of the log to a new file; other processes can write meanwhile.

        `LabelError` is raised if the file exists or cannot be written.
        """
        path = Path(path)
        if path.exists():
            raise LabelError(f"{path} already exists. Choose another path for the backup.")
        with self._reading() as connection, sqlite_errors_explained(path, self._timeout):
            with temporary_file(path) as unfinished:
                connection.execute("VACUUM INTO ?", (str(unfinished),))
                unfinished.replace(path)
            sync_folder(path.parent)
        return path

    def _of_linked(self, connection: sqlite3.Connection, event: Event) -> Event:
        """Return an event under the name of the dataset to which its dataset is linked."""
        if event.kind == LINK:
            return event
        return replace(event, dataset=self._resolved(connection, event.dataset))

    def _resolved(self, connection: sqlite3.Connection, dataset: str) -> str:
        """Return the end of a dataset's chain of links; new links in the file are read first."""
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()
        if last > self._links_read:
            rows = connection.execute(
                "SELECT dataset, label FROM events WHERE id > ? AND id <= ? AND kind = ?",
                (self._links_read, last, LINK),
            )
            self._links.update(rows.fetchall())
            self._links_read = last
        seen = {dataset}
        while (following := self._links.get(dataset, dataset)) not in seen:
            dataset = following
            seen.add(dataset)
        return dataset

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection to one thread at a time."""
        with self._lock, sqlite_errors_explained(self.path, self._timeout):
            if self._process != os.getpid():
                raise LabelError(
                    f"{self.path} was opened before this process was forked. Open it again in this "
                    "process."
                )
            if self._connection is None:
                raise LabelError(f"{self.path} is closed. Open it again.")
            yield self._connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Commit the statements of the ``with`` block; after an error, roll all of them back."""
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


def _next_id(connection: sqlite3.Connection) -> int:
    """Return the id of the next event."""
    return int(connection.execute("SELECT coalesce(max(id), 0) + 1 FROM events").fetchone()[0])


def _last_act(connection: sqlite3.Connection, dataset: str, who: str | None) -> list[Event]:
    """Return the events of an annotator's last act that are not undone, latest first."""
    of_annotator = f"FROM live WHERE dataset = ? AND who IS ? AND kind != '{LINK}'"
    last = connection.execute(
        f"SELECT act {of_annotator} ORDER BY id DESC LIMIT 1", (dataset, who)
    ).fetchone()
    if last is None:
        return []
    # The id of an act is the id of its first event.
    rows = connection.execute(
        f"SELECT {_NAMES} {of_annotator} AND id >= ? AND act = ? ORDER BY id DESC",
        (dataset, who, *last, *last),
    )
    return [Event(*row) for row in rows.fetchall()]


def _insert(connection: sqlite3.Connection, event: Event, act: int) -> int:
    """Append one event of an act after checking it against the earlier events."""
    if event.previous is not None:
        _check_move(event, _classes(connection, event.dataset))
    if event.undoes is not None:
        _check_undo(connection, event)
    values = {name: getattr(event, name) for name in _WRITTEN} | {"act": act}
    return int(connection.execute(_INSERT, values).lastrowid or 0)


def _classes(connection: sqlite3.Connection, dataset: str) -> list[str]:
    return [label for (label,) in connection.execute(CLASSES, {"dataset": dataset})]


def _check_move(event: Event, classes: list[str]) -> None:
    """Refuse to change unknown classes, or to rename a class to an existing class."""
    needed = [event.previous] + [event.label] * (event.kind == "merge_class")
    for name in needed:
        if name not in classes:
            raise UnknownNameError("class", str(name), classes)
    if event.kind == "rename_class" and event.label in classes:
        raise LabelError(
            f"the class {event.previous!r} cannot be renamed to {event.label!r}, which already "
            "exists. Merge the two classes, or choose another name."
        )


def _check_undo(connection: sqlite3.Connection, event: Event) -> None:
    """Refuse to undo an unknown event, an undone event, an undo event or a link."""
    row = connection.execute(
        "SELECT kind FROM live WHERE id = ? AND dataset = ?", (event.undoes, event.dataset)
    ).fetchone()
    if row is None or row[0] == LINK:
        raise LabelError(
            f"event {event.undoes} of {event.dataset!r} cannot be undone: it does not exist, is "
            "already undone, or is an undo event or a link."
        )
