"""Where a memory-mapped matrix is, for other processes to open it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["path_of"]


def path_of(matrix: NDArray[np.float32]) -> Path | None:
    """Return the ``.npy`` file that `matrix` is the whole memory map of, or None.

    Examples
    --------
    >>> np.save(tmp / "m.npy", np.eye(3, dtype=np.float32))
    >>> mapped = np.load(tmp / "m.npy", mmap_mode="r")
    >>> path_of(mapped).name, path_of(mapped[1:]), path_of(np.eye(3, dtype=np.float32))
    ('m.npy', None, None)
    """
    owner: Any = matrix
    while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
        owner = owner.base
    if not isinstance(owner, np.memmap) or owner.filename is None or owner.mode != "r":
        return None
    path = Path(owner.filename)
    try:
        whole = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):  # gone, or no .npy file
        return None
    same = whole.shape == matrix.shape and whole.strides == matrix.strides
    return path if same and whole.dtype == matrix.dtype else None
