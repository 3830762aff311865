"""The process that computes the UMAP layout of a map, and the file of the layout.

``python -m embedpipe.server.map_worker MATRIX FOLDER DIGEST`` takes the file of the matrix, the
folder of its index and the SHA-256 of the matrix. The process prints its progress as lines of JSON.
It ends when its standard input is closed, for example because its parent process was killed.
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
from ..cache import earlier_of
from ..errors import CacheError
from ..index import Index
from ..index.index import EXACT_UP_TO
from ..index.layouts import umap_layout
from ..index.stored_arrays import ArrayStore, write_array

__all__ = ["LayoutFile", "main"]

NAME = "neighbourhoods"

NICENESS = 10
"""Increase of the process's nice value, which lowers its priority."""


class LayoutFile:
    """The file of a matrix's UMAP layout. Altered files and those of other matrices are ignored."""

    def __init__(self, folder: Path, digest: str) -> None:
        self._folder = folder
        self._kept = ArrayStore(folder / "map", {"matrix": digest})

    def read(self) -> NDArray[np.uint16] | None:
        """Return (n, 2) uint16, or None if there is no valid file."""
        part = self._kept.load(NAME)
        return None if part is None else np.array(part.array("points"))

    def write(self, points: NDArray[np.uint16]) -> None:
        """Write a layout, and replace the previous one atomically."""
        self._kept.save(NAME, {}, {"points.npy": write_array(points)})
        if self._kept.problem is not None:
            raise CacheError(f"{self._kept.problem}: free disk space or permit writing.")

    def alone(self) -> AbstractContextManager[None]:
        """Return a lock between processes; the end of a process releases its lock."""
        return self._kept.alone(NAME)

    def sweep(self, process: int) -> None:
        """Remove the temporary files of an ended process from the folder of the index."""
        for path in self._folder.glob(f"*/{TEMPORARY_PREFIX}{process}-*"):
            path.unlink(missing_ok=True)


def main(matrix_file: str, folder: str, digest: str) -> None:
    """Store the layout of a matrix beside the matrix, unless it is stored already."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server handles Ctrl-C and ends this process
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    file = LayoutFile(Path(folder), digest)
    _end_with_parent(file)
    with file.alone():
        if file.read() is None:
            matrix = np.load(matrix_file, mmap_mode="r", allow_pickle=False)
            # The index contains all rows. Without a test split, strategies share this stored index.
            kind = "exact" if len(matrix) <= EXACT_UP_TO else "ivf"
            earlier = earlier_of(Path(matrix_file).parent)
            index = Index(matrix, kind=kind, folder=Path(folder), digest=digest, earlier=earlier)
            file.write(umap_layout(index, _report))


def _report(doing: str, share: float) -> None:
    print(json.dumps({"doing": doing, "share": round(share, 3)}), flush=True)  # noqa: T201


def _end_with_parent(file: LayoutFile) -> None:
    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)  # returns when standard input is closed
        file.sweep(os.getpid())
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
