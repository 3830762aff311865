"""The files of a problem, with one memory-mapped matrix for many processes."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._files import sync_folder, temporary_file, write_atomically
from .._loops.arrays import memory_map_path
from ..errors import RunError

__all__ = ["META", "read_matrix", "read_meta", "write_problem"]

FORMAT = 1

META = "problem.json"
"""File that is written last; a saved problem is complete once this file exists."""


def read_meta(folder: Path) -> dict[str, Any]:
    """Return the description of a saved problem, as plain JSON."""
    try:
        meta = json.loads((folder / META).read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"there is no problem in {folder}: save one there first.") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise RunError(
            f"the problem in {folder} was saved by another version: delete the folder and save "
            "it again."
        )
    return meta


def write_problem(
    folder: Path,
    meta: dict[str, Any],
    arrays: dict[str, NDArray[Any]],
    matrix: NDArray[np.float32],
) -> None:
    """Write a description, named arrays, and the matrix; for a memory map, write only its path."""
    path = memory_map_path(matrix)
    meta = {
        "format": FORMAT,
        **meta,
        "matrix": str((path or folder / "matrix.npy").resolve()),
        "shape": list(matrix.shape),
    }
    try:
        if path is None:
            folder.mkdir(parents=True, exist_ok=True)
            _write_large(folder / "matrix.npy", np.asarray(matrix))
        for name, array in arrays.items():
            write_atomically(folder / f"{name}.npy", _npy(array))
        write_atomically(folder / META, json.dumps(meta).encode())
    except OSError as error:
        raise RunError(
            f"cannot write the problem to {folder}: {error.strerror or error}."
        ) from error


def read_matrix(folder: Path, meta: dict[str, Any]) -> NDArray[np.float32]:
    """Return the memory-mapped matrix of a saved problem."""
    path = Path(meta["matrix"])
    try:
        matrix: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise RunError(
            f"the matrix {path} of the problem in {folder} cannot be read ({error}): delete the "
            "folder and save the problem again."
        ) from error
    if list(matrix.shape) != meta["shape"]:
        raise RunError(
            f"the matrix {path} has shape {matrix.shape}, but the problem in {folder} needs "
            f"{tuple(meta['shape'])}: delete the folder and save the problem again."
        )
    return matrix


def _write_large(path: Path, array: NDArray[np.float32]) -> None:
    """Write an array whole or not at all, without a copy in memory."""
    with temporary_file(path) as temporary:
        with temporary.open("wb") as file:
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    sync_folder(path.parent)


def _npy(array: NDArray[Any]) -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.ascontiguousarray(array), allow_pickle=False)
    return sink.getvalue()
