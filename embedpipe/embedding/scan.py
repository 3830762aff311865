"""Scanning: the digest of each item's bytes, computed again only for changed files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from .._workspace import Workspace
from ..cache import CONTENT_ID, MEMORY_SCHEMA, read_memory, write_memory
from ..datasets import Dataset, Stamp
from ..datasets.source import read_failure

__all__ = ["Digests", "Progress", "Scan", "scan"]

Progress = Callable[[str, int, int], None]
"""Function that takes the stage, the number of finished items, and the total number."""

Digests = Callable[[Sequence[str]], Iterator[tuple[str, bytes | OSError]]]
"""Function that yields the content id of each item, or the error of reading it."""

SETTLED_NS = 2_000_000_000
"""Minimum age of a file when it is hashed, in nanoseconds.

File systems have time steps of up to two seconds, so a younger file may change without a new time
stamp. Such a file is hashed again by the next scan.
"""

CHECKPOINT_SECONDS = 30.0
"""Seconds between two writes of the scan memory."""


@dataclass(frozen=True)
class Scan:
    """The digests of a dataset's items; null for an unreadable item, which is in `errors`."""

    content_ids: pa.Array
    errors: dict[int, str]
    hashed: int
    remembered: bool = True
    vanished: tuple[str, ...] = ()
    memory: pa.Table | None = None  # the rows of the scan memory, if they are not stored


def scan(
    dataset: Dataset,
    workspace: Workspace,
    progress: Progress | None = None,
    *,
    earlier: Scan | None = None,
    store: bool = True,
    digests: Digests | None = None,
) -> Scan:
    """Return the digest of every item; unchanged files are not read again.

    Without `store`, nothing is written. `earlier` is a scan of the dataset by the same process.
    `digests` computes digests elsewhere; by default, the files are read here.
    """
    # Listed files have no scan memory, because another call may list other files.
    memory = None if dataset.listed else workspace.items_of(dataset.name, remote=dataset.remote)
    before = None if earlier is None else earlier.memory
    if before is None:
        before = MEMORY_SCHEMA.empty_table() if memory is None else read_memory(memory)
    known = _Memory(dataset, before)
    todo = known.to_read()
    total, saved = len(dataset), time.monotonic()
    positions = {dataset.items[index].id: index for index in todo}
    done = total - len(todo)
    remembered = True
    for item_id, digest in (digests or dataset.source.digests)(list(positions)):
        known.record(positions[item_id], digest)
        done += 1
        if progress is not None:
            progress("scan", done, total)
        if store and memory is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
            write_memory(memory, known.table())
            saved = time.monotonic()
    content_ids = pa.array(known.content_ids, CONTENT_ID)
    vanished = known.vanished() if earlier is None else earlier.vanished
    if not store:
        return Scan(content_ids, known.errors, len(todo), False, vanished, known.table())
    is_stored = earlier is None or earlier.memory is None
    if memory is not None and (known.changed or not is_stored or not memory.exists()):
        remembered = write_memory(memory, known.table())
    return Scan(content_ids, known.errors, len(todo), remembered, vanished)


class _Memory:
    """The rows of the scan memory in the dataset's order."""

    def __init__(self, dataset: Dataset, remembered: pa.Table) -> None:
        self._dataset = dataset
        ids = pa.array([item.id for item in dataset.items], pa.string())
        rows = pc.index_in(ids, value_set=remembered["id"].combine_chunks())
        before = remembered.take(rows)
        removed = pc.invert(pc.is_in(remembered["id"], value_set=ids))
        self._removed = remembered.filter(removed).select(["id", "content_id"])
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

    def to_read(self) -> list[int]:
        """Return the positions of new files and of files that have or may have changed."""
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
        """Return the ids from the last scan whose file and content are both missing."""
        present = set(self.content_ids)
        removed = [
            row["id"]
            for row in self._removed.to_pylist()
            if row["content_id"] is not None and row["content_id"] not in present
        ]
        stamps = self._dataset.source.stamps(removed)
        return tuple(each for each, stamp in zip(removed, stamps, strict=True) if stamp is None)

    def record(self, index: int, digest: bytes | OSError) -> None:
        """Store the digest or the error of an item."""
        self.changed = True
        self._unread.discard(index)
        self._scanned[index] = time.time_ns()
        if isinstance(digest, OSError):
            self.content_ids[index] = None
            self.errors[index] = read_failure(digest)
        else:
            self.content_ids[index] = digest

    def table(self) -> pa.Table:
        """Return the scan memory; items that still have to be read have no content id."""
        items = self._dataset.items
        stamps = self._stamps
        columns = {
            name: [getattr(item, name) for item in items]
            for name in ("id", "label", "split", "bucket")
        }
        columns["content_id"] = [
            None if index in self._unread else content_id
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
