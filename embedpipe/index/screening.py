"""Pairs of vectors within given distances, found by proven bounds from short vectors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .contraction import WIDTHS, Contraction, contraction_of
from .distances import ROUNDING, SMALLEST, step_of
from .pair_bounds import pair_bounds
from .pairs import FAR, Close, Pairs
from .vectors import Vectors

__all__ = ["Found", "Screen", "best_contraction", "screen_of"]

SAMPLED = 128
"""Vectors from which the share of the remaining pairs is estimated."""

COLUMN, PAIR, DIMENSION = 0.03, 30.0, 0.12
"""Costs in nanoseconds: a column of a product, a remaining pair, and a dimension of this pair."""

Found = tuple[NDArray[np.int32], NDArray[np.int32]]
"""Matching points and others."""


class Screen:
    """Finds all pairs within the distances `reach` of their first points.

    Products of short vectors exclude most pairs. The others are compared in float32. Both bounds
    are proven, so no pair is lost; the result has a few more pairs.
    """

    def __init__(
        self,
        vectors: Vectors,
        rows: NDArray[np.int64],
        reach: NDArray[np.float32],
        contraction: Contraction | None,
    ) -> None:
        self.vectors, self.rows, self.contraction = vectors, rows, contraction
        if contraction is None:
            self.pairs = Pairs(vectors, rows)
        else:
            self.pairs = Pairs(contraction.short(rows), np.arange(rows.size))
        self.limit(reach)

    def limit(self, reach: NDArray[np.float32]) -> None:
        """Find the pairs within other distances of their first points."""
        wide = reach.astype(np.float64) + SMALLEST  # the rounding of tiny distances
        squared = np.square(wide) * (1 + 8 * ROUNDING) + 2 * step_of(self.vectors)
        limit = squared if self.contraction is None else self.contraction.bound(reach)
        with np.errstate(over="ignore"):
            limit = limit * self.pairs.frame.scale**2 * (1 + 4 * ROUNDING)
        self.bound = np.minimum(limit, FAR).astype(np.float32)
        self.squared = squared

    def within(self, left: NDArray[np.int64], right: NDArray[np.int64], *, mirror: bool) -> Found:
        """Return the pairs of two tiles; with `mirror`, first points are in both tiles."""
        found = Close.join(list(self.close(left, right, mirror=mirror)))
        return found.points, found.others

    def close(
        self, left: NDArray[np.int64], right: NDArray[np.int64], *, mirror: bool
    ) -> Iterator[Close]:
        """Yield the pairs of `within` with bounds on their squared distances."""
        for hits in self.pairs.closer(left, right, self.bound, mirror=mirror):
            lower, upper = pair_bounds(self.vectors, self.rows, hits.points, hits.others)
            near = lower <= self.squared[hits.points]
            lower, upper = lower[near], upper[near]
            # Rounding to float32 must not move a bound inwards.
            lower -= 2 * ROUNDING * np.abs(lower)
            upper *= 1 + 2 * ROUNDING
            bounds = (each.astype(np.float32) for each in (lower, upper))
            yield Close(hits.points[near], hits.others[near], *bounds)


def screen_of(vectors: Vectors, rows: NDArray[np.int64], reach: NDArray[np.float32]) -> Screen:
    """Return the screen with the number of dimensions that saves the most work."""
    return Screen(vectors, rows, reach, best_contraction(vectors, rows, reach))


def best_contraction(
    vectors: Vectors, rows: NDArray[np.int64], reach: NDArray[np.float32]
) -> Contraction | None:
    """Return the contraction that saves the most work; None if none saves any."""
    d = vectors.shape[1]
    sample = np.linspace(0, rows.size - 1, min(SAMPLED, rows.size)).astype(np.int64)
    best, cheapest = None, float(COLUMN * d)
    widths = [width for width in WIDTHS if width < d]
    widest = contraction_of(vectors, rows, widths[-1]) if widths else None
    for width in widths:
        if widest is None or COLUMN * width > cheapest:
            break
        contraction = widest.narrowed(width)
        share = _remaining(contraction, rows, reach, sample)
        cost = COLUMN * width + share * (PAIR + DIMENSION * d)
        if cost < cheapest:
            best, cheapest = contraction, cost
    return best


def _remaining(
    contraction: Contraction,
    rows: NDArray[np.int64],
    reach: NDArray[np.float32],
    sample: NDArray[np.int64],
) -> float:
    """Return the share of pairs that short vectors do not exclude, from a sample."""
    others = np.linspace(0, rows.size - 1, min(32 * SAMPLED, rows.size)).astype(np.int64)
    left = contraction.short(rows[sample]).astype(np.float64)  # (s, m + 1)
    right = contraction.short(rows[others]).astype(np.float64)  # (o, m + 1)
    squared = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1)
    squared -= 2 * left @ right.T
    return float((squared <= contraction.bound(reach[sample])[:, None]).mean())
