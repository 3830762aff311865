"""A matrix whose rows lie in several files, and the workers that compute on its parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError

__all__ = ["ShardedMatrix", "Workers"]

T = TypeVar("T")


class Workers(Protocol):
    """Processes that compute on parts of the rows of a matrix; each can read every row."""

    def parts(self, rows: NDArray[np.int64]) -> list[slice]:
        """Return the slices of ascending rows that workers compute on, without empty ones."""

    def map(
        self,
        function: Callable[..., T],
        metric: str,
        rows: NDArray[np.int64],
        arguments: tuple[Any, ...],
    ) -> list[T]:
        """Return ``function(vectors, rows[part], *arguments)`` of each of the `parts`."""

    def build(
        self,
        kind: Callable[..., Any],
        metric: str,
        rows: NDArray[np.int64],
        arguments: Sequence[tuple[Any, ...]],
    ) -> list[int]:
        """Keep ``kind(vectors, rows[part], *arguments)`` for each part; return numbers."""

    def call(
        self, numbers: Sequence[int], method: str, arguments: Sequence[tuple[Any, ...]]
    ) -> list[Any]:
        """Call a method of the objects with these numbers at once; return the results."""

    def drop(self, numbers: Sequence[int]) -> None:
        """Delete the objects with these numbers at the next `build` of their workers."""


class ShardedMatrix:
    """A matrix in several ``.npy`` files, one below the other, without a copy in memory.

    It can be given wherever a matrix is accepted by `select`, `Pool` and `Index`. Strategies read
    its rows in blocks. Picks equal those from one file with the same rows.

    Parameters
    ----------
    shards
        Paths of ``.npy`` files with two-dimensional float32 arrays of the same width.

    Attributes
    ----------
    shape
        Number of rows and length of the vectors.
    starts
        (s + 1,) int64, the first row of each shard and the number of rows.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for number in range(2):
    ...     np.save(folder / f"{number}.npy", np.full((2, 3), number, dtype=np.float32))
    >>> matrix = ShardedMatrix(sorted(folder.iterdir()))
    >>> matrix.shape, matrix[[3, 0]].tolist()
    ((4, 3), [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, shards: Sequence[str | PathLike[str]]) -> None:
        if isinstance(shards, (str, PathLike)) or not len(shards):
            raise UsageError("`shards` must be a list of .npy files with at least one file.")
        self.shards = tuple(Path(shard).resolve() for shard in shards)
        self.workers: Workers | None = None
        self.starts = np.cumsum([0, *map(len, self._arrays)])
        widths = sorted({array.shape[1] for array in self._arrays})
        if len(widths) > 1:
            raise UsageError(f"the shards have vectors of different lengths: {widths}.")
        self.shape = int(self.starts[-1]), widths[0]

    @cached_property
    def _arrays(self) -> list[NDArray[np.float32]]:
        return [_opened(path) for path in self.shards]

    def __getstate__(self) -> dict[str, Any]:
        # Another process opens the files when it reads the first row.
        return {"shards": self.shards, "starts": self.starts, "shape": self.shape, "workers": None}

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"ShardedMatrix of {len(self.shards)} shards, shape {self.shape}"

    def __array__(self, *_: Any, **__: Any) -> NDArray[np.float32]:
        raise TypeError(
            "a ShardedMatrix is not read into one array: take rows from it, such as matrix[rows]."
        )

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """Return rows by slice, mask or numbers as an (m, d) array, or one row by its number."""
        if isinstance(rows, slice):
            return self.take(np.arange(*rows.indices(len(self))))
        chosen = np.asarray(rows)
        if chosen.dtype == np.bool_ and chosen.ndim == 1:
            if chosen.size != len(self):
                raise IndexError(f"the mask has {chosen.size} values for {len(self)} rows.")
            return self.take(np.flatnonzero(chosen))
        if not chosen.size:
            chosen = chosen.astype(np.int64)
        if chosen.dtype.kind not in "iu" or chosen.ndim > 1:
            raise TypeError("rows of a ShardedMatrix are a slice, a mask, a number or numbers.")
        found = self.take(np.atleast_1d(chosen))
        return found if chosen.ndim else found[0]

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (m,) rows as an (m, d) array; do not write to the result.

        A negative number counts from the end.
        """
        outside = (rows < -len(self)) | (rows >= len(self))
        if outside.any():
            raise IndexError(f"row {rows[outside][0]} is not one of the {len(self)} rows.")
        rows = np.where(rows < 0, rows + len(self), rows)
        shard = self.starts.searchsorted(rows, side="right") - 1  # (m,)
        if rows.size and shard.min() == shard.max():
            array, within = self._arrays[shard[0]], rows - self.starts[shard[0]]
            first, last = int(within[0]), int(within[-1])
            if last - first == rows.size - 1 and (np.diff(within) == 1).all():
                return np.asarray(array[first : last + 1])
            return np.asarray(array.take(within, axis=0))
        found = np.empty((rows.size, self.shape[1]), dtype=np.float32)
        for number in np.unique(shard):
            own = np.flatnonzero(shard == number)
            found[own] = self._arrays[number].take(rows[own] - self.starts[number], axis=0)
        return found


def _opened(path: Path) -> NDArray[np.float32]:
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UsageError(f"cannot read the shard {path}: {reason}.") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype != np.float32:
        raise UsageError(f"the shard {path} is not a two-dimensional float32 array.")
    return np.asarray(array)
