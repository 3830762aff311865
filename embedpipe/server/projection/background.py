"""The neighbourhoods, worked out in a process of their own while labelling goes on."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ...embedding import Embeddings
from ...errors import RunError, UsageError
from ..stage import Stage
from .kept import KeptLayout

__all__ = ["BackgroundLayout"]

WORKER = f"{__package__}.worker"

ENDED = "the server has ended."


class BackgroundLayout:
    """Work out the neighbourhoods of a dataset when somebody first asks for them.

    In another process, as UMAP leaves no room for other threads of its own: one that lets others
    go first and ends with this one. What it found out is kept beside the matrix, and there at once
    the next time.

    Parameters
    ----------
    embeddings
        Of the dataset.
    """

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings, self._folder = embeddings, embeddings.folder / "index"
        self._kept = KeptLayout(self._folder, embeddings.digest)
        self._lock = threading.Lock()
        self._points: NDArray[np.uint16] | None = None
        self._process: subprocess.Popen[str] | None = None
        self._listener: threading.Thread | None = None
        self._stage = Stage("starting", 0.0)
        self._problem: str | None = None
        self._closed = False

    def points(self) -> NDArray[np.uint16] | Stage:
        """Return (n, 2) uint16, or how far they are; begin if nobody has.

        Raises
        ------
        UsageError
            If they are not there and UMAP is not installed.
        RunError
            Once for each attempt that failed; asked again, it begins anew.
        """
        with self._lock:
            if self._points is None:
                self._points = self._kept.read()
            if self._points is not None:
                return self._points
            problem, self._problem = self._problem, None
            if problem is not None or self._closed:
                raise RunError(f"working out the neighbourhoods failed: {problem or ENDED}")
            if self._process is None:
                self._start()
            return self._stage

    def close(self) -> None:
        """End the process, if there is one; nothing of it is left."""
        with self._lock:
            self._closed = True
            process, listener = self._process, self._listener
        if process is not None and listener is not None:
            process.kill()
            listener.join(timeout=5.0)

    def _start(self) -> None:
        if importlib.util.find_spec("umap") is None:
            raise UsageError("UMAP is not installed: `pip install 'embedpipe[map]'`.")
        matrix = self._embeddings.matrix
        assert isinstance(matrix, np.memmap)
        arguments = matrix.filename, self._folder, self._embeddings.digest
        self._stage = Stage("starting", 0.0)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": _search_path(), "NUMBA_NUM_THREADS": "1"},
            encoding="utf-8",
            errors="replace",
        )
        self._listener = threading.Thread(
            target=self._listen, args=(self._process,), name="embedpipe-map", daemon=True
        )
        self._listener.start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        with process:  # closes its pipes, and waits for it
            assert process.stdout is not None
            words = self._follow(process.stdout)
        self._kept.sweep(process.pid)
        with self._lock:
            self._process = self._listener = None
            if process.returncode < 0:
                self._problem = f"signal {-process.returncode} ended it; is memory short?"
            elif process.returncode > 0:
                self._problem = words or f"it ended with code {process.returncode}."

    def _follow(self, lines: IO[str]) -> str:
        """Take down how far it is until it ends; return the last other thing that it said."""
        words = ""
        for line in lines:
            try:
                told = json.loads(line)
                self._stage = Stage(told["doing"], told["share"])
            except (ValueError, TypeError, KeyError):
                words = line.strip() or words
        return words


def _search_path() -> str:
    """Return where this process looks for modules: the other one must find the same."""
    return os.pathsep.join(each or str(Path.cwd()) for each in sys.path)
