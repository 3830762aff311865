"""The process that computes the neighbourhoods of a map, and the file that keeps them.

``python -m embedpipe.server.map_worker MATRIX FOLDER DIGEST``, with the file of the matrix,
the folder of its index and its SHA-256. It prints its progress as lines of JSON. It ends when its
standard input is closed: with the process that started it, however that one ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._files import TEMPORARY_PREFIX
from ..errors import CacheError
from ..index import Index
from ..index.index import EXACT_UP_TO
from ..index.stored_arrays import ArrayStore, write_array
from .map_layouts import neighbourhoods

__all__ = ["LayoutFile", "main"]

NAME = "neighbourhoods"

NICENESS = 10
"""Increase of the process's nice value: other processes come first."""


class LayoutFile:
    """The file with the neighbourhoods of a matrix; one altered or of another matrix is not read.

    Notes
    -----
    4 bytes per item.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self._folder = folder
        self._kept = ArrayStore(folder / "map", {"matrix": digest})

    def read(self) -> NDArray[np.uint16] | None:
        """Return (n, 2) uint16, or None if there is no valid file."""
        part = self._kept.load(NAME)
        return None if part is None else np.array(part.array("points"))

    def write(self, points: NDArray[np.uint16]) -> None:
        """Write a layout in place of any before: whole, or not at all."""
        self._kept.save(NAME, {}, {"points.npy": write_array(points)})
        if self._kept.problem is not None:
            raise CacheError(f"{self._kept.problem}: free space or permit writing.")

    def alone(self) -> AbstractContextManager[None]:
        """Wait until no other process is inside such a block; one that was killed is not."""
        return self._kept.alone(NAME)

    def sweep(self, process: int) -> None:
        """Remove the unfinished files of an ended process from the folder of the index."""
        for path in self._folder.glob(f"*/{TEMPORARY_PREFIX}{process}-*"):
            path.unlink(missing_ok=True)


def main(matrix_file: str, folder: str, digest: str) -> None:
    """Keep the neighbourhoods of a matrix beside it, unless somebody else has."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server is interrupted, and ends this
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    file = LayoutFile(Path(folder), digest)
    _end_with_parent(file)
    with file.alone():
        if file.read() is None:
            matrix = np.load(matrix_file, mmap_mode="r", allow_pickle=False)
            # Of all rows: what strategies keep is the same unless there is a test split.
            kind = "exact" if len(matrix) <= EXACT_UP_TO else "ivf"
            index = Index(matrix, kind=kind, folder=Path(folder), digest=digest)
            file.write(neighbourhoods(index, _tell))


def _tell(doing: str, share: float) -> None:
    print(json.dumps({"doing": doing, "share": round(share, 3)}), flush=True)  # noqa: T201


def _end_with_parent(file: LayoutFile) -> None:
    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)  # nobody writes: it returns at the end
        file.sweep(os.getpid())
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
