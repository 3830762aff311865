"""Files that exist whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"
"""Files with this prefix are unfinished: no reader looks at them, `cache gc` removes them."""


def is_read_only(error: OSError) -> bool:
    """Return whether the place must not be written, as opposed to full or broken."""
    return error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


def temporary_path(path: Path) -> Path:
    """Return an unused name beside `path` that no reader takes for a finished file."""
    return path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(6)}-{path.name}")


def sync_folder(folder: Path) -> None:
    """Make the renames in `folder` survive a power cut, where the platform can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: bytes, *, overwrite: bool = True) -> bool:
    """Write `data` to `path` so that a reader sees all of it or nothing.

    Parameters
    ----------
    path
        Where the file goes; missing parent folders are made.
    data
        Its whole content.
    overwrite
        If false, an existing file is left as it is.

    Returns
    -------
    bool
        Whether `path` now holds `data` because of this call.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_file(path) as temporary:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError:  # a file system without hard links
                if path.exists():
                    return False
                temporary.replace(path)
    sync_folder(path.parent)
    return True


@contextlib.contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; what is left under it afterwards is removed."""
    temporary = temporary_path(path)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
