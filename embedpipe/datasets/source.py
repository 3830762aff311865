"""Where the bytes of a dataset's items come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MAX_BYTES", "Source", "Stamp", "no_memory", "too_large"]

MAX_BYTES = 512 << 20
"""Maximum bytes of an image file, and of an archive member before and after it is unpacked."""


def too_large(size: int) -> OSError:
    """Return the error of a file or a member of `size` bytes."""
    return OSError(f"it has {size:,} bytes; the limit is {MAX_BYTES:,}: reduce the image")


def no_memory() -> OSError:
    """Return the error of a file or a member that there is no memory for."""
    return OSError("there is not enough memory to read it: free some, and try it again")


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size, times and inode of an item's file: while they stay, its bytes are taken as unchanged.

    Parameters
    ----------
    size
        Bytes of the item.
    mtime_ns, ctime_ns, inode
        Of the file that holds it: the image file itself, or the archive.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class Source(ABC):
    """The bytes of the items of one dataset, by id.

    A source can be used from several threads at once and sent to another process: it pickles as
    what it needs to be opened again, not as its content. It holds no open handle per item.
    """

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the bytes are, for people: the path of a folder or an archive."""

    @property
    def folder(self) -> Path | None:
        """The folder that holds the files, None where the bytes are in something else."""
        return None

    def path(self, id: str) -> str:
        """Return where item `id` is, for people: the path of its file where it has one."""
        return f"{self.location}/{id}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know about how the source was read."""
        return ()

    @abstractmethod
    def stamp(self, id: str) -> Stamp | None:
        """Return the stamp of item `id`: while it stays, its bytes are unchanged.

        None means that there is no cheap way to know, or no such file: hash it again.
        """

    def stamps(self, ids: Sequence[str]) -> list[Stamp | None]:
        """Return the stamp of each of `ids`."""
        return [self.stamp(id) for id in ids]

    @abstractmethod
    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield every id of `ids` exactly once with its bytes, or with why there are none.

        The order is the one that is fastest for the storage. An item that cannot be read yields
        its error and does not stop the iteration.
        """

    def read_one(self, id: str) -> bytes:
        """Return the bytes of item `id`.

        Raises
        ------
        OSError
            If it is missing or cannot be read.
        """
        ((_, content),) = self.read([id])
        if isinstance(content, OSError):
            raise content
        return content
