"""Exact nearest neighbours of all vectors (here called points), by matrix products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks
from .distances import ROUNDING, between, rounding_of
from .pairs import CROWD, FAR, STRIP, TILE, Close, Pairs, TilePair, tile_pairs
from .screening import Screen, best_contraction
from .sketch import Projection
from .vectors import Vectors, on_parts, row_blocks, take_wide, workers_of

__all__ = ["Neighbours", "Progress", "nearest_neighbours"]

Progress = Callable[[int, int], None]
"""Called with the finished and the total amount of work."""

RANKED = 512
"""Points per task of a thread."""

BLOCK = 2048
"""Points per block in float64."""

HARD = 64
"""Maximum points that are compared with all others in float64 at once."""

COMPARED = 1 << 22
"""Approximate maximum number of pairs in this comparison; a pair takes 32 bytes."""

BAND = 8
"""Tiles that the points `some` are compared with before their bounds are updated."""

LEAF = 512
"""Maximum points per leaf; the points of a leaf are near each other."""

SCREENED = 4 * TILE
"""Points from which short vectors are tried."""

WIDE_ROUNDING = 2.0**-53
"""Unit roundoff of float64."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest other unique vectors of each of p unique vectors.

    Attributes
    ----------
    positions
        (p, k) int32 positions, nearest first; ties go to the lowest position.
    distances
        (p, k) float32 distances.
    """

    positions: NDArray[np.int32]
    distances: NDArray[np.float32]


def nearest_neighbours(
    matrix: Vectors,
    rows: NDArray[np.int64],
    k: int,
    progress: Progress | None = None,
    some: NDArray[np.int64] | None = None,
) -> Neighbours:
    """Return the `k` nearest other rows of each row, or only of the rows `some`."""
    # Distances are those of `between`, and ties go to the lowest position, for any number of
    # threads. Products of float32 tiles estimate each distance once, with a proven bound on the
    # error. A point keeps all rivals that may be among its k nearest. At the end, the distances to
    # the rivals are computed in float64. A point with too many rivals (extreme scales or many equal
    # distances) is compared with all others in float64. With many points, a tile has points that
    # are near each other. The first band compares each tile with itself, which gives good bounds;
    # then products of short vectors exclude most pairs of other tiles. Time: p²·m floating-point
    # operations for p points with short vectors of m numbers, or p²·d if these exclude too few
    # pairs. Peak memory: about 100·k bytes per point, 4·m bytes per short vector, and two tiles of
    # 4096 vectors and 16 MB per thread. Workers compare their own rows with all rows, so each pair
    # is multiplied twice.
    if some is None and rows.size and workers_of(matrix) is not None:
        return _joined(on_parts(matrix, rows, _of_part, rows, k))
    p = rows.size
    k = max(min(k, p - 1), 0)
    own = np.arange(p) if some is None else some
    positions = np.zeros((own.size, k), dtype=np.int32)
    squared = np.zeros((own.size, k))
    if positions.size:
        rivals = _Rivals(Pairs(matrix, rows), k)
        order, screen = None, None
        if some is None and p >= SCREENED and rivals.pairs.frame.scale == 1:
            order = _by_leaf(Projection.of(matrix, rows).project(matrix, rows))
        bands = tile_pairs(p, order=order) if some is None else _bands_of(some, p)
        done, total = 0, sum(map(len, bands))
        for number, band in enumerate(bands):
            if order is not None and number == 1:  # each point has neighbours in its own tile
                screen = _screen_of(rivals, matrix)
            rivals.compare(band, screen, mirror=some is None)
            done += len(band)
            if progress:
                progress(done, total)
        plain = np.flatnonzero(~rivals.crowded[own])
        positions[plain], squared[plain] = _nearest(matrix, rows, rivals.close, own[plain], k)
        hard = np.flatnonzero(rivals.crowded[own])
        for part in row_blocks(hard.size, int(np.clip(COMPARED // p, 1, HARD))):
            at = hard[part]
            positions[at], squared[at] = _exhaustively(matrix, rows, own[at], k)
    with np.errstate(over="ignore"):
        return Neighbours(positions, np.sqrt(squared).astype(np.float32))


def _of_part(
    matrix: Vectors, part: NDArray[np.int64], rows: NDArray[np.int64], k: int
) -> Neighbours:
    """Return the `k` nearest of `rows` to each row of a part of them."""
    return nearest_neighbours(matrix, rows, k, some=rows.searchsorted(part))


def _joined(parts: list[Neighbours]) -> Neighbours:
    return Neighbours(
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.distances for part in parts]),
    )


def _bands_of(some: NDArray[np.int64], p: int) -> list[list[TilePair]]:
    """Return pairs of tiles of the points `some` with every tile, in bands of a few tiles."""
    tiles = [np.arange(part.start, part.stop) for part in row_blocks(p, TILE)]
    bands = [tiles[part] for part in row_blocks(len(tiles), BAND)]
    own = [some[part] for part in row_blocks(some.size, TILE)]
    return [[(left, right) for right in band for left in own] for band in bands]


def _by_leaf(coordinates: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the (p,) points in an order in which near points follow each other.

    All points are divided at the median of the first coordinate, the halves at their medians of the
    second one, and so on.
    """
    groups, level = [np.arange(len(coordinates))], 0
    while len(groups[0]) > LEAF:
        column = coordinates[:, level % coordinates.shape[1]]
        groups = [
            half
            for group in groups
            for half in np.array_split(group[column[group].argsort(kind="stable")], 2)
        ]
        level += 1
    return np.concatenate(groups)


