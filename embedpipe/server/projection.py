"""All items in the plane, and what colours them."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from ..index.directions import directions_of
from .desk import Desk

__all__ = ["Projection"]

MOST_CODES = 254
"""Classes that have a number of their own on the map; the others share the last."""

BLOCK_ROWS = 8192


class Projection:
    """The two directions in which the vectors of a dataset spread most.

    Parameters
    ----------
    desk
        Whose items.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._points: NDArray[np.uint16] | None = None

    def points(self) -> NDArray[np.uint16]:
        """Return (n, 2) little-endian uint16: the plane, both axes from 0 to 65,535.

        Principal component analysis of the vectors scaled to unit length, worked out once, in
        O(n·d·m) time for m at most 128 and 512 bytes per item meanwhile; 4 bytes per item stay.
        """
        with self._lock:
            if self._points is None:
                self._points = _plane(self._desk.session.embeddings.matrix)
            return self._points

    def colours(self, by: str) -> NDArray[np.uint8]:
        """Return (n,) uint8: by ``label`` or ``prediction`` a class's position + 1, 0 for none.

        By ``confidence`` it is how sure the head is, 0 to 255.
        """
        snapshot, model = self._desk.snapshot(), self._desk.session.model
        if by == "label":
            return _codes(snapshot.codes.astype(np.int64))
        if model is None:
            return np.zeros(self._desk.n, dtype=np.uint8)
        if by == "confidence":
            return np.asarray(np.rint(255 * model.confidence), dtype=np.uint8)
        place = {name: code for code, name in enumerate(snapshot.classes)}
        moved = np.array([place.get(name, -1) for name in model.classes], dtype=np.int64)
        return _codes(moved[model.codes])


def _plane(matrix: NDArray[np.float32]) -> NDArray[np.uint16]:
    found = directions_of(matrix, np.arange(len(matrix), dtype=np.int64))  # (n, m)
    centre = found.mean(axis=0, dtype=np.float64).astype(np.float32)
    products = np.zeros((found.shape[1], found.shape[1]))
    for start in range(0, len(found), BLOCK_ROWS):
        block = (found[start : start + BLOCK_ROWS] - centre).astype(np.float64)  # (b, m)
        products += block.T @ block
    _, axes = np.linalg.eigh(products)  # (m, m), the most spread last
    plane = np.zeros((len(matrix), 2), dtype=np.float32)
    top = axes[:, ::-1][:, :2]
    plane[:, : top.shape[1]] = found @ top.astype(np.float32)
    low = plane.min(axis=0, initial=np.inf)
    width = np.maximum(plane.max(axis=0, initial=-np.inf) - low, 1e-9)
    return np.asarray(np.rint((plane - low) / width * 65535), dtype="<u2")


def _codes(codes: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.asarray(np.minimum(codes + 1, MOST_CODES + 1), dtype=np.uint8)
