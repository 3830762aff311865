"""Images in a zip archive, read in place.

The central directory is parsed here, because `zipfile` needs 700 bytes of memory for each member
and takes three times as long. A member is read by its offset, so several threads can read,
each with its own handle.
"""

from __future__ import annotations

import bz2
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from .archive import ArchiveSource, MemberTable, open_binary
from .identifiers import encode_id
from .source import MAX_BYTES, no_memory, too_large

__all__ = ["ZipSource", "posix_names"]

_WINDOWS = frozenset({0, 6, 10, 14})
"""Host systems whose file names cannot hold a backslash: FAT, HPFS, NTFS, VFAT."""


def posix_names(archive: str, names: Sequence[str], hosts: Sequence[int]) -> list[str]:
    r"""Return the names of all members of a zip archive with ``/`` between folders."""
    # A backslash separates folders in names from Windows, and in archives without any ``/``. A
    # Windows name that is not ASCII and contains a ``/`` keeps its backslashes: each may be the
    # second byte of a double-byte character. `hosts` is `ZipInfo.create_system` of each member.
    only_backslashes = not any("/" in name for name in names)
    found = [
        name.replace("\\", "/")
        if only_backslashes or (host in _WINDOWS and ("/" not in name or name.isascii()))
        else name
        for name, host in zip(names, hosts, strict=True)
    ]
    original: dict[str, str] = {}
    for name, path in zip(names, found, strict=True):
        other = original.setdefault(path, name)
        if other != name:
            raise DatasetError(
                f"archive {archive!r} contains {encode_id(other)!r} and {encode_id(name)!r}, "
                "which are the same path on Windows; rename one of them."
            )
    return found


_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4sxB2xHH4xLLLHHH8xL")
_LOCAL = struct.Struct("<4s22xHH")
_FULL, _FULL_16 = 0xFFFFFFFF, 0xFFFF

_ENCRYPTED, _UTF8 = 0x1, 0x800
_STORED, _DEFLATED, _BZIP2 = _METHODS = 0, 8, 12


_COPY = "Copy the archive again from the source"


class _Member(NamedTuple):
    """The directory entry of a member."""

    offset: int
    packed: int
    size: int
    crc: int
    method: int
    flags: int


class ZipSource(ArchiveSource):
    """The members of a zip archive."""

    def _members(self) -> MemberTable:
        table = MemberTable(self.location, width=len(_Member._fields))
        try:
            with open_binary(self._path) as file:
                directory, shift = _directory(file)
            entries = _entries(directory, shift)
            if b"\\" in directory:
                entries = _with_posix_names(table, list(entries))
            for name, _, numbers in entries:
                if not name.endswith("/"):
                    table.add(name, numbers)
        except (struct.error, ValueError, OSError) as error:
            raise self._unreadable(error) from error
        return table

    def _size(self, numbers: NDArray[np.int64]) -> int:
        return _Member(*numbers.tolist()).size

    def _contents(
        self, members: Sequence[tuple[str, NDArray[np.int64]]]
    ) -> Iterator[tuple[str, bytes | OSError]]:
        with open_binary(self._path) as file:
            for id, numbers in members:
                yield id, _content(file, _Member(*numbers.tolist()))


def _directory(file: BinaryIO) -> tuple[bytes, int]:
    """Return the central directory, and the number of bytes to add to its offsets."""
    end = file.seek(0, 2)
    start = max(0, end - _END.size - _FULL_16)
    file.seek(start)
    tail = file.read()
    found = tail.rfind(b"PK\x05\x06")
    if found < 0:
        raise ValueError("the end of a zip archive is missing")
    position = start + found
    _, _, _, _, count, size, offset, _ = _END.unpack_from(tail, found)
    if _FULL in (size, offset) or count == _FULL_16:
        position, size, offset = _zip64(file, position, size, offset)
    # Bytes before the archive, such as a self-extracting program, shift all offsets.
    shift = position - size - offset
    if shift < 0:
        raise ValueError("its directory is beyond its end")
    file.seek(offset + shift)
    return file.read(size), shift


def _zip64(file: BinaryIO, position: int, size: int, offset: int) -> tuple[int, int, int]:
    """Return the position of the Zip64 end record, and its size and offset fields."""
    file.seek(max(0, position - _LOCATOR_64.size))
    magic, _, record, _ = _LOCATOR_64.unpack(file.read(_LOCATOR_64.size))
    if magic != b"PK\x06\x07":  # exactly 65,535 members, no Zip64 record
        return position, size, offset
    file.seek(record)
    magic, *_, size, offset = _END_64.unpack(file.read(_END_64.size))
    if magic != b"PK\x06\x06":
        raise ValueError("its Zip64 end record is missing")
    return record, size, offset


