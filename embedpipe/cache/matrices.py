"""Matrices: the vectors of an ordered list of items as one memory-mapped array."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import weakref
from pathlib import Path

import numpy as np
import pyarrow as pa

from .._files import open_array, sync_folder, temporary_path
from .._workspace import Workspace
from ..errors import CacheError, ReadOnlyError
from .fragments import digest_of_ids, unwritable
from .store import Store

if sys.platform != "win32":
    import fcntl

__all__ = ["in_use", "matrix_problem", "open_matrix"]


def open_matrix(
    workspace: Workspace, store: Store, content_ids: pa.Array, *, keep: bool = True
) -> tuple[np.memmap, Path, str]:
    """Return the memory-mapped vectors of `content_ids`, their folder, and their file's digest.

    The matrix, float32 with a row for each content id, is built from the fragments if it is missing
    or invalid. Without `keep`, or in a read-only workspace, the matrix is in a temporary folder
    until its last use.
    """
    items_digest = digest_of_ids(content_ids)
    folder = workspace.matrices / store.spec.id / items_digest
    found = _open(folder, store.spec.id, items_digest)
    if isinstance(found, str) and keep:
        try:
            _build(folder, store, content_ids, items_digest)
            found = _open(folder, store.spec.id, items_digest)
        except ReadOnlyError:
            pass
    if isinstance(found, str):
        return _temporary(store, content_ids, items_digest)
    _lock_while_used(folder, found[0])
    return found[0], folder, found[1]


def in_use(folder: Path) -> bool:
    """Return whether a process uses the matrix in `folder`; false without file locks."""
    if sys.platform == "win32":
        return False
    try:
        descriptor = os.open(folder / "meta.json", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


def _lock_while_used(folder: Path, matrix: np.memmap) -> None:
    """Keep a shared lock while the matrix is used, because workers open it by its path."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / "meta.json", os.O_RDONLY)
        weakref.finalize(matrix, os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


def matrix_problem(folder: Path, spec_id: str, items_digest: str) -> str | None:
    """Return the reason why the matrix in `folder` is invalid, or None."""
    found = _open(folder, spec_id, items_digest)
    return found if isinstance(found, str) else None


def _open(folder: Path, spec_id: str, items_digest: str) -> tuple[np.memmap, str] | str:
    """Return the matrix in `folder` and the digest of its file, or the reason why it is invalid."""
    try:
        meta = json.loads((folder / "meta.json").read_bytes())
    except (OSError, ValueError):
        return "meta.json is missing or damaged"
    if not isinstance(meta, dict):
        return "meta.json is missing or damaged"
    if meta.get("spec_id") != spec_id or meta.get("items_digest") != items_digest:
        return "the matrix is for another spec or other items"
    try:
        matrix, digest = open_array(folder / "embeddings.npy")
    except (OSError, ValueError, EOFError):
        return "embeddings.npy is missing or damaged"
    if list(matrix.shape) != meta.get("shape") or matrix.dtype != np.float32:
        return "the shape of embeddings.npy differs from meta.json"
    if digest != meta.get("sha256"):
        return "embeddings.npy is altered: its bytes do not match their digest"
    return matrix, digest


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _temporary(
    store: Store, content_ids: pa.Array, items_digest: str
) -> tuple[np.memmap, Path, str]:
    """Build a matrix outside of the workspace; it is removed after its last use."""
    outside = Path(tempfile.mkdtemp(prefix="embedpipe-"))
    folder = outside / items_digest
    try:
        _build(folder, store, content_ids, items_digest)
        matrix, digest = open_array(folder / "embeddings.npy")
    except BaseException:
        shutil.rmtree(outside, ignore_errors=True)
        raise
    weakref.finalize(matrix, _discard, outside, os.getpid())
    return matrix, folder, digest


def _discard(folder: Path, process: int) -> None:
    if os.getpid() == process:  # not in a forked process
        shutil.rmtree(folder, ignore_errors=True)


def _build(folder: Path, store: Store, content_ids: pa.Array, items_digest: str) -> None:
    temporary = temporary_path(folder)
    try:
        temporary.mkdir(parents=True)
        path = temporary / "embeddings.npy"
        shape = (len(content_ids), store.spec.dim)
        _fill(path, shape, store, content_ids)
        meta = {
            "spec_id": store.spec.id,
            "items_digest": items_digest,
            "shape": list(shape),
            "dtype": "float32",
            "sha256": _digest_of_file(path),
        }
        (temporary / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
        _sync(temporary)
        _publish(temporary, folder, store.spec.id, items_digest)
    except OSError as error:
        raise unwritable(
            f"cannot write the matrix at {folder}: {error.strerror or error}. The cache is "
            "unchanged. Free space or permit writing, then run the same command again.",
            error,
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fill(path: Path, shape: tuple[int, int], store: Store, content_ids: pa.Array) -> None:
    # The space is reserved now: a full disk raises an error here, not a bus error later.
    matrix = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    if hasattr(os, "posix_fallocate") and path.stat().st_size:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    filled = np.zeros(shape[0], bool)
    for positions, vectors in store.vectors_for(content_ids):
        matrix[positions] = vectors
        filled[positions] = True
    matrix.flush()
    if not filled.all():
        first = content_ids[int(np.argmin(filled))].as_py().hex()
        raise CacheError(
            f"{int((~filled).sum())} of {shape[0]} images have no vector in the cache; the first "
            f"is {first}. Run `embedpipe embed` on the dataset."
        )


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def _publish(temporary: Path, folder: Path, spec_id: str, items_digest: str) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        if matrix_problem(folder, spec_id, items_digest) is None:
            return  # another process has built the same matrix
        aside = temporary_path(folder)
        folder.rename(aside)
        temporary.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)
    sync_folder(folder.parent)
