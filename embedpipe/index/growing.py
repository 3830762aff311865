"""Neighbours of a matrix that has grown, from those of the earlier matrix."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks
from .nearest import nearest_of
from .neighbours import Neighbours, Progress
from .pairs import TILE
from .screening import Found, Screen
from .vectors import row_blocks

__all__ = ["with_new_neighbours"]

BAND = 64
"""Pairs of tiles between two reports of progress."""

BLOCK = 128
"""Points whose neighbours are updated at once."""

MOST = 64
"""Maximum pairs per point, on average; with more, a search of all neighbours is faster."""


def with_new_neighbours(
    screen: Screen,
    near: Neighbours,
    old: NDArray[np.int64],
    new: NDArray[np.int64],
    progress: Progress | None = None,
) -> Neighbours | None:
    """Replace neighbours of the points `old` by points `new` that are nearer; `near` is changed.

    No pair is missed: the result contains the nearest of the neighbours so far and all new points.
    The screen has the distance of the last neighbour of each point as its reach. None: there are
    too many pairs, because many distances are equal.

    Time: O(o·n·m) for short vectors of m dimensions. Extra memory: 16 bytes per pair, so at most
    1 kB per point; for each thread, 0.5 GB for a pair of tiles at most.
    """
    tasks = [
        (old[left], new[right])
        for right in row_blocks(new.size, TILE)
        for left in row_blocks(old.size, TILE)
    ]
    most = MOST * screen.rows.size
    done = 0
    found: list[Found] = []
    count = Count()
    for band in row_blocks(len(tasks), BAND):

        def work(part: slice, band: slice = band) -> Found | None:
            ((left, right),) = tasks[band][part]
            if count.total > most:
                return None
            pairs = screen.within(left, right, mirror=False)
            count.add(pairs[0].size)
            return pairs

        found += [pairs for pairs in map_blocks(work, len(tasks[band]), 1) if pairs is not None]
        if count.total > most:
            return None
        done += len(tasks[band])
        if progress:
            progress(done, len(tasks))
    points, others = (np.concatenate(each) for each in zip(*found, strict=True))
    order = points.argsort(kind="stable")
    points, others = points[order], others[order]
    changed, starts = np.unique(points, return_index=True)  # (c,)
    ends = np.append(starts[1:], points.size)
    k = near.positions.shape[1]

    def update(part: slice) -> None:
        some = changed[part].astype(np.int64)  # (b,)
        longest = int((ends[part] - starts[part]).max())
        candidates = np.full((some.size, k + longest), -1, dtype=np.int64)
        candidates[:, :k] = near.positions[some]
        place = starts[part, None] + np.arange(longest)  # (b, longest)
        there = place < ends[part, None]
        candidates[:, k:][there] = others[place[there]]
        best = nearest_of(screen.vectors, screen.rows, some, candidates, k)
        near.positions[some], near.distances[some] = best.positions, best.distances

    map_blocks(update, changed.size, BLOCK)
    return near


class Count:
    """The number of pairs that several threads have found."""

    def __init__(self) -> None:
        self.total, self._lock = 0, threading.Lock()

    def add(self, count: int) -> None:
        """Add a number of pairs."""
        with self._lock:
            self.total += count
