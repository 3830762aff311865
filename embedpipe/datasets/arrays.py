"""Items that are arrays in memory, served as the bytes of image files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .source import Source, Stamp

__all__ = ["ArraySource", "netpbm"]

Arrays = Mapping[str, NDArray[np.uint8]]


class ArraySource(Source):
    """Images in arrays; the item ``<split>/<row>.pgm`` is a row of the array of that split.

    Parameters
    ----------
    location
        Where the arrays come from, for people.
    load
        Gives an array for each split: (n, height, width) or (n, height, width, 3). It is called
        when a first item is read; it has to pickle, and is pickled in place of the arrays.
    """

    def __init__(self, location: str, load: Callable[[], Arrays]) -> None:
        self._location, self._load = location, load
        self._lock = threading.Lock()
        self._cached: Arrays | None = None

    def __reduce__(self) -> tuple[type[ArraySource], tuple[str, Callable[[], Arrays]]]:
        return type(self), (self._location, self._load)

    @property
    def location(self) -> str:
        """Where the arrays come from."""
        return self._location

    def stamp(self, id: str) -> Stamp | None:
        """Return None: an array has no date."""
        return None

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield each row as a binary PGM or PPM file."""
        for id in ids:
            yield id, self._content(id)

    def _content(self, id: str) -> bytes | OSError:
        split, _, file = id.partition("/")
        row, _, _ = file.partition(".")
        try:
            return netpbm(self._arrays()[split][int(row)])
        except (KeyError, IndexError, ValueError):
            return FileNotFoundError(f"{id!r} is not in {self.location}")

    def _arrays(self) -> Arrays:
        with self._lock:
            if self._cached is None:
                self._cached = self._load()
            return self._cached


def netpbm(image: NDArray[np.uint8]) -> bytes:
    r"""Return the bytes of a binary PGM (grey) or PPM (colour) file."""
    magic = "P5" if image.ndim == 2 else "P6"
    height, width = image.shape[:2]
    return f"{magic}\n{width} {height}\n255\n".encode() + image.tobytes()
