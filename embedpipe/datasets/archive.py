"""The common part of zip and tar archives: a table of members, and stamps."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import os
import re
import threading
from abc import abstractmethod
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from .dataset import Item
from .identifiers import encode_id, path_form, similar_hint
from .layout import PREDICTIONS, arrange, image_suffixes, is_visible, no_images, suffix_of
from .samples import SampleLabel, label_in, sample_key
from .source import Source, Stamp

__all__ = ["ArchiveSource", "MemberTable", "open_binary"]

_SUFFIX = re.compile(r"\.(zip|tgz|tbz2|txz|tar(\.(gz|bz2|xz))?)$", re.IGNORECASE)


class MemberTable:
    """The images in an archive: each has a path and `width` integers."""

    def __init__(self, archive: str, width: int) -> None:
        self.archive, self.width = archive, width
        self.rows: dict[str, int] = {}
        self.numbers = array("q")
        self.others: Counter[str] = Counter()
        self.remarks: list[str] = []
        self.with_predictions = False
        self.sample_labels: dict[str, SampleLabel] = {}  # by the key of a sample
        self._folders: dict[str, str | None] = {}

    def add(self, name: str, numbers: tuple[int, ...]) -> None:
        """Add a member if it is an image; it replaces an earlier member of the same name."""
        suffix = suffix_of(name.rpartition("/")[2])
        if suffix not in image_suffixes():
            self.others[suffix] += 1
            self.with_predictions |= name.rpartition("/")[2] == PREDICTIONS
        elif (path := self.path(name)) is not None:
            self.rows[path] = len(self.numbers) // self.width
            self.numbers.extend(numbers)

    def add_label(self, name: str, content: bytes) -> None:
        """Add the label in a member of a sample, such as ``0001.cls``, if there is one."""
        path, found = self.path(name), label_in(name, content)
        if path is not None and found is not None:
            key = sample_key(path)
            self.sample_labels[key] = min(found, self.sample_labels.get(key, found))

    def numbers_of(self, path: str | None) -> tuple[int, ...] | None:
        """Return the integers of the image with this path, or None."""
        if path is None or path not in self.rows:
            return None
        start = self.rows[path] * self.width
        return tuple(self.numbers[start : start + self.width])

    def path(self, name: str) -> str | None:
        """Return the path of the member called `name`; None if it is hidden."""
        folder, _, file = name.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._folder(folder)
        inside = self._folders[folder]
        if inside is None or not is_visible(file):
            return None
        return inside + encode_id(file)

    def _folder(self, name: str) -> str | None:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise DatasetError(
                f"archive {self.archive!r} contains {encode_id(name)!r}, a path outside of it; "
                "create the archive again without '..'."
            )
        if not all(map(is_visible, parts)):
            return None
        return "".join(encode_id(part) + "/" for part in parts)


@dataclass(frozen=True)
class _Index:
    """The items of an archive and their positions in it."""

    identity: tuple[int, int, int]
    wrapping: str
    items: list[Item]
    ids: list[str]
    numbers: NDArray[np.int64]  # (items, numbers of a member)
    remarks: tuple[str, ...]
    with_predictions: bool
    sample_labels: dict[str, SampleLabel]  # by id

    @cached_property
    def by_form(self) -> dict[str, str]:
        """The ids, with and without the wrapping folders, by their `path_form`."""
        return {
            path_form(begin + id): begin + id for begin in {"", self.wrapping} for id in self.ids
        }

    def row(self, id: str) -> int:
        """Return the row of item `id`, with or without the wrapping folders; -1 if missing."""
        for name in (id, id.removeprefix(self.wrapping)):
            row = bisect_left(self.ids, name)
            if row < len(self.ids) and self.ids[row] == name:
                return row
        return -1


class ArchiveSource(Source):
    """The members of an archive, which is opened at first use and read in place.

    It pickles as the path of the archive.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(os.fspath(path))
        self._lock = threading.Lock()
        self._cached: _Index | None = None

    def __reduce__(self) -> tuple[type[ArchiveSource], tuple[str]]:
        return type(self), (self._path,)

    @property
    def location(self) -> str:
        """The path of the archive."""
        return encode_id(self._path)

    @property
    def items(self) -> list[Item]:
        """The images in the archive, sorted by id."""
        return self._index().items

    @property
    def with_predictions(self) -> bool:
        """Whether the archive has the table that lists images sorted by prediction."""
        return self._index().with_predictions

    @property
    def sample_labels(self) -> dict[str, SampleLabel]:
        """The labels in members beside the images, by id."""
        return self._index().sample_labels

    @property
    def unpacked(self) -> str:
        """The folder of the items, if the archive is unpacked into a folder beside it."""
        return f"{_SUFFIX.sub('', self.location)}/{self._index().wrapping}".rstrip("/")

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes on changed names of members."""
        return self._index().remarks

    def stamp(self, id: str) -> Stamp | None:
        """Return the size of the member, with the times and inode of the archive."""
        return self.stamps([id])[0]

    def stamps(self, ids: Sequence[str]) -> list[Stamp | None]:
        """Return the stamp of each of `ids`, with one status call for the archive."""
        try:
            status = os.stat(self._path)
        except OSError:
            return [None] * len(ids)
        index = self._index()
        times = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        rows = map(index.row, ids)
        return [Stamp(self._size(index.numbers[row]), *times) if row >= 0 else None for row in rows]

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the content of each member, in the order of the archive."""
        index = self._index()
        rows = [(index.row(id), id) for id in ids]
        found = [(row, id) for row, id in rows if row >= 0]
        for row, id in rows:
            if row < 0:
                hint = similar_hint(id, index.by_form.get(path_form(id)))
                reason = f"it is not in the archive {self.location!r}{hint}"
                yield id, FileNotFoundError(reason)
        found.sort(key=lambda entry: int(index.numbers[entry[0], 0]))
        problem = self._problem(index)
        if problem:
            yield from ((id, problem) for _, id in found)
        else:
            yield from self._contents([(id, index.numbers[row]) for row, id in found])

    def _problem(self, index: _Index) -> OSError | None:
        """Return the error if the archive does not match `index` any more."""
        try:
            if _identity(self._path) == index.identity:
                return None
        except OSError as error:
            return error
        return OSError(f"it is in {self.location!r}, which has changed since it was listed")

    def _index(self) -> _Index:
        with self._lock:
            if self._cached is None:
                self._cached = self._build()
            return self._cached

    def _build(self) -> _Index:
        identity = _identity(self._path)
        members = self._members()
        wrapping, items = arrange(members.rows)
        if not items:
            raise DatasetError(no_images(f"archive {self.location!r}", members.others))
        ids = [item.id for item in items]
        rows = [members.rows[wrapping + id] for id in ids]
        numbers = np.frombuffer(members.numbers, dtype=np.int64).reshape(-1, members.width)[rows]
        found = members.sample_labels
        labels = {id: found[key] for id in ids if (key := sample_key(wrapping + id)) in found}
        remarks, predicted = tuple(members.remarks), members.with_predictions
        return _Index(identity, wrapping, items, ids, numbers, remarks, predicted, labels)

    def _unreadable(self, reason: object) -> DatasetError:
        return DatasetError(
            f"archive {self.location!r} cannot be read: {str(reason).rstrip('.')}; "
            "it may be incomplete or damaged. Copy it again from the source."
        )

    @abstractmethod
    def _members(self) -> MemberTable:
        """List the archive; the first number of each member is its offset."""

    @abstractmethod
    def _size(self, numbers: NDArray[np.int64]) -> int:
        """Return the unpacked size of a member."""

    @abstractmethod
    def _contents(
        self, members: Sequence[tuple[str, NDArray[np.int64]]]
    ) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the content of each member; `members` are in the order of their offsets."""


def _identity(path: str) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns, status.st_ino


def open_binary(path: str) -> BinaryIO:
    """Open `path` with a buffer for many small members."""
    return open(path, "rb", buffering=1 << 18)
