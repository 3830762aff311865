"""The digest of each item's bytes: hashed once, remembered while nothing changed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from .._workspace import Workspace
from ..cache import CONTENT_ID, MEMORY_SCHEMA, read_memory, write_memory
from ..datasets import Dataset, Stamp

__all__ = ["Progress", "Scan", "scan"]

Progress = Callable[[str, int, int], None]
"""Called with the stage, the number of items done, and the number of all items."""

SETTLED_NS = 2_000_000_000
"""A file touched this shortly before it was hashed may have changed since at the same time stamp:
file systems count time in steps of up to two seconds."""

CHECKPOINT_SECONDS = 30.0


@dataclass(frozen=True)
class Scan:
    """The bytes of a dataset's items, as digests.

    Attributes
    ----------
    content_ids
        Fixed-size binary(32), one an item in the dataset's order; null where it cannot be read.
    errors
        Why, by the item's position.
    hashed
        How many items were read; the rest was remembered.
    remembered
        Whether the scan memory holds this; false in a read-only workspace.
    vanished
        Paths that were items at the last scan and are no longer there: neither they nor their
        bytes under another name.
    """

    content_ids: pa.Array
    errors: dict[int, str]
    hashed: int
    remembered: bool = True
    vanished: tuple[str, ...] = ()


def scan(dataset: Dataset, workspace: Workspace, progress: Progress | None = None) -> Scan:
    """Find out the content of every item."""
    # The scan memory is written when anything changed, and now and then on the way; not in a
    # read-only workspace, nor for files that were named one by one. An item is not read again if
    # its stamp (size, both times, inode) is the same and was settled when it was hashed. About 600
    # bytes an item.
    memory = None if dataset.listed else workspace.items_of(dataset.name)
    known = _Memory(dataset, MEMORY_SCHEMA.empty_table() if memory is None else read_memory(memory))
    todo = known.doubtful()
    total, saved = len(dataset), time.monotonic()
    positions = {dataset.items[index].id: index for index in todo}
    done = total - len(todo)
    remembered = True
    for item_id, content in dataset.source.read(list(positions)):
        known.note(positions[item_id], content)
        done += 1
        if progress is not None:
            progress("scan", done, total)
        if memory is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
            write_memory(memory, known.table())
            saved = time.monotonic()
    if memory is not None and (known.changed or not memory.exists()):
        remembered = write_memory(memory, known.table())
    content_ids = pa.array(known.content_ids, CONTENT_ID)
    return Scan(content_ids, known.errors, len(todo), remembered, known.vanished())


class _Memory:
    """The remembered rows, brought into the dataset's order."""

    def __init__(self, dataset: Dataset, remembered: pa.Table) -> None:
        self._dataset = dataset
        ids = pa.array([item.id for item in dataset.items], pa.string())
        rows = pc.index_in(ids, value_set=remembered["id"].combine_chunks())
        before = remembered.take(rows)
        gone = pc.invert(pc.is_in(remembered["id"], value_set=ids))
        self._gone = remembered.filter(gone).select(["id", "content_id"])
        self.content_ids: list[bytes | None] = before["content_id"].to_pylist()
        self.errors: dict[int, str] = {}
        self._scanned: list[int] = pc.fill_null(before["scanned_ns"], 0).to_pylist()
        self._stamps = dataset.source.stamps([item.id for item in dataset.items])
        self._old = [
            _stamp(*row) for row in zip(*(before[c].to_pylist() for c in _STAMP), strict=True)
        ]
        same_labels = all(
            before[name].to_pylist() == [getattr(item, name) for item in dataset.items]
            for name in ("label", "split", "bucket")
        )
        self.changed = not same_labels or remembered.num_rows != len(dataset)

    def doubtful(self) -> list[int]:
        """Return the positions that must be read: new, touched, or touched too recently."""
        self._unread = {
            index
            for index, (now, before) in enumerate(zip(self._stamps, self._old, strict=True))
            if now is None
            or now != before
            or self.content_ids[index] is None
            or max(now.mtime_ns, now.ctime_ns) + SETTLED_NS > self._scanned[index]
        }
        return sorted(self._unread)

    def vanished(self) -> tuple[str, ...]:
        """Return the items of the last scan that are gone, once all contents are known."""
        here = set(self.content_ids)
        stamp_of = self._dataset.source.stamp
        return tuple(
            row["id"]
            for row in self._gone.to_pylist()
            if row["content_id"] is not None
            and row["content_id"] not in here
            and stamp_of(row["id"]) is None
        )

    def note(self, index: int, content: bytes | OSError) -> None:
        self.changed = True
        self._unread.discard(index)
        self._scanned[index] = time.time_ns()
        if isinstance(content, OSError):
            self.content_ids[index] = None
            self.errors[index] = f"{content.strerror or content}"
        else:
            self.content_ids[index] = hashlib.sha256(content).digest()

    def table(self) -> pa.Table:
        items = self._dataset.items
        stamps = self._stamps
        columns = {
            name: [getattr(item, name) for item in items]
            for name in ("id", "label", "split", "bucket")
        }
        columns["content_id"] = [
            None if index in self._unread else content_id  # what is in doubt is not remembered
            for index, content_id in enumerate(self.content_ids)
        ]
        for name in _STAMP:
            columns[name] = [None if s is None else getattr(s, name) for s in stamps]
        columns["scanned_ns"] = self._scanned
        return pa.table(
            {field.name: pa.array(columns[field.name], field.type) for field in MEMORY_SCHEMA},
            schema=MEMORY_SCHEMA,
        )


_STAMP = ("size", "mtime_ns", "ctime_ns", "inode")


def _stamp(
    size: int | None, mtime_ns: int | None, ctime_ns: int | None, inode: int | None
) -> Stamp | None:
    if size is None or mtime_ns is None or ctime_ns is None or inode is None:
        return None
    return Stamp(size, mtime_ns, ctime_ns, inode)
