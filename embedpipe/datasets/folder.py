"""Images in a folder, or named one by one, read where they are."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import DatasetError
from .dataset import Dataset, path_name, sorted_class_names
from .identifiers import decode_id, encode_id, existing_form, no_such_path, similar_hint
from .item import Item
from .layout import (
    FOREIGN_SUFFIXES,
    IMAGE_SUFFIXES,
    arrange,
    is_image,
    is_visible,
    no_images,
    suffix_of,
)
from .source import MAX_BYTES, Source, Stamp, no_memory, too_large

__all__ = ["FolderSource", "load_files", "load_folder"]

Identity = tuple[int, int]


class FolderSource(Source):
    """The files below a folder; an id is a path relative to it, or an absolute path.

    Parameters
    ----------
    root
        The folder.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = os.path.abspath(os.fspath(root))

    @property
    def location(self) -> str:
        """The path of the folder."""
        return encode_id(self._root)

    @property
    def folder(self) -> Path:
        """The folder."""
        return Path(self._root)

    def path(self, id: str) -> str:
        """Return the path of the file of item `id`."""
        return os.path.join(self._root, decode_id(id))

    def stamp(self, id: str) -> Stamp | None:
        """Return the size, times and inode of the file, None if it is missing."""
        try:
            status = os.stat(self.path(id))
        except (OSError, ValueError):
            return None
        return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the content of each file, folder by folder."""
        for id in sorted(ids):
            yield id, self.content(id)

    def content(self, id: str) -> bytes | OSError:
        """Return the content of one file, or why it cannot be read."""
        path = self.path(id)
        try:
            status = os.stat(path)
            # A pipe or a device may never end; opening a pipe already waits.
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
                return OSError("it is not a file but a pipe, a device or a socket")
            if status.st_size > MAX_BYTES:
                return too_large(status.st_size)
            with open(path, "rb", buffering=0) as file:
                return file.read()
        except FileNotFoundError as error:
            similar = existing_form(path)
            if similar is None:
                return error
            hint = similar_hint(id, encode_id(os.path.relpath(similar, self._root)))
            return FileNotFoundError(error.errno, f"No such file{hint}")
        except OSError as error:
            return error
        except MemoryError:
            return no_memory()
        except ValueError as error:  # a null character in the path
            return OSError(f"{id!r} is not a path: {error}")


def load_folder(path: str | os.PathLike[str]) -> Dataset:
    """Return the dataset of the images in a folder."""
    # Symbolic links are followed, but not to a folder above. A broken link is an item, so that it
    # is reported as unreadable and does not vanish.
    root = os.path.abspath(os.fspath(path))
    others: Counter[str] = Counter()
    wrapping, items = arrange(walk(root, others), growing=True)
    if not items:
        raise DatasetError(no_images(f"folder {encode_id(root)!r}", others))
    source = FolderSource(os.path.join(root, decode_id(wrapping)))
    foreign = {suffix: n for suffix, n in sorted(others.items()) if suffix in FOREIGN_SUFFIXES}
    names = sorted_class_names(items)
    return Dataset(path_name(root), tuple(items), source, names, skipped=foreign)


def walk(root: str, others: Counter[str]) -> Iterator[str]:
    """Yield the id of every image below `root`; count the other files by suffix in `others`."""
    above_root = frozenset(_identity(str(parent)) for parent in Path(root).parents)
    pending: list[tuple[str, str, frozenset[Identity]]] = [(root, "", above_root)]
    while pending:
        folder, prefix, above = pending.pop()
        identity = _identity(folder)
        if identity in above:  # a link has led back to a folder that it is in
            continue
        inside = above | {identity}
        for entry in _entries(folder):
            if not is_visible(entry.name):
                continue
            if _is_folder(entry):
                pending.append((entry.path, f"{prefix}{encode_id(entry.name)}/", inside))
            elif (suffix := suffix_of(entry.name)) not in IMAGE_SUFFIXES:
                others[suffix] += 1
            elif _is_file_or_broken(entry):
                yield prefix + encode_id(entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_file_or_broken(entry: os.DirEntry[str]) -> bool:
    """Return whether to list `entry`: not a pipe or a device, whose reading might never end."""
    if entry.is_symlink() and not os.path.exists(entry.path):
        return True
    return entry.is_file()


def _identity(folder: str) -> Identity:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DatasetError(
            f"folder {encode_id(folder)!r} cannot be listed: {error.strerror}."
        ) from error


def load_files(paths: Sequence[str | os.PathLike[str]]) -> Dataset:
    """Return the dataset of some image files: an id is the path relative to their common folder."""
    # They have no labels. Another call may name other files, so no scan memory is written.
    if not paths:
        raise DatasetError("the list of image files is empty: give at least one path.")
    absolute = [_checked(path) for path in paths]
    ((most, times),) = Counter(absolute).most_common(1)
    if times > 1:
        raise DatasetError(f"{encode_id(most)!r} is named {times} times; name each file once.")
    folder = os.path.commonpath([os.path.dirname(path) for path in absolute])
    ids = sorted(encode_id(os.path.relpath(path, folder)).replace(os.sep, "/") for path in absolute)
    named = absolute[0] if len(absolute) == 1 else folder
    return Dataset(
        path_name(named, "\0".join(sorted(absolute))),
        tuple(Item(id) for id in ids),
        FolderSource(folder),
        listed=True,
    )


def _checked(given: str | os.PathLike[str]) -> str:
    """Return the absolute path of an image file."""
    path = os.path.abspath(os.path.expanduser(os.fspath(given)))
    shown = encode_id(os.fspath(given))
    if os.path.isdir(path):
        raise DatasetError(f"{shown!r} is a folder: give one folder alone, or image files.")
    if not os.path.exists(path):
        raise no_such_path("file", os.fspath(given))
    if not is_image(os.path.basename(path)):
        raise DatasetError(
            f"{shown!r} is not an image file: in a list, each path ends in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    return path
