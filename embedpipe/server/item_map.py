"""The map of all items: their layouts, which a process of its own may compute, and colours."""

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

from ..embedding import Embeddings
from ..errors import RunError, UsageError
from .json_messages import Progress
from .map_layouts import on_the_map, plane_of
from .map_worker import LayoutFile
from .page_state import PageState

__all__ = ["ItemMap"]

MAX_CODES = 254
"""Maximum classes with a number of their own on the map; the others share the last."""

WORKER = f"{__package__}.map_worker"

ENDED = "the server has ended."


class ItemMap:
    """All items of a dataset in the plane, in two layouts, and their colours."""

    def __init__(self, state: PageState) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._points: NDArray[np.uint16] | None = None
        self._neighbourhoods = BackgroundLayout(state.session.embeddings)
        state.at_the_end(self._neighbourhoods.close)

    def components(self) -> NDArray[np.uint16]:
        """Return (n, 2) little-endian uint16: the two directions in which the vectors spread most.

        Both axes from 0 to 65,535. Computed once: see `plane_of`; 4 bytes per item stay in memory.
        """
        with self._lock:
            if self._points is None:
                matrix = self._state.session.embeddings.matrix
                rows = np.arange(len(matrix), dtype=np.int64)
                self._points = on_the_map(plane_of(matrix, rows))
            return self._points

    def neighbourhoods(self) -> NDArray[np.uint16] | Progress:
        """Return (n, 2) uint16 in the layout of UMAP, or its progress."""
        return self._neighbourhoods.points()

    def colours(self, by: str) -> NDArray[np.uint8]:
        """Return (n,) uint8: by ``label`` or ``prediction`` a class's position + 1, 0 for none."""
        # By ``confidence``, the probability of the predicted class, from 0 to 255.
        snapshot, model = self._state.session.snapshot(), self._state.session.model
        if by == "label":
            return _codes(snapshot.codes.astype(np.int64))
        if model is None:
            return np.zeros(self._state.n, dtype=np.uint8)
        if by == "confidence":
            return np.asarray(np.rint(255 * model.confidence), dtype=np.uint8)
        place = {name: code for code, name in enumerate(snapshot.classes)}
        moved = np.array([place.get(name, -1) for name in model.classes], dtype=np.int64)
        return _codes(moved[model.codes])


def _codes(codes: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.asarray(np.minimum(codes + 1, MAX_CODES + 1), dtype=np.uint8)


class BackgroundLayout:
    """Compute the neighbourhoods of a dataset in another process, once they are first needed.

    UMAP leaves no time for other threads of its process. The process has low priority and ends
    with this one. Its result is kept beside the matrix for the next time.
    """

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings, self._folder = embeddings, embeddings.folder / "index"
        self._file = LayoutFile(self._folder, embeddings.digest)
        self._lock = threading.Lock()
        self._points: NDArray[np.uint16] | None = None
        self._process: subprocess.Popen[str] | None = None
        self._listener: threading.Thread | None = None
        self._progress = Progress("starting", 0.0)
        self._problem: str | None = None
        self._closed = False

    def points(self) -> NDArray[np.uint16] | Progress:
        """Return (n, 2) uint16, or the progress; start the process if there is none."""
        with self._lock:
            if self._points is None:
                self._points = self._file.read()
            if self._points is not None:
                return self._points
            problem, self._problem = self._problem, None
            if problem is not None or self._closed:
                raise RunError(f"working out the neighbourhoods failed: {problem or ENDED}")
            if self._process is None:
                self._start()
            return self._progress

    def close(self) -> None:
        """End the process, if there is one, and remove its unfinished files."""
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
        self._progress = Progress("starting", 0.0)
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
            last_line = self._follow(process.stdout)
        self._file.sweep(process.pid)
        with self._lock:
            self._process = self._listener = None
            if process.returncode < 0:
                self._problem = f"signal {-process.returncode} ended it; is memory short?"
            elif process.returncode > 0:
                self._problem = last_line or f"it ended with code {process.returncode}."

    def _follow(self, lines: IO[str]) -> str:
        """Note the progress until the process ends; return its last line of another kind."""
        last_line = ""
        for line in lines:
            try:
                content = json.loads(line)
                self._progress = Progress(content["doing"], content["share"])
            except (ValueError, TypeError, KeyError):
                last_line = line.strip() or last_line
        return last_line


def _search_path() -> str:
    """Return the module search path of this process, for the other one."""
    return os.pathsep.join(each or str(Path.cwd()) for each in sys.path)
