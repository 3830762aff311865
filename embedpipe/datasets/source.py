"""Sources of image bytes: the base class, and files in a folder."""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .._pixels import content_id_of
from .identifiers import decode_id, encode_id, existing_form, similar_hint

__all__ = [
    "MAX_BYTES",
    "FolderSource",
    "Source",
    "Stamp",
    "no_memory",
    "read_failure",
    "readable_size",
    "too_large",
]

MAX_BYTES = 512 << 20
"""Maximum bytes of an image file, and of an archive member before and after unpacking."""


def too_large(size: int) -> OSError:
    """Return the error for a file or a member of `size` bytes."""
    return OSError(f"it has {size:,} bytes; the limit is {MAX_BYTES:,}. Reduce the image")


def readable_size(path: str) -> int:
    """Return the size of a file in bytes; raise OSError for a pipe, a device or a socket."""
    status = os.stat(path)
    # Opening a pipe blocks, and reading a device may never end.
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise OSError("it is not a file but a pipe, a device or a socket")
    return status.st_size


def no_memory() -> OSError:
    """Return the error for a file or a member that does not fit into memory."""
    return OSError("it does not fit into memory. Free some memory and try again")


def read_failure(error: OSError) -> str:
    """Return the reason of a failed read, with "it" for the item: "it is missing"."""
    return str(error) if error.errno is None else f"it cannot be read ({error.strerror})"


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size, times and inode of a file or archive; unchanged stamps mean unchanged bytes.

    The size is that of the image if it is known without reading, else of the file that contains it.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class Source(ABC):
    """The bytes of the items of one dataset, by id.

    A source may be used from several threads and sent to other processes. It pickles as the
    information that is needed to open it again, not as its content. It keeps no item open.
    """

    @property
    @abstractmethod
    def location(self) -> str:
        """The place of the bytes, for messages: the path of a folder or an archive."""

    @property
    def folder(self) -> Path | None:
        """The folder of the files; None if the bytes are elsewhere."""
        return None

    def path(self, id: str) -> str:
        """Return the place of item `id` for messages: the path of its file, if it has one."""
        return f"{self.location}/{id}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes for the user on how the source was read."""
        return ()

    @abstractmethod
    def stamp(self, id: str) -> Stamp | None:
        """Return the stamp of item `id`; None if the item is missing or must be hashed again."""

    def stamps(self, ids: Sequence[str]) -> list[Stamp | None]:
        """Return the stamp of each of `ids`."""
        return [self.stamp(id) for id in ids]

    @abstractmethod
    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield each of `ids` once, with its bytes or with the error that prevented reading.

        The order is the fastest for the storage. An unreadable item does not stop the iteration.
        """

    def digests(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield each of `ids` once, with its content id or with the error that prevented reading.

        The content id is the SHA-256 of the bytes. A source that computes images from files, such
        as frames of a video, has the digest of the file and the part of it without decoding.
        """
        for id, content in self.read(ids):
            yield id, content if isinstance(content, OSError) else content_id_of(content)

    def read_one(self, id: str) -> bytes:
        """Return the bytes of item `id`; raise OSError if it is missing or unreadable."""
        ((_, content),) = self.read([id])
        if isinstance(content, OSError):
            raise content
        return content


class FolderSource(Source):
    """The files below a folder; an id is a path relative to the folder, or an absolute path."""

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
        """Return the content of one file, or the error that prevented reading."""
        path = self.path(id)
        try:
            size = readable_size(path)
            if size > MAX_BYTES:
                return too_large(size)
            with open(path, "rb", buffering=0) as file:
                return file.read()
        except FileNotFoundError as error:
            similar = existing_form(path)
            if similar is None:
                return error
            hint = similar_hint(id, encode_id(os.path.relpath(similar, self._root)))
            return FileNotFoundError(f"it is missing{hint}")
        except OSError as error:
            return error
        except MemoryError:
            return no_memory()
        except ValueError as error:  # a null character
            return OSError(f"it has an invalid path ({error})")
