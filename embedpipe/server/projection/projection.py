"""All items in the plane, and what colours them."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from ..desk import Desk
from ..stage import Stage
from .background import BackgroundLayout
from .components import on_the_map, plane_of

__all__ = ["Projection"]

MOST_CODES = 254
"""Classes that have a number of their own on the map; the others share the last."""


class Projection:
    """All items of a dataset in the plane, in two ways, and what colours them.

    Parameters
    ----------
    desk
        Whose items.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._points: NDArray[np.uint16] | None = None
        self._neighbourhoods = BackgroundLayout(desk.session.embeddings)
        desk.at_the_end(self._neighbourhoods.close)

    def components(self) -> NDArray[np.uint16]:
        """Return (n, 2) little-endian uint16: the two directions in which the vectors spread most.

        Both axes from 0 to 65,535. Worked out once: see `plane_of`; 4 bytes per item stay.
        """
        with self._lock:
            if self._points is None:
                matrix = self._desk.session.embeddings.matrix
                rows = np.arange(len(matrix), dtype=np.int64)
                self._points = on_the_map(plane_of(matrix, rows))
            return self._points

    def neighbourhoods(self) -> NDArray[np.uint16] | Stage:
        """Return such points as UMAP lays them out, or how far they are: see `BackgroundLayout`."""
        return self._neighbourhoods.points()

    def colours(self, by: str) -> NDArray[np.uint8]:
        """Return (n,) uint8: by ``label`` or ``prediction`` a class's position + 1, 0 for none.

        By ``confidence`` it is how sure the head is, 0 to 255.
        """
        snapshot, model = self._desk.session.snapshot(), self._desk.session.model
        if by == "label":
            return _codes(snapshot.codes.astype(np.int64))
        if model is None:
            return np.zeros(self._desk.n, dtype=np.uint8)
        if by == "confidence":
            return np.asarray(np.rint(255 * model.confidence), dtype=np.uint8)
        place = {name: code for code, name in enumerate(snapshot.classes)}
        moved = np.array([place.get(name, -1) for name in model.classes], dtype=np.int64)
        return _codes(moved[model.codes])


def _codes(codes: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.asarray(np.minimum(codes + 1, MOST_CODES + 1), dtype=np.uint8)
