r"""Names of zip members as POSIX paths: some Windows programs write ``\`` between folders."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import DatasetError
from .identifiers import encode_id

__all__ = ["posix_names"]

_WINDOWS = frozenset({0, 6, 10, 14})
"""Host systems whose file names cannot hold a backslash: FAT, HPFS, NTFS, VFAT."""


def posix_names(archive: str, names: Sequence[str], hosts: Sequence[int]) -> list[str]:
    r"""Return the names of all members of a zip archive with ``/`` between folders.

    A backslash separates folders in a member from Windows, and in every member of an archive
    where no name has a ``/``. In other members it is a character like any other. It is also kept
    in a name from Windows that has a ``/`` and is not ASCII: there it may be the second byte of a
    character in an old double-byte encoding.

    Parameters
    ----------
    archive
        The path of the archive, for messages.
    names
        Name of each member: ``ZipInfo.filename``.
    hosts
        Host system of each member: ``ZipInfo.create_system``.

    Raises
    ------
    DatasetError
        If two different names become the same.

    Examples
    --------
    >>> posix_names("x.zip", ["train\\cat\\1.jpg", "a/b.jpg"], [0, 0])
    ['train/cat/1.jpg', 'a/b.jpg']
    >>> posix_names("x.zip", ["a\\b.jpg", "photos/c.jpg"], [3, 3])
    ['a\\b.jpg', 'photos/c.jpg']
    """
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
                f"archive {archive!r} holds {encode_id(other)!r} and {encode_id(name)!r}, "
                "which are the same path on Windows; rename one of them."
            )
    return found
