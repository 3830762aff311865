"""A problem on disk, so that many processes share one memory-mapped matrix."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._files import sync_folder, temporary_file, write_atomically
from .._loops.mapped import path_of
from ..errors import RunError
from ..index import Index
from .oracle import SimulatedOracle

if TYPE_CHECKING:
    from .problem import Problem

__all__ = ["load_problem", "save_problem"]

FORMAT = 1

META = "problem.json"
"""Written last: a problem is there once this is."""


def save_problem(problem: Problem, folder: Path) -> None:
    """Write a problem to a folder; see `Problem.save`."""
    if (folder / META).exists():
        if _meta(folder)["digest"] != problem.digest:
            raise RunError(f"{folder} holds another problem: choose another folder.")
        return
    path, index = path_of(problem.matrix), problem.index
    arrays = {
        "candidates": problem.candidates,
        "classes": problem.oracle.classes,
        "codes": problem.oracle.codes,
        "test_rows": problem.test_rows,
        "test_labels": problem.test_labels,
    }
    # A matrix that has no folder of its own is told from others by the problem.
    own = index.folder is None or index.digest is None
    index_folder = folder / "index" if index.folder is None or own else index.folder
    meta = {
        "format": FORMAT,
        "digest": problem.digest,
        "name": problem.name,
        "spec_id": problem.spec_id,
        "matrix": str((path or folder / "matrix.npy").resolve()),
        "shape": list(problem.matrix.shape),
        "index": {
            "kind": index.kind,
            "folder": str(index_folder.resolve()),
            "digest": problem.digest if own else index.digest,
            "exact_up_to": index.exact_up_to,
        },
        "ids": None if problem.ids is None else list(problem.ids),
        "copies_left_out": problem.copies_left_out,
    }
    try:
        if path is None:
            folder.mkdir(parents=True, exist_ok=True)
            _write_large(folder / "matrix.npy", np.asarray(problem.matrix))
        for name, array in arrays.items():
            write_atomically(folder / f"{name}.npy", _npy(array))
        write_atomically(folder / META, json.dumps(meta).encode())
    except OSError as error:
        raise RunError(
            f"cannot write the problem to {folder}: {error.strerror or error}."
        ) from error


def load_problem(folder: Path) -> Problem:
    """Read a problem from a folder; see `Problem.load`."""
    from .problem import Problem

    meta = _meta(folder)
    arrays = {
        name: np.load(folder / f"{name}.npy", allow_pickle=False)
        for name in ("candidates", "classes", "codes", "test_rows", "test_labels")
    }
    matrix = _mapped(folder, meta)
    index = meta["index"]
    return Problem(
        matrix=matrix,
        candidates=arrays["candidates"],
        oracle=SimulatedOracle.of_codes(arrays["classes"], arrays["codes"]),
        test_rows=arrays["test_rows"],
        test_labels=arrays["test_labels"],
        digest=meta["digest"],
        index=Index(
            matrix,
            arrays["candidates"],
            kind=index["kind"],
            folder=Path(index["folder"]),
            digest=index["digest"],
            exact_up_to=index["exact_up_to"],
        ),
        name=meta["name"],
        spec_id=meta["spec_id"],
        ids=meta["ids"],
        copies_left_out=meta.get("copies_left_out", 0),
    )


def _mapped(folder: Path, meta: dict[str, Any]) -> NDArray[np.float32]:
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
            f"the matrix {path} has shape {matrix.shape}, but the problem in {folder} is of "
            f"{tuple(meta['shape'])}: delete the folder and save the problem again."
        )
    return matrix


def _meta(folder: Path) -> dict[str, Any]:
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


def _write_large(path: Path, array: NDArray[np.float32]) -> None:
    """Write an array whole or not at all, without a copy of it in memory."""
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
