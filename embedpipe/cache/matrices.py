"""Matrices: the vectors of an ordered list of items as one memory-mapped array."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._files import CheckedFiles, map_array, sync_folder, temporary_path
from .._threads import map_blocks
from .._workspace import Workspace
from ..errors import CacheError, ReadOnlyError
from .combined import AnyStore
from .fragments import digest_of_ids, unwritable

if sys.platform != "win32":
    import fcntl

__all__ = ["Earlier", "earlier_of", "in_use", "matrix_problem", "open_matrix"]

VECTORS, META, KEYS, EARLIER_ROWS = "embeddings.npy", "meta.json", "keys.npy", "earlier-rows.npy"
"""Files of a matrix; `KEYS` has the first eight bytes of each content id."""

BLOCK_BYTES = 16 << 20
"""Approximate bytes of vectors per digest."""

LEAST_SHARE = 0.5
"""Minimum share of the rows that a matrix must have in common with a new one to be copied."""


@dataclass(frozen=True)
class Earlier:
    """A matrix from which rows of a new matrix were copied.

    Attributes
    ----------
    folder, digest
        The folder and the digest of the earlier matrix.
    rows
        (m,) int64 ascending: row i of the earlier matrix is row ``rows[i]`` of the new one.
    """

    folder: Path
    digest: str
    rows: NDArray[np.int64]


def open_matrix(
    workspace: Workspace, store: AnyStore, content_ids: pa.Array, *, keep: bool = True
) -> tuple[np.memmap, Path, str]:
    """Return the memory-mapped vectors of `content_ids`, their folder, and their digest.

    The matrix, float32 with a row for each content id, is built if it is missing or invalid: from
    an earlier matrix that has most of the rows in the same order, and from the fragments. Without
    `keep`, or in a read-only workspace, the matrix is in a temporary folder
    until its last use.
    """
    items_digest = digest_of_ids(content_ids)
    folder = workspace.matrices / store.spec.id / items_digest
    found = _open(folder, store.spec.id, items_digest)
    if isinstance(found, str) and keep:
        try:
            built = _build(folder, store, content_ids, items_digest)
            found = _open(folder, store.spec.id, items_digest, known=built)
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
    """Return the reason why the matrix in `folder` is invalid, or None; all bytes are read."""
    found = _open(folder, spec_id, items_digest, remembered=False)
    return found if isinstance(found, str) else None


def earlier_of(folder: Path) -> Earlier | None:
    """Return the matrix from which rows of the matrix in `folder` were copied, or None."""
    try:
        meta = json.loads((folder / META).read_bytes())["earlier"]
        rows = np.load(folder / EARLIER_ROWS, allow_pickle=False)
        if _digest_of_rows(rows) != meta["rows"]:
            return None
        return Earlier(folder.parent / meta["items_digest"], meta["sha256"], rows)
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None


def _digest_of_rows(rows: NDArray[np.int64]) -> str:
    return hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()


def _open(
    folder: Path,
    spec_id: str,
    items_digest: str,
    *,
    remembered: bool = True,
    known: str | None = None,
) -> tuple[np.memmap, str] | str:
    """Return the matrix in `folder` and its digest, or the reason why it is invalid.

    With `remembered`, an unchanged file that was checked before is not read again. A matrix with
    the `known` digest was written by this process.
    """
    try:
        meta = json.loads((folder / META).read_bytes())
    except (OSError, ValueError):
        return "meta.json is missing or damaged"
    if not isinstance(meta, dict):
        return "meta.json is missing or damaged"
    if meta.get("spec_id") != spec_id or meta.get("items_digest") != items_digest:
        return "the matrix is for another spec or other items"
    try:
        with (folder / VECTORS).open("rb") as file:
            now, stat = time.time_ns(), os.fstat(file.fileno())
            matrix = map_array(file)
    except (OSError, ValueError, EOFError):
        return "embeddings.npy is missing or damaged"
    if list(matrix.shape) != meta.get("shape") or matrix.dtype != np.float32:
        return "the shape of embeddings.npy differs from meta.json"
    digest, checked = str(meta.get("sha256")), CheckedFiles(folder)
    if digest == known or (remembered and checked.knows(VECTORS, stat, digest)):
        return matrix, digest
    if _digest_of_blocks(matrix.shape, _block_digests(matrix)) != digest:
        return "embeddings.npy is altered: its bytes do not match their digest"
    if remembered:
        checked.add(VECTORS, stat, digest, now)
    return matrix, digest


def _block_digests(matrix: NDArray[np.float32], start: int = 0) -> list[str]:
    """Return the SHA-256 of each block of rows, from block `start` on."""
    size = max(1, BLOCK_BYTES // (4 * max(1, matrix.shape[1])))
    count = -(-len(matrix) // size)  # blocks

    def work(part: slice) -> str:
        block = (start + part.start) * size
        return hashlib.sha256(np.ascontiguousarray(matrix[block : block + size]).data).hexdigest()

    return map_blocks(work, max(count - start, 0), 1)


def _digest_of_blocks(shape: tuple[int, ...], blocks: list[str]) -> str:
    """Return the digest of a matrix: SHA-256 of its shape and of the digests of its blocks."""
    return hashlib.sha256(json.dumps([list(shape), blocks]).encode()).hexdigest()


def _temporary(
    store: AnyStore, content_ids: pa.Array, items_digest: str
) -> tuple[np.memmap, Path, str]:
    """Build a matrix outside of the workspace; it is removed after its last use."""
    outside = Path(tempfile.mkdtemp(prefix="embedpipe-"))
    folder = outside / items_digest
    try:
        built = _build(folder, store, content_ids, items_digest)
        found = _open(folder, store.spec.id, items_digest, known=built)
    except BaseException:
        shutil.rmtree(outside, ignore_errors=True)
        raise
    if isinstance(found, str):
        shutil.rmtree(outside, ignore_errors=True)
        raise CacheError(
            f"cannot write the matrix at {folder}: {found}. The cache is unchanged. Free space or "
            "permit writing, then run the same command again."
        )
    weakref.finalize(found[0], _discard, outside, os.getpid())
    return found[0], folder, found[1]


def _discard(folder: Path, process: int) -> None:
    if os.getpid() == process:  # not in a forked process
        shutil.rmtree(folder, ignore_errors=True)


def _build(folder: Path, store: AnyStore, content_ids: pa.Array, items_digest: str) -> str:
    """Write the matrix of an ordered list of items, and return its digest."""
    temporary = temporary_path(folder)
    try:
        temporary.mkdir(parents=True)
        path = temporary / VECTORS
        shape = (len(content_ids), store.spec.dim)
        keys = _keys(content_ids)
        np.save(temporary / KEYS, keys, allow_pickle=False)
        found = _find_earlier(folder, store.spec.id, content_ids, keys)
        blocks = _fill(path, shape, store, content_ids, found)
        digest = _digest_of_blocks(shape, blocks)
        meta: dict[str, Any] = {
            "spec_id": store.spec.id,
            "items_digest": items_digest,
            "shape": list(shape),
            "dtype": "float32",
            "sha256": digest,
            "blocks": blocks,
        }
        if found is not None:
            earlier, _ = found
            meta["earlier"] = {
                "items_digest": earlier.folder.name,
                "sha256": earlier.digest,
                "rows": _digest_of_rows(earlier.rows),
            }
            np.save(temporary / EARLIER_ROWS, earlier.rows, allow_pickle=False)
        (temporary / META).write_text(json.dumps(meta, indent=1), encoding="utf-8")
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
    return digest


def _keys(content_ids: pa.Array) -> NDArray[np.uint64]:
    """Return the first eight bytes of each content id: (n,)."""
    start = content_ids.offset
    data = np.frombuffer(content_ids.buffers()[1], "<u8").reshape(-1, 4)
    return np.ascontiguousarray(data[start : start + len(content_ids), 0])


def _find_earlier(
    folder: Path, spec_id: str, content_ids: pa.Array, keys: NDArray[np.uint64]
) -> tuple[Earlier, np.memmap] | None:
    """Return the largest valid matrix beside `folder` whose rows are rows of the new matrix.

    It stays open, so another process may remove its files.
    """
    known: list[tuple[int, Path]] = []
    for other in folder.parent.iterdir():
        with contextlib.suppress(OSError, ValueError, EOFError):
            if len(other.name) == len(folder.name) and other != folder:
                with (other / KEYS).open("rb") as file:
                    known.append((len(map_array(file)), other))
    for count, other in sorted(known, reverse=True):
        if not LEAST_SHARE * keys.size <= count <= keys.size:
            continue
        try:
            old = np.load(other / KEYS, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):  # removed or replaced
            continue
        rows = _rows_in(old, keys)
        if rows is None or digest_of_ids(content_ids.take(pa.array(rows))) != other.name:
            continue
        found = _open(other, spec_id, other.name)
        if not isinstance(found, str):
            _lock_while_used(other, found[0])
            return Earlier(other, found[1], rows), found[0]
    return None


def _rows_in(old: NDArray[np.uint64], new: NDArray[np.uint64]) -> NDArray[np.int64] | None:
    """Return ascending rows of `new` with the keys `old`, or None."""
    if np.array_equal(old, new[: old.size]):
        return np.arange(old.size)
    rows, left = [], iter(enumerate(new.tolist()))
    for key in old.tolist():
        for row, other in left:
            if other == key:
                rows.append(row)
                break
        else:
            return None
    return np.array(rows, dtype=np.int64)


def _fill(
    path: Path,
    shape: tuple[int, int],
    store: AnyStore,
    content_ids: pa.Array,
    found: tuple[Earlier, np.memmap] | None,
) -> list[str]:
    """Write the vectors, and return the digests of their blocks."""
    # The space is reserved now: a full disk raises an error here, not a bus error later.
    matrix = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    if hasattr(os, "posix_fallocate") and path.stat().st_size:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    missing = np.full(shape[0], store.n_blocks)  # blocks of each row
    blocks: list[str] = []
    if found is not None:
        earlier, old = found
        blocks = _copy(matrix, earlier, old)
        missing[earlier.rows] = 0
    wanted = np.flatnonzero(missing)
    if wanted.size:
        for columns, positions, vectors in store.blocks_for(content_ids.take(pa.array(wanted))):
            matrix[wanted[positions], columns] = vectors
            missing[wanted[positions]] -= 1
    matrix.flush()
    if missing.any():
        first = content_ids[int(np.argmax(missing > 0))].as_py().hex()
        raise CacheError(
            f"{np.count_nonzero(missing)} of {shape[0]} images have no vector in the cache; the "
            f"first is {first}. Run `embedpipe embed` on the dataset."
        )
    return blocks + _block_digests(matrix, len(blocks))


def _copy(matrix: np.memmap, earlier: Earlier, old: np.memmap) -> list[str]:
    """Copy the rows of an earlier matrix, and return the digests of the first, equal blocks."""
    size = max(1, BLOCK_BYTES // (4 * max(1, matrix.shape[1])))
    for start in range(0, len(old), size):
        rows = earlier.rows[start : start + size]
        if rows[-1] - rows[0] == rows.size - 1:  # consecutive
            matrix[rows[0] : rows[-1] + 1] = old[start : start + size]
        else:
            matrix[rows] = old[start : start + size]
    moved = np.flatnonzero(earlier.rows != np.arange(earlier.rows.size))
    same = int(moved[0]) if moved.size else earlier.rows.size  # rows
    return _known_blocks(earlier, old.shape)[: same // size]


def _known_blocks(earlier: Earlier, shape: tuple[int, ...]) -> list[str]:
    """Return the stored digests of the blocks of a matrix; none if they are lost or altered."""
    try:
        blocks: list[str] = json.loads((earlier.folder / META).read_bytes())["blocks"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    same = isinstance(blocks, list) and _digest_of_blocks(shape, blocks) == earlier.digest
    return blocks if same else []


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
