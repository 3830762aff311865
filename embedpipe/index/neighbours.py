"""Exact nearest neighbours of all vectors (here called points), by matrix products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks
from .distances import between, rounding_of
from .pairs import CROWD, TILE, Hits, Pairs, TilePair, tile_pairs
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

FAR = np.finfo(np.float32).max
"""More than any squared distance in a frame."""

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
    # distances) is compared with all others in float64. Time: p²·d floating-point operations for p
    # points of length d; 50,000 vectors of 1,280 dimensions take about 30 seconds on two cores.
    # Peak memory: about 100·k bytes per point, and two tiles of 4096 vectors and 16 MB per
    # thread. Workers compare their own rows with all rows, so each pair is multiplied twice.
    if some is None and rows.size and workers_of(matrix) is not None:
        return _joined(on_parts(matrix, rows, _of_part, rows, k))
    p = rows.size
    k = max(min(k, p - 1), 0)
    own = np.arange(p) if some is None else some
    positions = np.zeros((own.size, k), dtype=np.int32)
    squared = np.zeros((own.size, k))
    if positions.size:
        rivals = _Rivals(Pairs(matrix, rows), k)
        bands = tile_pairs(p) if some is None else _bands_of(some, p)
        done, total = 0, sum(map(len, bands))
        for band in bands:
            rivals.compare(band, mirror=some is None)
            done += len(band)
            if progress:
                progress(done, total)
        plain = np.flatnonzero(~rivals.crowded[own])
        positions[plain], squared[plain] = _nearest(matrix, rows, rivals.hits, own[plain], k)
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
        self.hits = Hits.none()

    def compare(self, band: list[TilePair], *, mirror: bool) -> None:
        """Compare pairs of tiles; the bounds change only at the end."""

        def work(part: slice) -> list[Hits]:
            ((left, right),) = band[part]
            both = mirror and left is not right
            return list(self.pairs.closer(left, right, self.bound, mirror=both, most=self.k))

        found = map_blocks(work, len(band), 1)
        joined = Hits.join([self.hits, *(hits for part in found for hits in part)])
        found.clear()  # frees memory
        self._keep(joined)

    def _keep(self, hits: Hits) -> None:
        p = self.crowded.size
        alone = hits.points == hits.others  # marks of crowded points
        if alone.any():
            self.crowded[hits.points[alone]] = True
            hits = hits.take(np.flatnonzero(~alone))
        upper = self.pairs.upper(hits)  # (e,)
        keys = hits.points.astype(np.uint64) << np.uint64(32) | upper.view(np.uint32)
        order = keys.argsort()  # by point, then by upper bound (not negative)
        points, upper = hits.points[order], upper[order]
        starts = points.searchsorted(np.arange(p + 1, dtype=points.dtype))
        enough = np.diff(starts) >= self.k
        self.bound[enough] = upper[starts[:-1][enough] + self.k - 1]
        self.bound[self.crowded] = -np.inf
        hits = hits.take(order[self.pairs.lower(hits)[order] <= self.bound[points]])
        counts = np.bincount(hits.points, minlength=p)
        self.crowded |= counts > self.k + CROWD
        self.bound[self.crowded] = -np.inf  # no further hits
        self.hits = hits.take(np.flatnonzero(~self.crowded[hits.points]))


def _nearest(
    matrix: Vectors,
    rows: NDArray[np.int64],
    hits: Hits,
    own: NDArray[np.int64],
    k: int,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the `k` nearest hits of each of `own` points, with squared distances."""
    away = measured(matrix, rows, hits.points, hits.others)  # (e,)
    order = np.lexsort((hits.others, away, hits.points))
    best = order[hits.points[order].searchsorted(own)[:, None] + np.arange(k)]  # (o, k)
    return hits.others[best], away[best]


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
