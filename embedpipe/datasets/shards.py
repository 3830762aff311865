"""Datasets in several files: tar archives of WebDataset, and tables with images."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import itertools
import math
import os
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..errors import DatasetError
from .archive import ArchiveSource
from .dataset import Dataset, Item, path_name, sorted_class_names
from .files import ARCHIVE_SUFFIXES, open_archive
from .identifiers import decode_id, encode_id
from .image_tables import TABLE_SUFFIXES, has_images, open_table
from .layout import suffix_of
from .samples import SampleLabel, chosen_labels
from .source import Source, Stamp
from .table_source import is_shard_name, load_tables, split_in, used_tables

__all__ = [
    "ShardedSource",
    "are_shards",
    "expand_braces",
    "load_shards",
    "load_shards_in",
    "load_table",
]

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)", re.ASCII)

MAX_EXPANDED = 1_000_000
"""Maximum number of files that braces may name."""


def expand_braces(pattern: str) -> list[str]:
    """Return the paths that braces name, as a shell expands them.

    Examples
    --------
    >>> expand_braces("s-{08..10}.tar")
    ['s-08.tar', 's-09.tar', 's-10.tar']
    >>> expand_braces("{train,val}.tar")
    ['train.tar', 'val.tar']
    """
    parts = _BRACES.split(pattern)  # text, content of braces, text, ...
    choices = [_choices(part) if at % 2 else ("", [part]) for at, part in enumerate(parts)]
    count = math.prod(_length(values) for _, values in choices)
    if count > MAX_EXPANDED:
        raise DatasetError(f"{pattern!r} names {count:,} files; the limit is {MAX_EXPANDED:,}.")
    texts = [[format(value, form) for value in values] for form, values in choices]
    return ["".join(each) for each in itertools.product(*texts)]


def _choices(braces: str) -> tuple[str, Sequence[str] | Sequence[int]]:
    """Return the format and the values of the content of braces."""
    numbers = _RANGE.fullmatch(braces)
    if numbers is None:
        return "", braces.split(",")
    first, last = numbers[1], numbers[2]
    width = max(len(first), len(last)) if first.startswith("0") or last.startswith("0") else 0
    return f"0{width}d", range(int(first), int(last) + 1)


def _length(values: Sequence[str] | Sequence[int]) -> int:
    """Return the number of values; `len` of a range has a limit."""
    return max(0, values.stop - values.start) if isinstance(values, range) else len(values)


def are_shards(paths: Sequence[str]) -> bool:
    """Return whether all paths are archives, or all are tables that may contain images."""
    return bool(paths) and (
        all(path.lower().endswith(ARCHIVE_SUFFIXES) for path in paths)
        or all(suffix_of(path) in TABLE_SUFFIXES for path in paths)
    )


def load_shards(paths: Sequence[str]) -> Dataset:
    """Return the dataset of listed shards; ids begin with the path of the shard."""
    absolute = [os.path.abspath(os.path.expanduser(path)) for path in paths]
    missing = [path for path in absolute if not os.path.isfile(path)]
    if missing:
        raise DatasetError(
            f"no file at {encode_id(missing[0])!r}, one of the {len(paths):,} listed shards. "
            "Correct the list."
        )
    folder = os.path.commonpath([os.path.dirname(path) for path in absolute])
    ids = sorted({encode_id(os.path.relpath(path, folder)) for path in absolute})
    # A longer list of shards of the same names is the same dataset.
    kinds = sorted({re.sub(r"\d+", "{}", id) for id in ids})
    name = path_name(folder, "\0".join([folder, *kinds]))
    if suffix_of(ids[0]) in TABLE_SUFFIXES:
        return load_tables(folder, {id: split_in(id) for id in ids}, name)
    return _load_archives(folder, ids, name)


def load_table(path: str) -> Dataset:
    """Return the dataset of the images in one table; raise DatasetError if it is damaged."""
    open_table(path)
    folder, file = os.path.split(os.path.abspath(path))
    id = encode_id(file)
    return load_tables(folder, {id: split_in(id)}, path_name(path))


def load_shards_in(root: str, ids: Sequence[str], *, images: bool) -> Dataset | None:
    """Return the dataset of the shards below a folder; None if they contain no images.

    With `images`, there are image files too. Then only tables that are named like shards count.
    """
    tables = [id for id in ids if suffix_of(id) in TABLE_SUFFIXES]
    if images:
        tables = [id for id in tables if is_shard_name(id)]
    used = used_tables(root, tables)
    if any(has_images(os.path.join(root, decode_id(id))) for id in used):
        return load_tables(root, used, path_name(root))
    archives = [id for id in ids if suffix_of(id) == ".tar"]
    if images or not archives:
        return None
    return _load_archives(root, sorted(archives), path_name(root))


def _load_archives(root: str, names: Sequence[str], name: str) -> Dataset:
    source = ShardedSource(root, tuple(names))
    labels = chosen_labels(source.sample_labels())
    items = tuple(replace(item, label=labels.get(item.id)) for item in source.items())
    return Dataset(name, items, source, sorted_class_names(items))


class ShardedSource(Source):
    """The images of several archives below a folder; an id is the shard's path and a member's.

    An archive that cannot be read is an item, whose reading fails with the reason.
    """

    def __init__(self, root: str, names: tuple[str, ...]) -> None:
        self._root, self._names = root, names
        self._lock = threading.Lock()
        self._opened: dict[str, ArchiveSource | DatasetError] = {}

    def __reduce__(self) -> tuple[type[ShardedSource], tuple[str, tuple[str, ...]]]:
        return type(self), (self._root, self._names)

    @property
    def location(self) -> str:
        """The path of the folder of the archives."""
        return encode_id(self._root)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes on changed names of members."""
        opened = map(self._open, self._names)
        return tuple(
            remark for each in opened if isinstance(each, ArchiveSource) for remark in each.remarks
        )

    def items(self) -> list[Item]:
        """Return the items, sorted by id; they have no labels."""
        found = []
        for name in self._names:
            archive, split = self._open(name), split_in(name)
            if isinstance(archive, DatasetError):
                found.append(Item(name, split=split))
            else:
                found += [Item(f"{name}/{i.id}", split=i.split or split) for i in archive.items]
        return sorted(found, key=lambda item: item.id)

    def sample_labels(self) -> dict[str, SampleLabel]:
        """Return the labels beside the images, by id."""
        return {
            f"{name}/{id}": label
            for name in self._names
            if isinstance(archive := self._open(name), ArchiveSource)
            for id, label in archive.sample_labels.items()
        }

    def stamp(self, id: str) -> Stamp | None:
        """Return the size of the member, with the times and inode of its archive."""
        return self.stamps([id])[0]

    def stamps(self, ids: Sequence[str]) -> list[Stamp | None]:
        """Return the stamps, with one status call for each archive."""
        found: dict[str, Stamp | None] = dict.fromkeys(ids)
        for name, inner in self._by_shard(ids).items():
            archive = self._open(name)
            if isinstance(archive, ArchiveSource):
                stamps = archive.stamps(list(inner.values()))
                found.update(zip(inner, stamps, strict=True))
        return [found[id] for id in ids]

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the images, archive by archive."""
        shards = self._by_shard(ids)
        known = {id for inner in shards.values() for id in inner}
        for id in ids:
            if id not in known:
                yield id, FileNotFoundError(f"it is not in the archives of {self.location}")
        for name, inner in shards.items():
            archive = self._open(name)
            if isinstance(archive, DatasetError):
                path = encode_id(os.path.join(self._root, decode_id(name)))
                reason = str(archive).rstrip(".").replace(f"archive {path!r}", "it", 1)
                yield from ((id, OSError(reason)) for id in inner)
                continue
            id_of = {each: id for id, each in inner.items()}
            for each, content in archive.read(list(inner.values())):
                yield id_of[each], content

    def _by_shard(self, ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return, by archive in order, the ids in it and the ids of the members."""
        names = dict.fromkeys(self._names)
        found: dict[str, dict[str, str]] = {}
        for id in ids:
            end = id.find("/")
            while end >= 0 and id[:end] not in names:
                end = id.find("/", end + 1)
            name = id if end < 0 else id[:end]
            if name in names:
                found.setdefault(name, {})[id] = id[len(name) + 1 :]
        return {name: found[name] for name in names if name in found}

    def _open(self, name: str) -> ArchiveSource | DatasetError:
        """Return the source of an archive, or the error of listing it."""
        with self._lock:
            if name not in self._opened:
                try:
                    archive = open_archive(os.path.join(self._root, decode_id(name)))
                    _ = archive.items
                    self._opened[name] = archive
                except DatasetError as error:
                    self._opened[name] = error
            return self._opened[name]
