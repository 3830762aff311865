"""Images in the rows of Parquet and Arrow files."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import json
import os
import re
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._pixels.opening import COPY_AGAIN
from ..errors import DatasetError
from ..tables import tidy
from .dataset import Dataset, Item, canonical_split, sorted_class_names
from .identifiers import decode_id, encode_id
from .image_tables import TABLE_SUFFIXES, ImageTable, damaged, one_line, open_table
from .layout import suffix_of
from .source import Source, Stamp

__all__ = ["TableSource", "is_shard_name", "load_tables", "split_in", "used_tables"]

_SHARD = re.compile(r"-\d{5}-of-\d{5}\b.*")

_ROW_DIGITS = 6
"""Minimum number of digits of a row in an id."""


def is_shard_name(name: str) -> bool:
    """Return whether a file is named like one of several shards: ``train-00000-of-00002``."""
    return _SHARD.search(os.path.basename(name)) is not None


def split_in(id: str) -> str | None:
    """Return the split in the name of a file or of its folder, or None.

    Examples
    --------
    >>> split_in("data/train-00000-of-00002.parquet"), split_in("val/0000.parquet")
    ('train', 'validation')
    >>> split_in("cifar10-test.arrow"), split_in("images.parquet")
    ('test', None)
    """
    folder, _, file = id.rpartition("/")
    stem = _SHARD.sub("", file.rpartition(".")[0])
    words = re.split(r"[-_.]", stem)
    names = (stem, words[0], words[-1], folder.rpartition("/")[2])
    return next((split for name in names if (split := canonical_split(name))), None)


def used_tables(root: str, ids: Sequence[str]) -> dict[str, str | None]:
    """Return the split of each table below a folder, without the caches of `datasets`."""
    # `save_to_disk` writes state.json, with the names of the data files; other files are caches.
    states: dict[str, dict[str, object]] = {}
    found: dict[str, str | None] = {}
    for id in sorted(ids):
        folder, _, file = decode_id(id).rpartition("/")
        if folder not in states:
            states[folder] = _state(os.path.join(root, folder, "state.json"))
        state = states[folder]
        listed = state.get("_data_files")
        if isinstance(listed, list):
            if file not in [each.get("filename") for each in listed if isinstance(each, dict)]:
                continue
            if state.get("_indices_data_files") or state.get("_indices_files"):
                raise DatasetError(
                    f"{encode_id(os.path.join(root, folder))!r} has only indices of rows. Save the "
                    "dataset again with a current version of `datasets`."
                )
        elif file.startswith("cache-"):
            continue
        split = state.get("_split")
        found[id] = (canonical_split(split) if isinstance(split, str) else None) or split_in(id)
    return found


def _state(path: str) -> dict[str, object]:
    try:
        with open(path, encoding="utf-8") as file:
            state = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return state if isinstance(state, dict) else {}


def load_tables(root: str, files: dict[str, str | None], name: str) -> Dataset:
    """Return the dataset of the images in tables; `files` are their ids and splits.

    A damaged file is an item, whose reading fails with the reason.
    """
    source = TableSource(root, tuple(files))
    items = source.items(files)
    return Dataset(name, items, source, sorted_class_names(items))


@dataclass(frozen=True)
class _Rows:
    """The rows of all tables: row `rows[i]` of table `tables[i]` has the id `ids[i]`, sorted."""

    ids: list[str]
    labels: list[str | None]
    tables: NDArray[np.int32]
    rows: NDArray[np.int64]  # -1 for a damaged table
    opened: list[ImageTable | DatasetError]
    stamps: list[Stamp | None]


class TableSource(Source):
    """Images in tables below a folder, read by row group or batch.

    An image with a unique relative path in its row has this path as id. Others have the path of
    the table and the number of the row: ``train-00000-of-00002.parquet/000017``.
    """

    def __init__(self, root: str, files: tuple[str, ...]) -> None:
        self._root, self._files = root, files
        self._lock = threading.Lock()
        self._cached: _Rows | None = None

    def __reduce__(self) -> tuple[type[TableSource], tuple[str, tuple[str, ...]]]:
        return type(self), (self._root, self._files)

    @property
    def location(self) -> str:
        """The path of the folder of the tables."""
        return encode_id(self._root)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes on columns of images that are not used."""
        used = [table.columns for table in self._index().opened if isinstance(table, ImageTable)]
        kinds = dict.fromkeys((each.image, each.other_images) for each in used)
        return tuple(
            f"the images are in the column {image!r}; not used: {', '.join(map(repr, others))}"
            for image, others in kinds
            if others
        )

    def items(self, splits: dict[str, str | None]) -> tuple[Item, ...]:
        """Return the items; `splits` are those of the files."""
        index = self._index()
        of_table = [splits[file] for file in self._files]
        return tuple(
            Item(id, label, of_table[table])
            for id, label, table in zip(index.ids, index.labels, index.tables, strict=True)
        )

    def stamp(self, id: str) -> Stamp | None:
        """Return the stamp of the table of item `id`."""
        return self.stamps([id])[0]

    def stamps(self, ids: Sequence[str]) -> list[Stamp | None]:
        """Return the stamps of the tables, with one status call for each table."""
        index = self._index()
        now = [_stamp(self._path(file)) for file in self._files]
        places = map(self._place, ids)
        return [None if place < 0 else now[index.tables[place]] for place in places]

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the images in the order of the tables and their rows."""
        index = self._index()
        wanted: dict[int, list[tuple[int, str]]] = {}
        for id in ids:
            place = self._place(id)
            if place < 0:
                yield id, FileNotFoundError(f"it is not in {self.location}")
            else:
                of_table = wanted.setdefault(int(index.tables[place]), [])
                of_table.append((int(index.rows[place]), id))
        for table in sorted(wanted):
            yield from self._images(table, sorted(wanted[table]))

    def _images(
        self, table: int, wanted: list[tuple[int, str]]
    ) -> Iterator[tuple[str, bytes | OSError]]:
        import pyarrow as pa

        opened = self._index().opened[table]
        file = self._files[table]
        if isinstance(opened, DatasetError):
            clause = str(opened).rstrip(".").removeprefix(encode_id(self._path(file)))
            yield from ((id, OSError(f"it{clause}")) for _, id in wanted)
            return
        if _stamp(self._path(file)) != self._index().stamps[table]:
            reason = OSError(f"it is in {file!r}, which has changed since it was listed")
            yield from ((id, reason) for _, id in wanted)
            return
        left = dict(wanted)
        damage = "it has fewer rows than stated"
        try:
            for row, content in opened.images(list(left)):
                yield left.pop(row), content
        except (pa.ArrowException, OSError, ValueError) as error:
            damage = one_line(error)
        reason = OSError(f"it is in the damaged file {file!r} ({damage}). {COPY_AGAIN}")
        yield from ((id, reason) for id in left.values())

    def _path(self, file: str) -> str:
        return os.path.join(self._root, decode_id(file))

    def _place(self, id: str) -> int:
        """Return the position of an id in the index; -1 if it is missing."""
        ids = self._index().ids
        place = bisect_left(ids, id)
        return place if place < len(ids) and ids[place] == id else -1

    def _index(self) -> _Rows:
        with self._lock:
            if self._cached is None:
                self._cached = self._build()
            return self._cached

    def _build(self) -> _Rows:
        stamps = [_stamp(self._path(file)) for file in self._files]
        opened: list[ImageTable | DatasetError] = []
        paths: list[str | None] = []
        labels: list[str | None] = []
        places: list[tuple[int, int]] = []
        for table, file in enumerate(self._files):
            listed, found = _listed(self._path(file))
            opened.append(listed)
            if isinstance(listed, DatasetError):
                found = [(file, None)]
            for row, (path, label) in enumerate(found):
                is_damaged = isinstance(listed, DatasetError)
                paths.append(file if is_damaged else _usable(path))
                labels.append(label)
                places.append((table, -1 if is_damaged else row))
        counts = Counter(paths)
        ids = [
            path
            if path is not None and counts[path] == 1
            else f"{self._files[table]}/{row:0{_ROW_DIGITS}d}"
            for path, (table, row) in zip(paths, places, strict=True)
        ]
        order = sorted(range(len(ids)), key=ids.__getitem__)
        tables, rows = np.array(places, np.int64).reshape(-1, 2)[order].T
        return _Rows(
            [ids[i] for i in order],
            [labels[i] for i in order],
            tables.astype(np.int32),
            rows,
            opened,
            stamps,
        )


def _listed(path: str) -> tuple[ImageTable | DatasetError, list[tuple[str | None, str | None]]]:
    """Return a table with the path and label of each row, or its error."""
    import pyarrow as pa

    try:
        table = open_table(path)
        return table, list(table.listing())
    except DatasetError as error:
        return error, []
    except (pa.ArrowException, OSError, ValueError) as error:
        return damaged(path, error), []


def _usable(path: str | None) -> str | None:
    """Return the path of an image as an id; None for a path that is blank or not relative."""
    if path is None or not path.strip() or "\0" in path or os.path.isabs(path):
        return None
    tidied = tidy(path.replace("\\", "/"))
    parts = tidied.split("/")
    # The ids of other rows begin with the name of a table.
    is_taken = any(suffix_of(part) in TABLE_SUFFIXES for part in parts)
    return None if ".." in parts or ":" in parts[0] or is_taken else tidied


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
