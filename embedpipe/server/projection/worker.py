"""The process that works out the neighbourhoods, and says how far it is.

``python -m embedpipe.server.projection.worker MATRIX FOLDER DIGEST``, with the file of the matrix,
the folder of its index and its SHA-256. Lines of JSON say how far it is. It ends when its standard
input is closed: with whoever started it, however that one ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np

from ...index import Index
from ...index.index import EXACT_UP_TO
from .kept import KeptLayout
from .neighbourhoods import neighbourhoods

__all__ = ["main"]

NICER = 10
"""By how much others come first where there are not enough processors."""


def main(matrix_file: str, folder: str, digest: str) -> None:
    """Keep the neighbourhoods of a matrix beside it, unless somebody else has."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server is interrupted, and ends this
    if hasattr(os, "nice"):
        os.nice(NICER)
    kept = KeptLayout(Path(folder), digest)
    _end_with_parent(kept)
    with kept.alone():
        if kept.read() is None:
            matrix = np.load(matrix_file, mmap_mode="r", allow_pickle=False)
            # Of all rows: what strategies keep is the same unless there is a test split.
            kind = "exact" if len(matrix) <= EXACT_UP_TO else "ivf"
            index = Index(matrix, kind=kind, folder=Path(folder), digest=digest)
            kept.write(neighbourhoods(index, _tell))


def _tell(doing: str, share: float) -> None:
    print(json.dumps({"doing": doing, "share": round(share, 3)}), flush=True)  # noqa: T201


def _end_with_parent(kept: KeptLayout) -> None:
    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)  # nobody writes: it returns at the end
        kept.sweep(os.getpid())
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
