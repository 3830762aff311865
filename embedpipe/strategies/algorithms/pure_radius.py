"""The largest radius at which balls around points stay within one cluster."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..._threads import map_blocks
from ...index import Neighbours, between
from ...index.frame import safe_frame
from ...index.vectors import Vectors

__all__ = ["fitting_radius", "pure_radius"]

SEARCHED = 512
"""For about how many points every other point is looked at."""

SAMPLED = 64
"""From so many points the size of large balls is told."""

BLOCK = 512
"""How many points are looked at at once."""


def pure_radius(
    vectors: Vectors,
    rows: NDArray[np.int64],
    labels: NDArray[np.int32],
    near: Neighbours,
    purity: float,
) -> float:
    """Return the largest float32 radius at which a share `purity` of the balls is pure.

    A ball is pure while it is smaller than the distance to the nearest point of another cluster.
    That distance follows from the neighbours `near` of most points. Where all of them are in the
    point's own cluster it is searched for among all points, for about 512 of them at most.
    """
    every = np.arange(rows.size)
    enemies = labels[near.positions] != labels[:, None]  # (p, k)
    first = enemies.argmax(axis=1)  # (p,)
    away = np.where(enemies[every, first], near.distances[every, first], np.float32(np.inf))
    open_ = ~enemies.any(axis=1) & (near.distances[:, -1] < _quantile(away, purity))  # (p,)
    step = -(-int(open_.sum()) // SEARCHED) or 1
    some = every[::step]
    away, reach = away[some], near.distances[some, -1]  # (s,)
    search = np.flatnonzero(np.isinf(away) & (reach < _quantile(away, purity)))
    if search.size:
        away[search] = _nearest_enemies(vectors, rows, labels, some[search])
    return float(np.nextafter(_quantile(away, purity), np.float32(0)))


def _quantile(away: NDArray[np.float32], purity: float) -> np.float32:
    """Return the distance that a share 1 - `purity` at most is below."""
    impure = min(int((1 - purity) * away.size + 1e-9), away.size - 1)
    return np.float32(np.partition(away, impure)[impure])


def _nearest_enemies(
    vectors: Vectors,
    rows: NDArray[np.int64],
    labels: NDArray[np.int32],
    some: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return the distance from each of (s,) points to the nearest one of another cluster."""
    frame, _ = safe_frame(vectors, rows)
    own = frame.rows(rows[some]).vectors  # (s, d)

    def work(part: slice) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        block = frame.rows(rows[part])
        squared = -2 * block.vectors @ own.T  # (b, s)
        squared += block.norms.astype(np.float32)[:, None]
        squared[labels[part, None] == labels[some]] = np.inf
        return squared.min(axis=0), squared.argmin(axis=0) + part.start

    found = map_blocks(work, rows.size, BLOCK)
    best = np.array([least for least, _ in found]).argmin(axis=0)  # (s,)
    enemy = np.array([where for _, where in found])[best, np.arange(some.size)]  # (s,)
    return np.sqrt(between(vectors, rows[some], rows[enemy])).astype(np.float32)


def fitting_radius(
    vectors: Vectors,
    rows: NDArray[np.int64],
    near: Neighbours,
    radius: float,
    most: int,
) -> float:
    """Return `radius`, or a smaller one if its balls hold about more than `most` points in all."""
    # Balls with no more points than neighbours are counted, the others judged by 64 of them.
    p, k = near.positions.shape
    if p * p <= most or not k:
        return radius
    if np.count_nonzero(near.distances <= radius) + p > most:  # the neighbours alone are too many
        last = np.partition(near.distances, max(most - p, 0), axis=None)[max(most - p, 0)]
        radius = float(np.nextafter(last, np.float32(0)))
    inside = np.count_nonzero(near.distances <= radius, axis=1)  # (p,)
    large = np.flatnonzero(inside == k)
    small = int(inside.sum()) - large.size * k + p - large.size  # what the other balls hold
    if large.size * p + small <= most:
        return radius
    some = large[np.arange(SAMPLED) * large.size // SAMPLED]  # (s,)
    allowed = max(most - small, large.size) * SAMPLED // large.size
    frame, _ = safe_frame(vectors, rows)
    own = frame.rows(rows[some])
    limit = (radius * frame.scale) ** 2

    def work(part: slice) -> NDArray[np.float32]:
        block = frame.rows(rows[part])
        squared = -2 * block.vectors @ own.vectors.T  # (b, s)
        squared += block.norms.astype(np.float32)[:, None]
        squared += own.norms.astype(np.float32)
        return squared[squared <= limit]

    held = np.concatenate(map_blocks(work, p, BLOCK))
    if held.size <= allowed:
        return radius
    squared = np.partition(held, allowed - 1)[allowed - 1]
    return min(radius, math.sqrt(max(0.0, float(squared)) * frame.unit))
