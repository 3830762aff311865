"""Derived arrays stored on disk, verified before use and made again if invalid."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._files import (
    CheckedFiles,
    locked,
    map_array,
    sync_folder,
    temporary_file,
    write_atomically,
)

__all__ = ["ArrayStore", "StoredArrays", "Write", "write_array"]

FORMAT = 2
"""Version of the file format."""

META = "meta.json"

Write = Callable[[Path], None]


@dataclass(frozen=True)
class StoredArrays:
    """Verified files that were stored under one name, and the parameters of their creation.

    Memory-mapped arrays keep the verified bytes even if the files are replaced later.
    """

    parameters: dict[str, Any]
    paths: dict[str, Path]
    arrays: dict[str, NDArray[Any]]

    def array(self, name: str) -> NDArray[Any]:
        """Return the array in ``<name>.npy``, memory-mapped."""
        return self.arrays[f"{name}.npy"]


class ArrayStore:
    """A folder of derived files with digests.

    Each file is written to a temporary name, synced and renamed. Then ``meta.json``, with the
    identity and the SHA-256 of every file, is replaced in the same way. If a process was killed or
    two processes wrote at once, files that do not match their digest are refused and made again.

    Parameters
    ----------
    folder
        Location of the files; created when needed.
    identity
        Description of the source of the files. Files with another identity are refused.

    Attributes
    ----------
    problem
        The reason why files could not be written, or None. No error is raised.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = ArrayStore(Path(folder), {"matrix": "00ff"})
    ...     store.save("squares", {"n": 3}, {"values.npy": write_array(np.arange(3) ** 2)})
    ...     part = store.load("squares")
    ...     print(part.parameters, part.array("values").tolist())
    ...     print(ArrayStore(Path(folder), {"matrix": "01ff"}).load("squares"))
    {'n': 3} [0, 1, 4]
    None
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        self.problem: str | None = None
        self._identity = {"format": FORMAT, **identity}

    @property
    def size(self) -> int:
        """Total bytes of the files."""
        entries = self._parts().items()
        paths = [
            self.folder / f"{name}-{file}" for name, entry in entries for file in entry["files"]
        ]
        return sum(path.stat().st_size for path in paths if path.exists())

    def load(self, name: str) -> StoredArrays | None:
        """Return the files stored under a name, or None if they are missing or invalid."""
        entry = self._parts().get(name)
        if entry is None:
            return None
        part = StoredArrays(entry["parameters"], {}, {})
        for file, digest in entry["files"].items():
            path = part.paths[file] = self.folder / f"{name}-{file}"
            try:
                array = self._checked(path, digest)
            except (OSError, ValueError):
                return None
            if array is not None:
                part.arrays[file] = array
        with contextlib.suppress(OSError):  # the time of the last reading, for `cache gc`
            os.utime(self.folder / META)
        return part

    def save(
        self,
        name: str,
        parameters: Mapping[str, Any],
        files: Mapping[str, Write],
        *,
        at_most: tuple[str, int] | None = None,
    ) -> None:
        """Replace the files stored under a name; a failure sets `problem`.

        `at_most` is (prefix, number): only the newest `number` names with this prefix are kept.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            digests = {file: self._put(f"{name}-{file}", write) for file, write in files.items()}
            sync_folder(self.folder)
            entry = {"parameters": dict(parameters), "files": digests}
            with locked(self.folder):  # no entry of another process is lost
                parts = self._parts()
                parts.pop(name, None)
                parts[name] = entry  # the newest is last
                removed = _too_many(parts, *at_most) if at_most else {}
                parts = {key: each for key, each in parts.items() if key not in removed}
                meta = {**self._identity, "parts": parts}
                write_atomically(self.folder / META, json.dumps(meta, indent=1).encode())
            for old, each in removed.items():
                for file in each["files"]:
                    (self.folder / f"{old}-{file}").unlink(missing_ok=True)
        except OSError as error:
            self.problem = f"cannot store {name} in {self.folder}: {error.strerror or error}"

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Lock a name of this folder for all processes during a ``with`` block."""
        # The lock is released when a process ends. Where locks are impossible (Windows, read-only
        # folders), processes do not wait.
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = self.folder / f".{name}.lock"
            lock.touch()
        except OSError:
            yield
            return
        with locked(lock):
            yield

    def _checked(self, path: Path, digest: str) -> NDArray[Any] | None:
        """Return the array in a file, if it has one; raise ValueError for another digest."""
        checked = CheckedFiles(self.folder)
        with path.open("rb") as file:
            now, stat = time.time_ns(), os.fstat(file.fileno())
            if not checked.knows(path.name, stat, digest):
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    raise ValueError("its bytes do not match their digest")
                checked.add(path.name, stat, digest, now)
                file.seek(0)
            return map_array(file) if path.suffix == ".npy" else None

    def _put(self, name: str, write: Write) -> str:
        """Write one file atomically, and return its digest."""
        path = self.folder / name
        with temporary_file(path) as temporary:
            write(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            digest = _digest(temporary)
            temporary.replace(path)
        if digest is None:
            raise OSError(f"{name} cannot be read back")
        return digest

    def _parts(self) -> dict[str, Any]:
        """Return the valid entries of ``meta.json`` with this identity."""
        try:
            meta = json.loads((self.folder / META).read_bytes())
        except (OSError, ValueError):
            return {}
        if not isinstance(meta, dict) or not isinstance(meta.get("parts"), dict):
            return {}
        if any(meta.get(key) != value for key, value in self._identity.items()):
            return {}
        return {name: entry for name, entry in meta["parts"].items() if _is_entry(entry)}


def _too_many(parts: Mapping[str, Any], prefix: str, most: int) -> dict[str, Any]:
    """Return the parts with a name prefix, except the newest `most`."""
    names = [name for name in parts if name.startswith(prefix)]
    return {name: parts[name] for name in names[: max(len(names) - most, 0)]}


def write_array(array: NDArray[Any]) -> Write:
    """Return a function that writes an array to a path."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, array, allow_pickle=False)

    return write


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("parameters"), dict):
        return False
    files = entry.get("files")
    return isinstance(files, dict) and all(isinstance(digest, str) for digest in files.values())


def _digest(path: Path) -> str | None:
    """Return the SHA-256 of a file, or None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
