"""Bounds on the distances of pairs of points, from products of float32 tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .distances import ROUNDING, rounding_of, safe_frame
from .vectors import Vectors, row_blocks

__all__ = ["CROWD", "FAR", "STRIP", "TILE", "Close", "Hits", "Pairs", "TilePair", "tile_pairs"]

TILE = 4096
"""Points per tile."""

STRIP = 512
"""Points of a tile per product: at most 8 MB of products."""

MANY = 64
"""A point with over `most` + this number of hits in one strip keeps only the nearest hits."""

FAR = np.finfo(np.float32).max
"""More than any squared distance in a frame."""

CROWD = 128
"""A point with over `most` (or k) + this number of hits is crowded."""


TilePair = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Ascending positions of the points of two tiles."""


@dataclass(frozen=True)
class Hits:
    """Close pairs: (e,) int32 `points` and `others`, and (e,) float32 `scores`.

    A score is minus half of the lower bound on the squared distance, without `slack` (see `Pairs`).
    A pair of a point with itself marks the point as crowded: it has too many close pairs, which are
    left out.
    """

    points: NDArray[np.int32]
    others: NDArray[np.int32]
    scores: NDArray[np.float32]

    @classmethod
    def join(cls, parts: list[Hits]) -> Hits:
        """Return the pairs of all parts, in order."""
        return cls(
            np.concatenate([part.points for part in parts]),
            np.concatenate([part.others for part in parts]),
            np.concatenate([part.scores for part in parts]),
        )


@dataclass(frozen=True)
class Close:
    """Close pairs: (e,) int32 `points` and `others`, and bounds on their squared distances.

    The bounds `lower` and `upper` are (e,) float32. A pair of a point with itself marks the point
    as crowded, as in `Hits`.
    """

    points: NDArray[np.int32]
    others: NDArray[np.int32]
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]

    @classmethod
    def join(cls, parts: list[Close]) -> Close:
        """Return the pairs of all parts, in order."""
        none = cls(*(np.empty(0, np.int32),) * 2, *(np.empty(0, np.float32),) * 2)
        columns = zip(*(vars(part).values() for part in (none, *parts)), strict=True)
        return cls(*map(np.concatenate, columns))

    def take(self, which: NDArray[np.intp]) -> Close:
        """Return some of the pairs."""
        return Close(*(column[which] for column in vars(self).values()))


