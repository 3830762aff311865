"""Arrays of a loop: memory-mapped matrices, labels, and random numbers for rows."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import LabelError
from ..index.vectors import first_non_finite
from ..tables import label_array, missing

__all__ = [
    "check_finite",
    "is_labelled",
    "known_labels",
    "memory_map_path",
    "plain_labels",
    "uniform_of_rows",
]


def check_finite(
    matrix: NDArray[np.float32], rows: NDArray[np.int64], name: str, *, first: int = 0
) -> None:
    """Refuse rows with NaN or infinity; row `first` of the matrix is row 0 of the array `name`."""
    bad = first_non_finite(matrix, rows)
    if bad is not None:
        raise LabelError(
            f"row {bad - first} of {name} holds NaN or infinity in float32: leave the row out, or "
            "fill in the missing values."
        )


def plain_labels(values: ArrayLike, name: str) -> NDArray[Any]:
    """Return (n,) labels as strings or numbers; refuse rows without a label."""
    known, labels = known_labels(values, name)
    if not known.all():
        row = int(np.flatnonzero(~known)[0])
        raise LabelError(f"row {row} of {name} has no label: leave out rows without a label.")
    return labels


def known_labels(values: ArrayLike, name: str) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Return an (n,) mask of labelled rows, and their (m,) labels as strings or numbers."""
    try:
        labels = label_array(values)
    except ValueError as error:
        raise LabelError(f"{name} {error}.") from None
    if labels.ndim != 1:
        one_hot = labels.ndim == 2 and labels.shape[1] > 1
        hint = "for one-hot rows use `.argmax(axis=1)`" if one_hot else "try `.ravel()`"
        raise LabelError(f"{name} has shape {labels.shape}: give one label for each row; {hint}.")
    known = ~missing(labels)  # (n,)
    labels = labels[known]  # (m,)
    if labels.dtype == object:
        labels = np.array(labels.tolist())
    if labels.dtype.kind == "S":
        labels = np.char.strip(np.char.decode(labels, "utf-8"))
    kind = labels.dtype.kind
    if kind not in "Ubiuf":
        raise LabelError(f"{name} has dtype {labels.dtype}: labels must be strings or numbers.")
    if kind == "f" and not np.isfinite(labels).all():
        row = int(np.flatnonzero(known)[~np.isfinite(labels)][0])
        raise LabelError(
            f"row {row} of {name} is infinite: labels must be strings or finite numbers."
        )
    # Files store these types, so a run read from disk equals the run that was written.
    types = {"i": np.int64, "u": np.int64, "f": np.float64}
    return known, labels.astype(types.get(kind, labels.dtype))


def is_labelled(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return an (n,) mask that is False where the label is None, NaN or blank."""
    return ~missing(labels)


def memory_map_path(matrix: NDArray[np.float32]) -> Path | None:
    """Return the path of the ``.npy`` file that `matrix` maps as a whole; else None."""
    owner: Any = matrix
    while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
        owner = owner.base
    if not isinstance(owner, np.memmap) or owner.filename is None or owner.mode != "r":
        return None
    path = Path(owner.filename)
    try:
        whole = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):  # deleted, or not a .npy file
        return None
    same = whole.shape == matrix.shape and whole.strides == matrix.strides
    return path if same and whole.dtype == matrix.dtype else None


def uniform_of_rows(rows: ArrayLike, seed: int, purpose: str) -> NDArray[np.float64]:
    """Return (k,) random numbers in [0, 1) that depend only on row, seed and purpose."""
    # SplitMix64 (Steele, Lea, Flood 2014): the digest is the start of a random sequence, and the
    # row is the index in this sequence.
    digest = hashlib.blake2b(f"{seed} {purpose}".encode(), digest_size=8).digest()
    start = np.uint64(int.from_bytes(digest, "big"))
    mixed = np.asarray(rows).astype(np.uint64)  # (k,)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64
        mixed = start + (mixed + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53)