def _screen_of(rivals: _Rivals, matrix: Vectors) -> Screen | None:
    """Return the screen for the bounds so far; None if short vectors exclude too few pairs."""
    rows, reach = rivals.pairs.rows, rivals.reach()
    contraction = best_contraction(matrix, rows, reach)
    return None if contraction is None else Screen(matrix, rows, reach, contraction)


class _Rivals:
    """The points that may be among the k nearest of each point, from the tiles compared so far.

    Invariants: every excluded point is proven to be farther than k other points. ``bound[i]`` is
    proven to be at least the squared distance of point i to its k-th neighbour.
    """

    def __init__(self, pairs: Pairs, k: int) -> None:
        self.pairs, self.k = pairs, k
        p = pairs.rows.size
        self.bound = np.full(p, FAR, dtype=np.float32)  # squared
        self.crowded = np.zeros(p, dtype=np.bool_)
        self.close = Close.join([])

    def reach(self) -> NDArray[np.float32]:
        """Return at least the distance of each point to its k-th neighbour, outside a frame."""
        wide = np.sqrt(np.maximum(self.bound, 0).astype(np.float64)) * (1 + 2 * ROUNDING)
        return wide.astype(np.float32)

    def compare(self, band: list[TilePair], screen: Screen | None, *, mirror: bool) -> None:
        """Compare pairs of tiles; the bounds change only at the end."""
        if screen is not None:
            screen.limit(self.reach())

        def work(part: slice) -> list[Close]:
            ((left, right),) = band[part]
            both = mirror and left is not right
            if screen is not None:
                return [self._few(each) for each in screen.close(left, right, mirror=both)]
            return list(self.pairs.close(left, right, self.bound, mirror=both, most=self.k))

        found = map_blocks(work, len(band), 1)
        joined = Close.join([self.close, *(close for part in found for close in part)])
        found.clear()  # frees memory
        self.close, self.bound, crowded = self._cut(joined)
        self.crowded |= crowded
        self.bound[self.crowded] = -np.inf  # no further pairs

    def _few(self, close: Close) -> Close:
        """Return close pairs without those of crowded points, which are marked."""
        if close.points.size <= STRIP * (self.k + CROWD):
            return close
        close, _, crowded = self._cut(close)
        alone = np.flatnonzero(crowded).astype(np.int32)
        nothing = np.zeros(alone.size, np.float32)
        return Close.join([close, Close(alone, alone, nothing, nothing)])

    def _cut(self, close: Close) -> tuple[Close, NDArray[np.float32], NDArray[np.bool_]]:
        """Return the pairs that may be among the k nearest of their points, and the new bounds.

        The last array marks crowded points, whose pairs are left out.
        """
        p = self.bound.size
        alone = close.points == close.others  # marks of crowded points
        crowded = np.zeros(p, dtype=np.bool_)
        if alone.any():
            crowded[close.points[alone]] = True
            close = close.take(np.flatnonzero(~alone))
        upper = np.maximum(close.upper, 0) + np.float32(0)  # (e,), without -0
        keys = close.points.astype(np.uint64) << np.uint64(32) | upper.view(np.uint32)
        order = keys.argsort()  # by point, then by upper bound (not negative)
        points, upper = close.points[order], upper[order]
        starts = points.searchsorted(np.arange(p + 1, dtype=points.dtype))
        enough = np.diff(starts) >= self.k
        bound = self.bound.copy()
        bound[enough] = np.minimum(bound[enough], upper[starts[:-1][enough] + self.k - 1])
        close = close.take(order[close.lower[order] <= bound[points]])
        crowded |= np.bincount(close.points, minlength=p) > self.k + CROWD
        return close.take(np.flatnonzero(~crowded[close.points])), bound, crowded


