"""Images on object stores and web servers, read in parallel."""
# Ids are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from .._storage import Entry, ObjectPath, in_parallel
from .._urls import is_web_url, public_url
from .identifiers import decode_id, encode_id
from .layout import image_suffixes, is_visible, suffix_of
from .source import MAX_BYTES, Source, Stamp, no_memory, too_large
from .web import WebReader

__all__ = ["AddressSource", "ObjectSource", "stamp_of"]

LISTED = 50
"""Minimum images of a folder whose stamps are read by one listing instead of one by one."""


UNKNOWN = Stamp(0, 0, 1 << 62, 0)
"""The stamp of an image that may exist without a known version: a file of the future, which each
scan reads."""


def stamp_of(entry: Entry | None) -> Stamp | None:
    """Return the stamp of an object; None if the store states no version."""
    if entry is None or (entry.tag is None and entry.mtime_ns is None):
        return None
    tag = hashlib.sha256((entry.tag or "").encode()).digest()
    return Stamp(entry.size, entry.mtime_ns or 0, 0, int.from_bytes(tag[:8], "little"))


class ObjectSource(Source):
    """The objects below an address; an id is the rest of an object's name."""

    def __init__(self, url: str) -> None:
        self._root = ObjectPath(url)
        self._stamps: dict[str, Stamp | None] = {}  # of the listing, used once

    def __reduce__(self) -> tuple[type[ObjectSource], tuple[str]]:
        return type(self), (str(self._root),)

    @property
    def location(self) -> str:
        """The address of the folder."""
        return str(self._root)

    def walk(self, others: Counter[str]) -> Iterator[str]:
        """Yield the id of every image; count the other objects by suffix in `others`."""
        begin = len(str(self._root)) + 1
        for path in self._root.files():
            parts = str(path)[begin:].split("/")
            if path.entry().is_folder or not all(map(is_visible, parts)):
                continue
            suffix = suffix_of(parts[-1])
            if suffix not in image_suffixes():
                others[suffix] += 1
                continue
            id = encode_id("/".join(parts))
            self._stamps[id] = stamp_of(path.entry())
            yield id

    def inside(self, folder: str) -> ObjectSource:
        """Return the source whose ids lack the folders `folder`, which ends in a slash."""
        if not folder:
            return self
        source = ObjectSource(f"{self._root}/{decode_id(folder)}")
        source._stamps = {id.removeprefix(folder): each for id, each in self._stamps.items()}
        return source

    def stamp(self, id: str) -> Stamp | None:
        """Return the size, time and tag of the object; None if it is missing."""
        return self.stamps([id])[0]

    def stamps(self, ids: Sequence[str]) -> list[Stamp | None]:
        """Return the stamps, of many objects of a folder by listing it."""
        # An object may be replaced after the listing, so a later call asks again.
        known, self._stamps = self._stamps, {}
        paths = {id: self._object(id) for id in ids if id not in known}
        found = _stamps_of_objects(list(paths.values()))
        known |= {id: found[path] for id, path in paths.items()}
        return [known[id] for id in ids]

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the content of each object in the order of names."""
        return in_parallel(lambda each: (each, _content(self._object(each))), sorted(ids))

    def _object(self, id: str) -> ObjectPath:
        return self._root / decode_id(id)


class AddressSource(Source):
    """Images with an address of their own, and other images of another source.

    Parameters
    ----------
    addresses
        The address of an image by its id; it may be signed.
    base
        The source of all other ids, or the address of the list if there are none.
    """

    def __init__(self, addresses: Mapping[str, str], base: Source | str) -> None:
        self._addresses, self._web = addresses, WebReader()
        self._base = None if isinstance(base, str) else base
        self._location = base if isinstance(base, str) else base.location

    @property
    def location(self) -> str:
        """The place of the list, or of the images without an address of their own."""
        return self._location

    def path(self, id: str) -> str:
        """Return the address of an image without its signature, or its path."""
        url = self._addresses.get(id)
        if url is not None:
            return public_url(url)
        return super().path(id) if self._base is None else self._base.path(id)

    def stamp(self, id: str) -> Stamp | None:
        """Return the size, time and tag of the image; None if it is missing."""
        return self.stamps([id])[0]

    def stamps(self, ids: Sequence[str]) -> list[Stamp | None]:
        """Return the stamps, of many objects of a folder by listing it."""
        others, addressed = self._divided(ids)
        known: dict[str, Stamp | None] = dict.fromkeys(others)
        if self._base is not None:
            known.update(zip(others, self._base.stamps(others), strict=True))
        web = [id for id in addressed if is_web_url(self._addresses[id])]
        known.update(zip(web, in_parallel(self._web_stamp, web), strict=True))
        paths = {id: ObjectPath(self._addresses[id]) for id in addressed if id not in known}
        found = _stamps_of_objects(list(paths.values()))
        known.update((id, found[path]) for id, path in paths.items())
        return [known[id] for id in ids]

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the content of each image, those with an address last."""
        others, addressed = self._divided(ids)
        if self._base is not None:
            yield from self._base.read(others)
        else:
            yield from ((id, FileNotFoundError(f"it is not in {self.location}")) for id in others)
        yield from in_parallel(lambda each: (each, self._content(each)), sorted(addressed))

    def _divided(self, ids: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the ids of the base, and the ids with an address."""
        others = [id for id in ids if id not in self._addresses]
        return others, [id for id in ids if id in self._addresses]

    def _web_stamp(self, id: str) -> Stamp | None:
        return _stamp_or_missing(lambda: self._web.entry(self._addresses[id]))

    def _content(self, id: str) -> bytes | OSError:
        url = self._addresses[id]
        if not is_web_url(url):
            return _content(ObjectPath(url))
        try:
            return self._web.read(url)
        except OSError as error:
            return error
        except MemoryError:
            return no_memory()


def _content(path: ObjectPath) -> bytes | OSError:
    try:
        content = path.read_bytes()
    except OSError as error:
        return error
    except MemoryError:
        return no_memory()
    return content if len(content) <= MAX_BYTES else too_large(len(content))


def _stamps_of_objects(paths: Sequence[ObjectPath]) -> dict[ObjectPath, Stamp | None]:
    """Return the stamp of each object."""
    counts = Counter(path.parent for path in paths)
    folders = {folder for folder, count in counts.items() if count >= LISTED}
    found: dict[ObjectPath, Stamp | None] = dict.fromkeys(paths)
    for folder in folders:
        found.update((path, stamp_of(path.entry())) for path in folder.iterdir() if path in found)
    single = [path for path in paths if path.parent not in folders]
    found.update(zip(single, in_parallel(_stamp_of_object, single), strict=True))
    return found


def _stamp_of_object(path: ObjectPath) -> Stamp | None:
    return _stamp_or_missing(path.entry)


def _stamp_or_missing(read: Callable[[], Entry]) -> Stamp | None:
    """Return the stamp of what `read` returns; None only if it is missing."""
    try:
        return stamp_of(read()) or UNKNOWN
    except FileNotFoundError:
        return None
    except OSError:  # the next read has the reason
        return UNKNOWN
