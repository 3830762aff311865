"""The check that each worker reads and writes the same workspace, and reads the same images."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import NamedTuple

from ..._files import temporary_path, write_atomically
from ...datasets import Source
from ...errors import CacheError, EmbedpipeError, RunError

__all__ = ["NodeCheck", "Seen", "look"]


class Seen(NamedTuple):
    """The token that a worker read, the file that it wrote, and the digest of an image."""

    token: bytes | None
    answer: Path | None
    digest: str | None


class NodeCheck:
    """A file in the workspace, and an image, that each worker must be able to read.

    The file is in `folder`; None for an object store, which all nodes reach by the same address.
    """

    def __init__(self, folder: Path | None, source: Source, item_id: str) -> None:
        self._folder, self._source, self._item_id = folder, source, item_id
        self._token = secrets.token_hex(16).encode()
        self._digest = _digest_of(source, item_id)
        self._path = None if folder is None else temporary_path(folder / "seen-by-workers")
        if self._path is not None:
            try:
                write_atomically(self._path, self._token)
            except OSError as error:
                raise CacheError(
                    f"cannot write to the cache at {folder}: {error.strerror or error}."
                ) from error

    @property
    def arguments(self) -> tuple[object, Path | None, str]:
        """The arguments of `ShardWorker.look`."""
        return look, self._path, self._item_id

    def verify(self, node: str, seen: Seen) -> None:
        """Raise an error if a worker on a node does not have the same workspace or images."""
        if self._folder is not None and not (seen.token == self._token and _removed(seen.answer)):
            raise RunError(
                f"the Ray node {node} has no workspace at {self._folder.parent.parent}: give "
                "a --workspace with the same path on every node, such as on a shared file system, "
                "or on an object store."
            )
        if seen.digest != self._digest:
            raise RunError(
                f"the Ray node {node} has another file {self._item_id!r} in "
                f"{self._source.location}, or no such file: the images must have the same path on "
                "every node."
            )

    def close(self) -> None:
        """Remove the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def look(source: Source, path: Path | None, item_id: str) -> Seen:
    """Read the file and the image of a check on a node, and write an answer beside the file."""
    token, answer = None, None
    if path is not None:
        answer = temporary_path(path)
        try:
            token = path.read_bytes()
            write_atomically(answer, token)
        except OSError:
            return Seen(None, answer, None)
    return Seen(token, answer, _digest_of(source, item_id))


def _digest_of(source: Source, item_id: str) -> str | None:
    """Return the digest of an image; None if it cannot be read."""
    try:
        ((_, digest),) = source.digests([item_id])
    except (OSError, EmbedpipeError):
        return None
    return None if isinstance(digest, OSError) else digest.hex()


def _removed(path: Path | None) -> bool:
    """Remove the file of a worker; return whether it exists here."""
    if path is None:
        return False
    try:
        path.unlink()
    except OSError:
        return False
    return True
