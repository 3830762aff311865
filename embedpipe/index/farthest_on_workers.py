"""Exact search for the farthest item of a matrix whose parts are searched by workers."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .farthest import Farthest, FarthestFirst
from .sharded_matrix import Workers
from .vectors import Vectors, metric_of, workers_of

__all__ = ["FarthestSearch", "PartSearch", "farthest_first"]

Float64s = NDArray[np.float64]


class FarthestSearch(Protocol):
    """The methods of `FarthestFirst`."""

    def farthest(self) -> Farthest:
        """Return the item with the largest key."""

    def add(self, position: int) -> None:
        """Make the item at `position` a centre."""

    def reweigh(self, weights: Float64s | None) -> None:
        """Replace the weights, or remove them."""


def farthest_first(
    vectors: Vectors,
    items: NDArray[np.int64],
    centres: NDArray[np.int64],
    *,
    weights: Float64s | None = None,
    min_distance: float = 0.0,
    block_size: int | None = None,
) -> FarthestSearch:
    """Return a search for the farthest item: `FarthestFirst`, or one of it in each worker."""
    search = partial(FarthestFirst, min_distance=min_distance, block_size=block_size)
    workers = workers_of(vectors)
    if workers is None:
        return search(vectors, items, centres, weights=weights)
    return _OnWorkers(workers, metric_of(vectors), items, centres, weights, search)


class _OnWorkers:
    """Finds the farthest item of all parts, by the farthest items of the parts.

    Keys only decrease. So a part that has not seen the newest centres is updated only if its last
    key is at least the best key of the others. A message to a worker has the numbers of the rows
    that became centres since the last message; the worker reads their vectors from the files. The
    reply is an item and its key. The workers delete their searches some time after this object.
    """

    def __init__(
        self,
        workers: Workers,
        metric: str,
        items: NDArray[np.int64],
        centres: NDArray[np.int64],
        weights: Float64s | None,
        search: Callable[..., FarthestFirst],
    ) -> None:
        self._workers, self._items = workers, items
        parts = workers.parts(items)
        own = [None if weights is None else weights[part] for part in parts]
        self._numbers = workers.build(
            PartSearch, metric, items, [(centres, some, search) for some in own]
        )
        weakref.finalize(self, workers.drop, self._numbers)
        self._starts = [part.start for part in parts]
        self._best: list[Farthest | None] = [None] * len(parts)
        self._added: list[int] = []
        self._seen = [0] * len(parts)
        self._update(list(range(len(parts))))

    def farthest(self) -> Farthest:
        """Return the item with the largest key; ties go to the lowest position."""
        while True:
            first = max(range(len(self._best)), key=self._rank)
            if self._seen[first] < len(self._added):
                self._update([first])
                continue
            best = self._best[first]
            assert best is not None
            return Farthest(best.position + self._starts[first], best.key, best.squared_distance)

    def _rank(self, at: int) -> tuple[float, int]:
        best = self._best[at]
        return (-np.inf if best is None else best.key), -at

    def _update(self, some: list[int]) -> None:
        """Send parts the rows that became centres, and get their farthest items."""
        new_rows = [(np.array(self._added[self._seen[at] :], dtype=np.int64),) for at in some]
        numbers = [self._numbers[at] for at in some]
        found = self._workers.call(numbers, "farthest_after", new_rows)
        for at, best in zip(some, found, strict=True):
            self._best[at] = None if best is None else Farthest(*best)
            self._seen[at] = len(self._added)

    def add(self, position: int) -> None:
        """Make the item at `position` a centre."""
        self._added.append(int(self._items[position]))

    def reweigh(self, weights: Float64s | None) -> None:
        """Replace the weights, or remove them."""
        every = list(range(len(self._best)))
        stops = [*self._starts[1:], self._items.size]
        own = [
            (None if weights is None else weights[start:stop],)
            for start, stop in zip(self._starts, stops, strict=True)
        ]
        self._workers.call([self._numbers[at] for at in every], "reweigh", own)
        self._update(every)


class PartSearch:
    """The search of a worker among its items."""

    def __init__(
        self,
        vectors: Vectors,
        items: NDArray[np.int64],
        centres: NDArray[np.int64],
        weights: Float64s | None,
        search: Callable[..., FarthestFirst],
    ) -> None:
        self._items, self._left = items, items.size
        self._search = search(vectors, items, centres, weights=weights)

    def farthest_after(self, rows: NDArray[np.int64]) -> tuple[int, float, float] | None:
        """Make rows centres; return the farthest item, or None if all items are centres."""
        for row, at in zip(rows.tolist(), self._items.searchsorted(rows).tolist(), strict=True):
            if at < self._items.size and self._items[at] == row:
                self._search.add(at)
                self._left -= 1
            else:
                self._search.add_row(row)
        if not self._left:
            return None
        best = self._search.farthest()
        return best.position, best.key, best.squared_distance

    def reweigh(self, weights: Float64s | None) -> None:
        """Replace the weights, or remove them."""
        self._search.reweigh(weights)
