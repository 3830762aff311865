"""A layout kept beside the matrix."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..._files import TEMPORARY_PREFIX
from ...errors import CacheError
from ...index.kept import Kept, write_array

__all__ = ["KeptLayout"]

NAME = "neighbourhoods"


class KeptLayout:
    """Where the neighbourhoods of a matrix are kept: what is altered or another's is not read.

    Parameters
    ----------
    folder
        Of the matrix's index.
    digest
        SHA-256 of the matrix, in hexadecimal.

    Notes
    -----
    4 bytes per item.

    Examples
    --------
    >>> kept = KeptLayout(tmp, "00ff")
    >>> kept.write(np.array([[1, 2]], dtype="<u2"))
    >>> KeptLayout(tmp, "00ff").read().tolist(), KeptLayout(tmp, "01ff").read()
    ([[1, 2]], None)
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self._folder = folder
        self._kept = Kept(folder / "map", {"matrix": digest})

    def read(self) -> NDArray[np.uint16] | None:
        """Return (n, 2) uint16, or None if there is nothing to be relied on."""
        part = self._kept.load(NAME)
        return None if part is None else np.array(part.array("points"))

    def write(self, points: NDArray[np.uint16]) -> None:
        """Keep a layout in place of any before: whole, or not at all.

        Raises
        ------
        CacheError
            If it cannot be written.
        """
        self._kept.save(NAME, {}, {"points.npy": write_array(points)})
        if self._kept.problem is not None:
            raise CacheError(f"{self._kept.problem}: free space or permit writing.")

    def alone(self) -> AbstractContextManager[None]:
        """Wait until no other process is inside such a block; one that was killed is not."""
        return self._kept.alone(NAME)

    def sweep(self, process: int) -> None:
        """Remove what a process that is no more left unfinished in the folder of the index."""
        for path in self._folder.glob(f"*/{TEMPORARY_PREFIX}{process}-*"):
            path.unlink(missing_ok=True)
