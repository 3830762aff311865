"""The map of all items: colours, and two layouts. Another process computes UMAP."""

from __future__ import annotations

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
from ..errors import RunError
from ..index.layouts import check_umap, map_coordinates, principal_plane
from ..labelling import LabellingSession
from .json_messages import Progress
from .map_worker import LayoutFile

__all__ = ["ItemMap"]

MAX_CODES = 254
"""Maximum number of classes with their own code on the map; the other classes share one code."""

WORKER = f"{__package__}.map_worker"

ENDED = "the server has ended."


class ItemMap:
    """The items of a session as points in the plane, in two layouts, and their colours."""

    def __init__(self, session: LabellingSession) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._points: NDArray[np.uint16] | None = None
        self.umap = BackgroundLayout(session.embeddings)

    def components(self) -> NDArray[np.uint16]:
        """Return (n, 2) little-endian uint16: the first two principal components.

        The result is computed once and stays in memory: 4 bytes for each item.
        """
        with self._lock:
            if self._points is None:
                matrix = self._session.embeddings.matrix
                rows = np.arange(len(matrix), dtype=np.int64)
                self._points = map_coordinates(principal_plane(matrix, rows))
            return self._points

    def colours(self, by: str) -> NDArray[np.uint8]:
        """Return (n,) uint8: the position of each item's class + 1, or 0 without a class.

        The class is the ``label`` or the ``prediction``. With ``confidence``, the values are the
        probability of the predicted class, scaled to 0 to 255.
        """
        snapshot, model = self._session.snapshot(), self._session.model
        if by == "label":
            return _codes(snapshot.codes.astype(np.int64))
        if model is None:
            return np.zeros(len(self._session.ids), dtype=np.uint8)
        if by == "confidence":
            return np.asarray(np.rint(255 * model.confidence), dtype=np.uint8)
        code_of = {name: code for code, name in enumerate(snapshot.classes)}
        codes = np.array([code_of.get(name, -1) for name in model.classes], dtype=np.int64)
        return _codes(codes[model.codes])


def _codes(codes: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.asarray(np.minimum(codes + 1, MAX_CODES + 1), dtype=np.uint8)


class BackgroundLayout:
    """The UMAP layout of a dataset, computed in another process on the first request.

    UMAP would block the other threads of this process. The other process has low priority and
    ends with this process. Its result is stored beside the matrix.
    """

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings, self._folder = embeddings, embeddings.folder / "index"
        self._file = LayoutFile(self._folder, embeddings.digest)
        self._lock = threading.Lock()
        self._points: NDArray[np.uint16] | None = None
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._progress = Progress("starting", 0.0)
        self._problem: str | None = None
        self._closed = False

    def points(self) -> NDArray[np.uint16] | Progress:
        """Return (n, 2) uint16, or the progress; start the process if it does not run."""
        with self._lock:
            if self._points is None:
                self._points = self._file.read()
            if self._points is not None:
                return self._points
            problem, self._problem = self._problem, None
            if problem is not None or self._closed:
                raise RunError(f"computing the layout failed: {problem or ENDED}")
            if self._process is None:
                self._start()
            return self._progress

    def close(self) -> None:
        """End the process, if it runs, and remove its temporary files."""
        with self._lock:
            self._closed = True
            process, reader = self._process, self._reader
        if process is not None and reader is not None:
            process.kill()
            reader.join(timeout=5.0)

    def _start(self) -> None:
        check_umap()
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
        self._reader = threading.Thread(
            target=self._read, args=(self._process,), name="embedpipe-map", daemon=True
        )
        self._reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        with process:  # closes the pipes and waits until the process ends
            assert process.stdout is not None
            last_line = self._store_progress(process.stdout)
        self._file.sweep(process.pid)
        with self._lock:
            self._process = self._reader = None
            if process.returncode < 0:
                self._problem = (
                    f"signal {-process.returncode} ended the process. Check the free memory."
                )
            elif process.returncode > 0:
                self._problem = last_line or f"the process ended with status {process.returncode}."

    def _store_progress(self, lines: IO[str]) -> str:
        """Store the progress until the process ends; return the last line without progress."""
        last_line = ""
        for line in lines:
            try:
                content = json.loads(line)
                self._progress = Progress(content["doing"], content["share"])
            except (ValueError, TypeError, KeyError):
                last_line = line.strip() or last_line
        return last_line


def _search_path() -> str:
    """Return the module search path of this process, for the other process."""
    return os.pathsep.join(each or str(Path.cwd()) for each in sys.path)