def _nearest(
    matrix: Vectors,
    rows: NDArray[np.int64],
    close: Close,
    own: NDArray[np.int64],
    k: int,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the `k` nearest of the close pairs of each of `own` points, with squared distances."""
    away = measured(matrix, rows, close.points, close.others)  # (e,)
    order = np.lexsort((close.others, away, close.points))
    best = order[close.points[order].searchsorted(own)[:, None] + np.arange(k)]  # (o, k)
    return close.others[best], away[best]


def measured(
    matrix: Vectors,
    rows: NDArray[np.int64],
    points: NDArray[np.integer],
    others: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Return the squared distances of pairs that are sorted by `points`: (e,) float64."""
    away = np.empty(points.size)
    first = np.flatnonzero(np.diff(points, prepend=-1))  # the first pair of each point
    ends = np.append(first, points.size)

    def work(part: slice) -> None:
        for start, stop in zip(ends[part], ends[part.start + 1 : part.stop + 1], strict=True):
            mine, theirs = rows[points[[start]]], rows[others[start:stop]]
            away[start:stop] = between(matrix, theirs, mine)

    map_blocks(work, first.size, RANKED)
    return away


def _exhaustively(
    matrix: Vectors, rows: NDArray[np.int64], some: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the `k` nearest of each point in `some`, with squared distances, in float64."""
    d = matrix.shape[1]
    mine = take_wide(matrix, rows[some])  # (h, d)
    centre = mine.mean(axis=0)
    mine -= centre
    own = np.square(mine).sum(axis=1)  # (h,)
    away = np.empty((some.size, rows.size))
    margin = np.empty_like(away)
    error, slack = (3 * d + 60) * WIDE_ROUNDING, rounding_of(matrix).constant

    def work(part: slice) -> None:
        others = take_wide(matrix, rows[part]) - centre  # (b, d)
        norms = np.square(others).sum(axis=1)  # (b,)
        away[:, part] = own[:, None] + norms - 2 * (mine @ others.T)
        margin[:, part] = (own[:, None] + norms) * error + slack

    map_blocks(work, rows.size, BLOCK)
    away[np.arange(some.size), some] = np.inf
    bound = np.partition(away + margin, k - 1, axis=1)[:, k - 1, None]
    at, others = np.nonzero(away - margin <= bound)
    exact = measured(matrix, rows, some[at], others)
    order = np.lexsort((others, exact, at))
    best = order[at[order].searchsorted(np.arange(some.size))[:, None] + np.arange(k)]  # (h, k)
    return others[best], exact[best]