_Entry = tuple[str, int, tuple[int, ...]]
"""Name of a member, its host system, and the fields of a `_Member`."""


def _with_posix_names(table: MemberTable, entries: Sequence[_Entry]) -> Iterator[_Entry]:
    """Return the entries with `/` between folders; add a remark to the table."""
    names = [name for name, _, _ in entries]
    found = posix_names(table.archive, names, [host for _, host, _ in entries])
    changed = sum(name != path for name, path in zip(names, found, strict=True))
    if changed:
        table.remarks.append(
            f"`\\` was read as the folder separator in the names of {changed:,} members"
        )
    return ((path, *entry[1:]) for path, entry in zip(found, entries, strict=True))


def _entries(directory: bytes, shift: int) -> Iterator[_Entry]:
    """Yield the members in the order of the directory."""
    position = 0
    while position < len(directory):
        (
            magic,
            host,
            flags,
            method,
            crc,
            packed,
            size,
            name_length,
            extra_length,
            comment_length,
            offset,
        ) = _ENTRY.unpack_from(directory, position)
        if magic != b"PK\x01\x02":
            raise ValueError(f"its directory is damaged at byte {position}")
        name_end = position + _ENTRY.size + name_length
        name = _name(directory[position + _ENTRY.size : name_end], flags)
        if _FULL in (size, packed, offset):
            extra = directory[name_end : name_end + extra_length]
            size, packed, offset = _large(extra, size, packed, offset)
        yield name, host, (offset + shift, packed, size, crc, method, flags)
        position = name_end + extra_length + comment_length


def _name(raw: bytes, flags: int) -> str:
    """Return a member's name."""
    # Archives from macOS contain UTF-8 without the flag. Other names are in code page 437.
    if flags & _UTF8:
        return raw.decode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp437")


def _large(extra: bytes, *values: int) -> tuple[int, ...]:
    """Return `values`; a value that does not fit into 32 bits comes from the extra field."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        if kind == 1:
            count = values.count(_FULL)
            large = iter(struct.unpack_from(f"<{count}Q", extra, position + 4))
            return tuple(next(large) if value == _FULL else value for value in values)
        position += 4 + length
    return values


def _content(file: BinaryIO, member: _Member) -> bytes | OSError:
    """Return the unpacked bytes of a member, or an error."""
    if member.flags & _ENCRYPTED:
        return OSError("it is encrypted. Create the archive again without a password")
    if member.method not in _METHODS:
        return OSError(
            f"it is compressed by the unsupported method {member.method}. Create the archive again "
            "with deflate"
        )
    if member.size > MAX_BYTES:
        return too_large(member.size)
    try:
        content = _unpack(_packed(file, member), member.size, member.method)
    except MemoryError:
        return no_memory()
    except OSError as error:
        return error
    except (struct.error, ValueError, zlib.error) as error:
        return OSError(f"it is damaged in the archive ({error}). {_COPY}")
    if len(content) > member.size:
        return OSError(
            f"it unpacks to more than the {member.size:,} bytes stated by the archive. Create the "
            "archive again"
        )
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        return OSError(f"it is damaged in the archive (wrong checksum). {_COPY}")
    return content


def _packed(file: BinaryIO, member: _Member) -> bytes:
    file.seek(member.offset)
    magic, name_length, extra_length = _LOCAL.unpack(file.read(_LOCAL.size))
    if magic != b"PK\x03\x04":
        raise OSError(f"it is damaged in the archive (not at the stated place). {_COPY}")
    start = member.offset + _LOCAL.size + name_length + extra_length
    # `read` allocates memory for all bytes first, so their number is checked before.
    if member.packed > MAX_BYTES:
        raise too_large(member.packed)
    if start + member.packed > os.fstat(file.fileno()).st_size:
        raise OSError(f"it is damaged in the archive (ends beyond the archive). {_COPY}")
    file.seek(start)
    return file.read(member.packed)


def _unpack(packed: bytes, size: int, method: int) -> bytes:
    """Return the content of a member, at most `size + 1` bytes."""
    if method == _DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)
    if method == _BZIP2:
        return bz2.BZ2Decompressor().decompress(packed, size + 1)
    return packed