def tile_pairs(
    p: int, size: int | None = None, order: NDArray[np.int64] | None = None
) -> list[list[TilePair]]:
    """Return every pair of tiles of `p` points once, in bands that use all tiles equally.

    A tile has points that are next to each other in `order`.
    """
    # The first band pairs each tile with itself.
    points = np.arange(p) if order is None else order
    tiles = [points[part] for part in row_blocks(p, size or TILE)]
    count = len(tiles)
    bands = []
    for step in range(count // 2 + 1):
        pairs = {tuple(sorted((i, (i + step) % count))) for i in range(count)}
        bands.append([(tiles[i], tiles[j]) for i, j in sorted(pairs)])
    return bands


class Pairs:
    """Bounds on the squared distances between points, in the unit of a frame.

    The error of the estimate ``|x|² + |y|² − 2·x·y`` is at most `error` times ``|x|² + |y|²``, plus
    `slack`. So the lower bound, without `slack`, is ``−2·s`` with ``s = x·y − h(x) − h(y)`` and
    ``h = |x|²·(1 − error)/2``. One matrix product with two more columns computes s.

    With u the unit roundoff of float32, the sum of d + 2 products has an error below (d + 2)·u
    times ``|x|² + |y|²``, for any order. The product counts twice and the norms add d·u: together
    (3·d + 4)·u. Shifting, rounding and the float64 reference add less than 50·u.
    """

    def __init__(self, matrix: Vectors, rows: NDArray[np.int64]) -> None:
        self.rows = rows
        self.frame, self.norms = safe_frame(matrix, rows)
        d = matrix.shape[1]
        self.error = (3 * d + 60 + rounding_of(matrix).share) * ROUNDING * 1.01
        self.slack = 3 * self.frame.slack + 1e-36
        self.halves = (self.norms * (1 - self.error) / 2).astype(np.float32)  # (p,)

    def closer(
        self,
        left: NDArray[np.int64],
        right: NDArray[np.int64],
        bound: NDArray[np.float32],
        *,
        mirror: bool = False,
        most: int | None = None,
    ) -> Iterator[Hits]:
        """Yield the pairs whose squared distance may be at most the bound of the first point."""
        # The first point is in `left` or, with `mirror`, also in `right`. `most` limits the hits of
        # each first point.
        first = self._columns(left, swapped=False)  # (a, d + 2)
        second = self._columns(right, swapped=True)  # (b, d + 2)
        floors = (-bound / 2 - self.slack).astype(np.float32)  # (p,)
        _, own, same = np.intersect1d(left, right, assume_unique=True, return_indices=True)
        buffer = np.empty((min(STRIP, left.size), right.size), dtype=np.float32)
        for strip in row_blocks(left.size, STRIP):
            some = left[strip]
            scores = buffer[: some.size]  # (s, b)
            np.matmul(first[strip], second.T, out=scores)
            inside = (own >= strip.start) & (own < strip.stop)
            scores[own[inside] - strip.start, same[inside]] = -np.inf
            yield self._hits(scores, some, right, floors[some, None], most)
            if mirror:
                yield self._hits(scores, some, right, floors[right], most)

    def close(
        self,
        left: NDArray[np.int64],
        right: NDArray[np.int64],
        bound: NDArray[np.float32],
        *,
        mirror: bool,
        most: int,
    ) -> Iterator[Close]:
        """Yield the pairs of `closer` with bounds on their squared distances."""
        for hits in self.closer(left, right, bound, mirror=mirror, most=most):
            yield Close(hits.points, hits.others, self.lower(hits), self.upper(hits))

    def lower(self, hits: Hits) -> NDArray[np.float32]:
        """Return lower bounds on the squared distances: (e,) float32."""
        bounds: NDArray[np.float32] = -2 * hits.scores - np.float32(2 * self.slack)
        return bounds

    def upper(self, hits: Hits) -> NDArray[np.float32]:
        """Return upper bounds on the squared distances, at least 0: (e,) float32."""
        both = self.norms[hits.points] + self.norms[hits.others]  # (e,)
        bound = -2.0 * hits.scores + 2 * self.error * both + 2 * self.slack
        above: NDArray[np.float64] = np.maximum(bound, 0) * (1 + 4 * ROUNDING) + 0.0
        return above.astype(np.float32)

    def _columns(self, tile: NDArray[np.int64], *, swapped: bool) -> NDArray[np.float32]:
        shifted = self.frame.rows(self.rows[tile]).vectors  # (b, d)
        wide = np.empty((len(shifted), shifted.shape[1] + 2), dtype=np.float32)
        wide[:, :-2] = shifted
        wide[:, -1 if swapped else -2] = -self.halves[tile]
        wide[:, -2 if swapped else -1] = 1
        return wide

    def _hits(
        self,
        scores: NDArray[np.float32],
        left: NDArray[np.int64],
        right: NDArray[np.int64],
        floors: NDArray[np.float32],
        most: int | None,
    ) -> Hits:
        """Return the pairs with scores of at least `floors`.

        `floors` is (s, 1) if the first points are in `left`, and (b,) if they are in `right`.
        """
        of_left = floors.ndim == 2
        mine, theirs = (left, right) if of_left else (right, left)
        close = scores >= floors  # (s, b)
        points, others = _true(close, of_left)
        crowd = points[:0]
        if most is not None:
            full = np.flatnonzero(np.bincount(points) > most + MANY)
            if full.size:
                lines = scores[full] if of_left else scores[:, full].T  # (c, ·)
                kept = lines >= self._nearest(lines, self.norms[mine][full], theirs, most)
                crowded = np.count_nonzero(kept, axis=1) > most + CROWD
                kept[crowded] = False
                crowd = full[crowded]
                if of_left:
                    close[full] &= kept
                else:
                    close[:, full] &= kept.T
                points, others = _true(close, of_left)
        at, to = (points, others) if of_left else (others, points)
        found = scores[at, to]
        hits = Hits(mine[points].astype(np.int32), theirs[others].astype(np.int32), found)
        if crowd.size:
            alone = mine[crowd].astype(np.int32)
            hits = Hits.join([hits, Hits(alone, alone, np.zeros(alone.size, np.float32))])
        return hits

    def _nearest(
        self,
        lines: NDArray[np.float32],
        norms: NDArray[np.float64],
        tile: NDArray[np.int64],
        most: int,
    ) -> NDArray[np.float32]:
        """Return a lower limit of the scores of the `most` nearest in each line: (c, 1)."""
        width = lines.shape[1]
        last = np.partition(lines, width - most, axis=1)[:, width - most]  # (c,)
        margin = self.error * (norms + self.norms[tile].max()) + 2 * self.slack
        floor = (last - margin - np.abs(last) * 4 * ROUNDING).astype(np.float32)
        below: NDArray[np.float32] = np.nextafter(floor, np.float32(-np.inf))
        return below[:, None]


def _true(close: NDArray[np.bool_], of_left: bool) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the points and the others where a contiguous (s, b) array is true."""
    at = np.flatnonzero(close)
    rows = (at // close.shape[1]).astype(np.int32)
    columns = (at - rows * np.int64(close.shape[1])).astype(np.int32)
    return (rows, columns) if of_left else (columns, rows)
