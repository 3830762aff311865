"""Exact neighbours within a radius of all vectors (here called points)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks
from ..errors import SelectionError
from .distances import ROUNDING
from .neighbours import Neighbours, measured
from .pairs import STRIP, Hits, Pairs, tile_pairs
from .vectors import Vectors, row_blocks

__all__ = ["MAX_EDGES", "RadiusNeighbors", "balls_by_neighbours", "balls_within"]

MAX_EDGES = 250
"""Default maximum of the mean number of members of a ball."""

SETTLED = 0.5
"""If known neighbours give a smaller share of the balls than this, all balls are searched."""

NEAREST = 32
"""Number of neighbours of the first search."""

TILE = 1024
"""Points per tile."""

PLACED = 1 << 20
"""Approximate number of members grouped at once."""

TINY = float(np.finfo(np.float32).tiny)

FARTHEST = 1e18
"""More than any distance in a frame."""

Edges = tuple[NDArray[np.int32], NDArray[np.int32]]
"""Matching points and members of their balls."""


@dataclass(frozen=True)
class RadiusNeighbors:
    """The unique vectors within a radius (the ball) of each of p unique vectors, itself included.

    Attributes
    ----------
    starts
        (p + 1,) int64: vector i has the members ``members[starts[i]:starts[i + 1]]``.
    members
        (e,) int32 positions, ascending within each ball.
    """

    starts: NDArray[np.int64]
    members: NDArray[np.int32]


def balls_within(
    matrix: Vectors,
    rows: NDArray[np.int64],
    radius: float,
    max_edges: float = MAX_EDGES,
    known: Neighbours | None = None,
) -> RadiusNeighbors:
    """Return the points within `radius` of each point, itself included."""
    # Exact: a pair counts if its squared distance, by `between`, is at most radius² in float64.
    # Products of float32 tiles estimate distances; doubtful distances are computed in float64.
    # Time: at most p²·d operations for p points of length d. Extra memory: about 16 bytes per
    # member, 24 bytes per point, two tiles of 1024 vectors and 4 MB per thread, and 32 MB.
    _check(radius)
    p = rows.size
    settled = np.zeros(p, dtype=np.bool_)  # points whose whole ball is known
    if known is not None:
        settled = _known_radius(known, p) > radius
    if settled.sum() < SETTLED * p:
        settled[:] = False  # a search of all balls compares each pair once
    found: list[Edges] = []
    if not settled.all():
        found += _Search(matrix, rows, radius, max_edges).edges(np.flatnonzero(~settled))
    if known is not None and settled.any():
        found.append(_known_pairs(matrix, rows, radius, known, settled, np.flatnonzero(settled)))
    return _balls(found, p, radius, max_edges)


def balls_by_neighbours(
    matrix: Vectors,
    rows: NDArray[np.int64],
    radius: float,
    max_edges: float,
    find: Callable[[NDArray[np.int64], int], Neighbours],
) -> RadiusNeighbors:
    """Return the result of `balls_within`, limited to the members that `find` finds."""
    _check(radius)
    p = rows.size
    waiting, k = np.arange(p), min(NEAREST, p - 1)
    found: list[Edges] = []
    members = p
    while waiting.size and k > 0:
        near = find(waiting, k)
        settled = _known_radius(near, p) > radius
        found.append(_known_pairs(matrix, rows, radius, near, settled, waiting[settled]))
        waiting = waiting[~settled]
        members += found[-1][0].size
        if members + waiting.size * k > max_edges * p:
            raise _too_many(radius, max_edges, (members + waiting.size * k) / p)
        k = min(4 * k, p - 1)
    return _balls(found, p, radius, max_edges)


def _check(radius: float) -> None:
    if not radius >= 0:
        raise SelectionError(f"`radius` must be at least 0; got {radius:g}.")


def _balls(found: list[Edges], p: int, radius: float, max_edges: float) -> RadiusNeighbors:
    """Group members by ball, and empty `found` to save memory."""
    from scipy.sparse import csr_array

    counts = np.ones(p, dtype=np.int64)  # each point is in its own ball
    for points, _ in found:
        counts += np.bincount(points, minlength=p)
    starts = np.concatenate([[0], counts.cumsum()])  # (p + 1,)
    if starts[-1] > max_edges * p:
        raise _too_many(radius, max_edges, starts[-1] / p)
    members = np.empty(starts[-1], dtype=np.int32)
    members[starts[:-1]] = np.arange(p)
    ends = starts[:-1] + 1  # place of the next member of each ball: (p,)
    while found:
        some = [found.pop()]
        while found and sum(points.size for points, _ in some) < PLACED:
            some.append(found.pop())
        points, others = (np.concatenate(each) for each in zip(*some, strict=True))
        order = points.argsort(kind="stable")
        points = points[order]
        counts = np.bincount(points, minlength=p)  # (p,)
        place = np.arange(points.size) - (counts.cumsum() - counts)[points]  # place within the ball
        members[ends[points] + place] = others[order]
        ends += counts
    table = csr_array((np.ones(members.size, np.int8), members, starts), shape=(p, p))
    table.sort_indices()
    return RadiusNeighbors(starts, table.indices.astype(np.int32, copy=False))


def _too_many(radius: float, allowed: float, members: float) -> SelectionError:
    return SelectionError(
        f"balls of radius {radius:g} have about {members:.0f} members on average; `max_edges` is "
        f"{allowed:g}. Use a smaller radius, or increase `max_edges`: this needs "
        f"{4 * members:.0f} bytes per item, and four times that during the search."
    )


def _known_radius(near: Neighbours, p: int) -> NDArray[np.float64]:
    """Return the radius in which every vector is a known neighbour, for each point: (s,)."""
    k = near.positions.shape[1]
    if k >= p - 1:
        return np.full(len(near.positions), np.inf)
    if not k:
        return np.zeros(len(near.positions))
    return near.distances[:, -1].astype(np.float64) * (1 - 4 * ROUNDING)


def _known_pairs(
    matrix: Vectors,
    rows: NDArray[np.int64],
    radius: float,
    near: Neighbours,
    which: NDArray[np.bool_],
    points: NDArray[np.int64],
) -> Edges:
    """Return the pairs of `points` with members; `which` marks their rows in `near`."""
    positions, distances = near.positions[which], near.distances[which].astype(np.float64)
    sure = distances < radius * (1 - 4 * ROUNDING)  # (s, k)
    nearly = distances <= radius * (1 + 4 * ROUNDING) + TINY
    at, place = np.nonzero(nearly & ~sure)
    away = measured(matrix, rows, points[at], positions[at, place])
    inside = away <= float(radius) * float(radius)
    sure[at[inside], place[inside]] = True
    at, place = np.nonzero(sure)
    return points[at].astype(np.int32), positions[at, place]


class _Search:
    """Finds members by comparing tiles; raises as soon as there are too many."""

    def __init__(
        self, matrix: Vectors, rows: NDArray[np.int64], radius: float, allowed: float
    ) -> None:
        self.matrix, self.rows = matrix, rows
        self.radius, self.allowed = float(radius), allowed
        self.pairs = Pairs(matrix, rows)
        self.squared = min(self.radius * self.pairs.frame.scale, FARTHEST) ** 2  # in the frame
        self._lock = threading.Lock()
        self._members = self._compared = 0

    def edges(self, some: NDArray[np.int64]) -> list[Edges]:
        """Return the pairs whose first point is one of `some`."""
        p = self.rows.size
        symmetric = some.size == p
        tasks = [pair for band in tile_pairs(p, TILE) for pair in band]
        if not symmetric:
            tasks = [
                (some[part], np.arange(other.start, other.stop))
                for other in row_blocks(p, TILE)
                for part in row_blocks(some.size, TILE)
            ]
        bound = np.full(p, self.squared * (1 + 8 * ROUNDING), dtype=np.float32)

        def work(part: slice) -> list[Edges]:
            ((left, right),) = tasks[part]
            mirror = symmetric and left is not right
            found = []
            for hits in self.pairs.closer(left, right, bound, mirror=mirror):
                found.append(self._members_among(hits))
                self._count(hits.points.size, min(STRIP, left.size) * right.size, some.size)
            return found

        return [edges for part in map_blocks(work, len(tasks), 1) for edges in part]

    def _members_among(self, hits: Hits) -> Edges:
        sure = self.pairs.upper(hits) <= self.squared * (1 - 8 * ROUNDING)
        doubtful = np.flatnonzero(~sure)
        doubtful = doubtful[hits.points[doubtful].argsort(kind="stable")]
        away = measured(self.matrix, self.rows, hits.points[doubtful], hits.others[doubtful])
        sure[doubtful] = away <= self.radius * self.radius
        return hits.points[sure], hits.others[sure]

    def _count(self, members: int, compared: int, sought: int) -> None:
        with self._lock:
            self._members += members
            self._compared += compared
            if self._members > self.allowed * self.rows.size:
                share = self._compared / (self.rows.size * sought)
                members_each = self._members / sought / min(share, 1)
                raise _too_many(self.radius, self.allowed, members_each)
