"""Images in a tar archive, read in place; a compressed archive is read from front to back."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import posixpath
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from .archive import ArchiveSource, MemberTable, open_binary
from .samples import LABEL_BYTES, LABEL_SUFFIXES
from .source import MAX_BYTES, no_memory, too_large

__all__ = ["TarSource"]

_NOWHERE = -1
"""The offset of a broken link."""

_MAX_IDLE = 4
"""Maximum number of streams kept open, so that a later read can continue from their position."""

_HEADER_BYTES = 1 << 20
"""Maximum bytes of a header."""

_COPY = "Copy the archive again from the source"

_DAMAGE = (tarfile.TarError, EOFError, OSError, MemoryError, zlib.error, lzma.LZMAError)


class TarSource(ArchiveSource):
    """The members of a tar archive: plain, or compressed by gzip, bzip2 or xz.

    A compressed archive is unpacked from its beginning. Reading in order, in one call or several,
    unpacks it once: streams stay open for the next call. Random reads unpack it again and again.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._idle: list[tuple[int, BinaryIO]] = []
        self._process = os.getpid()

    def __del__(self) -> None:
        for _, stream in getattr(self, "_idle", ()):
            stream.close()

    def _members(self) -> MemberTable:
        table = MemberTable(self.location, width=2)
        links: list[tuple[str, str]] = []
        try:
            with (
                closing(_open(self._path)) as stream,
                tarfile.open(fileobj=cast(BinaryIO, _Headers(stream)), mode="r:") as archive,
            ):
                for member in _walk(archive):
                    if member.isfile():
                        place = _NOWHERE if member.sparse else member.offset_data
                        table.add(member.name, (place, member.size))
                        if member.name.lower().endswith(LABEL_SUFFIXES):
                            _add_label(table, archive, member)
                    elif member.islnk():
                        links.append((member.name, member.linkname))
                    elif member.issym():
                        folder = posixpath.dirname(member.name)
                        links.append((member.name, posixpath.join(folder, member.linkname)))
        except _DAMAGE as error:
            raise self._unreadable(error) from error
        for name, target in links:
            inside = posixpath.normpath(target)
            path = None if inside.startswith("../") else table.path(inside)
            table.add(name, table.numbers_of(path) or (_NOWHERE, 0))
        return table

    def _size(self, numbers: NDArray[np.int64]) -> int:
        return int(numbers[1])

    def _contents(
        self, members: Sequence[tuple[str, NDArray[np.int64]]]
    ) -> Iterator[tuple[str, bytes | OSError]]:
        if not members:
            return
        first = next((int(offset) for _, (offset, _) in members if offset >= 0), 0)
        stream = self._stream(first)
        healthy = False
        try:
            yield from _read_forward(stream, members)
            healthy = True
        finally:
            if healthy and not isinstance(stream, io.BufferedReader):
                self._keep(stream)  # compressed; a plain file is quickly opened again
            else:
                stream.close()

    def _stream(self, offset: int) -> BinaryIO:
        """Return the kept stream nearest before `offset`, or a new stream."""
        with self._lock:
            if self._process != os.getpid():  # after a fork, they are the parent's
                self._idle, self._process = [], os.getpid()
            ready = [entry for entry in self._idle if entry[0] <= offset]
            if ready:
                nearest = max(ready, key=lambda entry: entry[0])
                self._idle.remove(nearest)
                return nearest[1]
        return _open(self._path)

    def _keep(self, stream: BinaryIO) -> None:
        with self._lock:
            self._idle.append((stream.tell(), stream))
            surplus = self._idle.pop(0)[1] if len(self._idle) > _MAX_IDLE else None
        if surplus:
            surplus.close()


class _Headers:
    """A stream for listing a tar archive; it refuses headers of unusual size."""

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell, self._read = stream.seek, stream.tell, stream.read

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, which belong to a header."""
        if size > _HEADER_BYTES:
            raise tarfile.ReadError(f"a header at byte {self.tell()} states {size:,} bytes")
        return self._read(size)


def _add_label(table: MemberTable, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    """Add the label in a member to the table."""
    if member.size <= LABEL_BYTES and not member.sparse:
        with archive.extractfile(member) as file:  # type: ignore[union-attr]
            table.add_label(member.name, file.read())


def _walk(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members; raise an error if the list ends before the archive does."""
    while (member := archive.next()) is not None:
        yield member
        archive.members.clear()  # type: ignore[attr-defined]  # saves a kilobyte a member
    stream = cast(BinaryIO, archive.fileobj)
    stream.seek(archive.offset)
    if any(stream.read(tarfile.BLOCKSIZE)):
        raise tarfile.ReadError(f"no member starts at byte {archive.offset}")


def _read_forward(
    stream: BinaryIO, members: Sequence[tuple[str, NDArray[np.int64]]]
) -> Iterator[tuple[str, bytes | OSError]]:
    """Yield the content of each member, in one pass."""
    last, content = (_NOWHERE, 0), cast("bytes | OSError", b"")
    broken = False
    for id, numbers in members:
        place = (int(numbers[0]), int(numbers[1]))
        if place[0] == _NOWHERE:
            yield (
                id,
                FileNotFoundError("it is a link to a target that is not an image in the archive"),
            )
            continue
        if place[1] > MAX_BYTES:
            yield id, too_large(place[1])
            continue
        if place != last and not broken:  # two links to one file are read once
            last, content = place, _content(stream, *place)
            broken = isinstance(content, OSError)
        yield id, content


def _content(stream: BinaryIO, offset: int, size: int) -> bytes | OSError:
    try:
        stream.seek(offset)
        content = stream.read(size)
    except OSError as error:
        return error
    except MemoryError:
        return no_memory()
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        return OSError(f"it is in a damaged archive ({error}). {_COPY}")
    if len(content) != size:
        return OSError(f"it is in an incomplete archive. {_COPY}")
    return content


def _open(path: str) -> BinaryIO:
    """Open a tar archive, and unpack it if it is compressed."""
    with closing(open_binary(path)) as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(path))
    if magic.startswith(b"BZh"):
        return cast(BinaryIO, bz2.open(path))
    if magic.startswith(b"\xfd7zXZ\x00"):
        return cast(BinaryIO, lzma.open(path))
    return open_binary(path)
