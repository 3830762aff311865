"""Which item is farthest from a growing set: exact, without measuring most distances."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .blocks import row_blocks, take_rows
from .bounds import Bounds, Float64s
from .centres import Centres
from .frame import Frame, Moved, squared_distances

__all__ = ["Farthest", "FarthestFirst"]

Positions = NDArray[np.int64]

SEED_CENTRES = 32
"""How many centres every item is measured against at the start."""

PAIRS = 512
"""How many pairs are worked out by the reference at once."""

STAGE = 1024
"""How far a block may lag behind before it is caught up a share at a time."""


@dataclass(frozen=True)
class Farthest:
    """The item that `FarthestFirst.farthest` found.

    Attributes
    ----------
    position
        Its place among the items.
    key
        What was maximised: the squared distance, or weight times distance.
    squared_distance
        Its squared distance to the nearest centre.
    """

    position: int
    key: float
    squared_distance: float


@dataclass
class _Block:
    """Items whose vectors are at hand and that have seen every centre."""

    at: Positions  # (m,)
    vectors: NDArray[np.float32]  # (m, d) in the frame
    bounds: Bounds  # of m items
    ceiling: float  # no item outside has a larger key
    untouched: bool  # no centre was added since it was formed
    was_fresh: bool  # its items had seen every centre before it was formed


class FarthestFirst:
    """Finds the item farthest from a set of centres, then the next as the set grows.

    The answers are those of the plain algorithm in float64, `squared_distances` to every centre
    with ties going to the lowest position, whatever the block size and the number of threads.

    Every item carries an upper bound on its squared distance and how many centres it has seen;
    bounds only fall, so an old one still holds. The items with the largest bounds form a block
    that is caught up by one float32 matrix product. As long as the best item of the block beats
    every bound outside it, it is the answer, and adding a centre costs one product with the
    block. Items that never come near the frontier are not touched. Float32 estimates carry a
    proven error; wherever it leaves room for doubt the reference decides.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map.
    items
        (u,) int64 rows, ascending and distinct, with u ≥ 1.
    centres
        (m,) int64 rows to start from, with m ≥ 1; none of them an item.
    weights
        (u,) float64, not negative: maximise weight times distance. Default: maximise distance.
    block_size
        How many items a block holds. Default: u/128, but 512 at least and 4096 at most.

    Notes
    -----
    Time: O(u·d) to start, then a fraction of the O(u·d) per centre of the plain algorithm; at
    worst, with more items at the same distance than fit in a block, about the same.
    Extra memory: at most 72 bytes per item, 16 per centre, 12·d bytes for each item of a block,
    and up to 64 MB of centres; the matrix is read a block at a time.

    Examples
    --------
    >>> matrix = np.array([[0], [1], [5], [3]], dtype=np.float32)
    >>> search = FarthestFirst(matrix, np.array([1, 2, 3]), np.array([0]))
    >>> search.farthest()
    Farthest(position=1, key=25.0, squared_distance=25.0)
    >>> search.add(1)
    >>> search.farthest()
    Farthest(position=2, key=4.0, squared_distance=4.0)
    """

    def __init__(
        self,
        matrix: NDArray[np.float32],
        items: NDArray[np.int64],
        centres: NDArray[np.int64],
        *,
        weights: Float64s | None = None,
        block_size: int | None = None,
    ) -> None:
        self._matrix, self._items, self._weights = matrix, items, weights
        self._block_size = block_size or int(np.clip(items.size // 128, 512, 4096))
        self._block: _Block | None = None
        # Any order will do; a mixed one makes the first few stand for all.
        mixed = np.random.default_rng(0).permutation(centres)  # (m,)
        self._frame = Frame.around(matrix, items)
        while (bounds := self._start(Centres(self._frame, mixed))) is None:
            self._frame = self._frame.coarser()
        self._bounds = bounds

    def farthest(self) -> Farthest:
        """Return the item with the largest key, the lowest position where several have it.

        Items that were added are no longer considered; at least one must be left.
        """
        while True:
            block = self._block
            if block is not None:
                best = self._best(block.at, block.bounds)
                if best.key > block.ceiling:
                    return best
                if block.untouched and block.was_fresh:  # as good as elsewhere: look everywhere
                    return self._best_anywhere(best, block)
            self._block = self._next_block()

    def add(self, position: int) -> None:
        """Make the item at `position` a centre."""
        self._centres.append(int(self._items[position]))
        self._bounds.settle(position, -np.inf)
        if self._block is not None:
            self._update(self._block, position)

    def reweigh(self, weights: Float64s | None) -> None:
        """Go on with other weights, or with none."""
        self._store_block()
        self._weights = weights

    def _start(self, centres: Centres) -> Bounds | None:
        """Measure every item against the first centres; None if the frame is too fine."""
        self._centres = centres
        bounds = Bounds.unknown(self._items.size)
        seeds = min(len(centres), SEED_CENTRES)
        _, seed = next(centres.spans(0, seeds))
        if seed.norms.max() >= self._frame.overflow:
            return None
        for part in row_blocks(self._items.size, self._block_size):
            block = self._frame.rows(self._items[part])  # (b, d)
            if block.norms.max() >= self._frame.overflow:
                return None
            some = replace(bounds.take(part), norms=block.norms)
            self._measure(np.arange(part.start, part.stop), block.vectors, some, seed, 0)
            some.seen[:] = seeds
            bounds.put(part, some)
        return bounds

    def _keys(self, squared: Float64s, at: Positions | slice) -> Float64s:
        """Return what is maximised for some squared distances; it never falls as they rise."""
        if self._weights is None:
            return squared
        keys = self._weights[at] * np.sqrt(np.maximum(squared, 0))
        return np.where(squared == -np.inf, -np.inf, keys)

    def _store_block(self) -> None:
        if self._block is not None:
            self._bounds.put(self._block.at, self._block.bounds)
            self._block = None

    def _next_block(self) -> _Block:
        """Take the items with the largest bounds and show them every centre."""
        self._store_block()
        while True:
            at, ceiling = self._largest()
            bounds = self._bounds.take(at)
            vectors = self._frame.rows(self._items[at]).vectors  # (m, d)
            first, middle = int(bounds.seen[0]), int(bounds.seen[at.size // 2])
            was_fresh = first == len(self._centres)
            if len(self._centres) - first <= STAGE or middle == len(self._centres):
                break
            self._catch_up(at, vectors, bounds, max(2 * first, middle + STAGE // 4))
            self._bounds.put(at, bounds)
        self._catch_up(at, vectors, bounds, len(self._centres))
        return _Block(at, vectors, bounds, ceiling, untouched=True, was_fresh=was_fresh)

    def _largest(self) -> tuple[Positions, float]:
        """Return the items with the largest keys, the most behind first, and the next key."""
        keys = self._keys(self._bounds.upper, slice(None))  # (u,)
        rest = max(0, keys.size - self._block_size)
        order = np.argpartition(keys, rest)
        at = order[rest:]
        at = at[keys[at] > -np.inf]
        at = at[np.argsort(self._bounds.seen[at], kind="stable")]
        return at, float(keys[order[:rest]].max(initial=-np.inf))

    def _catch_up(
        self, at: Positions, vectors: NDArray[np.float32], bounds: Bounds, until: int
    ) -> None:
        """Show items, the most behind first, the centres before `until` that they have not seen."""
        until = min(until, len(self._centres))
        for start, centres in self._centres.spans(int(bounds.seen[0]), until):
            stop = start + centres.norms.size
            behind = slice(0, int(np.searchsorted(bounds.seen, stop)))
            some = bounds.take(behind)
            self._measure(at[behind], vectors[behind], some, centres, start)
            bounds.put(behind, some)
        np.maximum(bounds.seen, until, out=bounds.seen)

    def _measure(
        self,
        at: Positions,
        vectors: NDArray[np.float32],
        bounds: Bounds,
        centres: Moved,
        start: int,
    ) -> None:
        """Show m items p centres, the first of which has number `start`."""
        error, slack, unit = self._frame.error, self._frame.slack, self._frame.unit
        above = vectors @ centres.vectors.T  # (m, p)
        above *= -2
        above += ((1 + error) * centres.norms + slack).astype(np.float32)
        late = int(np.searchsorted(bounds.seen, start, side="right"))  # these have seen a few
        numbers = np.arange(start, start + centres.norms.size)
        above[late:][numbers < bounds.seen[late:, None]] = np.inf
        every, best = np.arange(len(above)), above.argmin(axis=1)  # (m,), (m,)
        nearest = above[every, best].astype(np.float64)
        above[every, best] = np.inf
        below = above
        below -= (2 * error * centres.norms + 2 * slack).astype(np.float32)  # (m, p)
        upper = (nearest + (1 + error) * bounds.norms) * unit  # (m,)
        lower = upper - 2 * (error * (bounds.norms + centres.norms[best]) + slack) * unit
        others = (below.min(axis=1) + (1 - error) * bounds.norms) * unit

        limit = np.minimum(bounds.upper, upper)  # whatever may be below it may be the nearest
        several = ((bounds.lower <= limit) & (lower <= limit)) | (others <= limit)
        which = np.flatnonzero(several & (limit > 0))
        rivals = (below[which] + (1 - error) * bounds.norms[which, None]) * unit  # (w, p)
        rivals[np.arange(which.size), best[which]] = -np.inf
        item, centre = np.nonzero(rivals <= limit[which, None])
        values = self._contest(at, bounds, which, item, start + centre)
        bounds.lower_to(upper, lower, start + best)
        bounds.settle(which, values)

    def _update(self, block: _Block, position: int) -> None:
        """Show a block the newest centre."""
        bounds, block.untouched = block.bounds, False
        bounds.settle(np.flatnonzero(block.at == position), -np.inf)
        number = len(self._centres) - 1
        bounds.seen[:] = number + 1
        _, centre = next(self._centres.spans(number, number + 1))
        error, slack, unit = self._frame.error, self._frame.slack, self._frame.unit
        norms = bounds.norms + centre.norms  # (m,)
        middle = (norms - 2.0 * (block.vectors @ centre.vectors[0])) * unit  # (m,)
        doubt = (error * norms + slack) * unit
        upper, lower = middle + doubt, middle - doubt
        limit = np.minimum(bounds.upper, upper)
        several = (bounds.lower <= limit) & (lower <= limit) & (limit > 0)
        which = np.flatnonzero(several)
        newest = np.full(which.size, number)
        values = self._contest(block.at, bounds, which, np.arange(which.size), newest)
        bounds.lower_to(upper, lower, number)
        bounds.settle(which, values)

    def _contest(
        self,
        at: Positions,
        bounds: Bounds,
        which: NDArray[np.intp],
        item: NDArray[np.intp],
        centre: NDArray[np.intp],
    ) -> Float64s:
        """Return true distances of the items `which`, where several centres may be the nearest.

        Those are the one that was nearest before, and `centre` for each ``which[item]``.
        """
        if not which.size:
            return np.empty(0)
        places = at[which]  # (w,)
        found = np.where(bounds.known[which], bounds.upper[which], np.inf)  # (w,)
        np.minimum.at(found, item, self._reference(places[item], centre))
        old = np.flatnonzero(np.isfinite(bounds.upper[which]) & ~bounds.known[which])
        before = self._reference(places[old], bounds.near[which[old]])
        found[old] = np.minimum(found[old], before)
        return found

    def _reference(self, at: Positions, centres: NDArray[np.integer]) -> Float64s:
        """Return the true squared distances between items and centres, pair by pair."""
        found = np.empty(at.size)
        for part in row_blocks(at.size, PAIRS):
            left = take_rows(self._matrix, self._items[at[part]])  # (b, d)
            right = take_rows(self._matrix, self._centres.rows[centres[part]])  # (b, d)
            found[part] = squared_distances(left, right)
        return found

    def _best(self, at: Positions, bounds: Bounds) -> Farthest:
        """Return the best of some items that have seen every centre."""
        keys = self._keys(bounds.upper, at)  # (m,)
        rivals = np.flatnonzero(keys >= self._keys(bounds.lower, at).max())
        unsure = rivals[~bounds.known[rivals]]
        bounds.settle(unsure, self._reference(at[unsure], bounds.near[unsure]))
        keys = self._keys(bounds.upper[rivals], at[rivals])
        ties = rivals[keys == keys.max()]
        first = ties[at[ties].argmin()]
        return Farthest(int(at[first]), float(keys.max()), float(bounds.upper[first]))

    def _best_anywhere(self, best: Farthest, block: _Block) -> Farthest:
        """Return the best of all items, given the best of the block."""
        keys = self._keys(self._bounds.upper, slice(None)).copy()  # (u,)
        keys[block.at] = -np.inf
        rivals = np.flatnonzero(keys >= best.key)
        for part in row_blocks(rivals.size, self._block_size):
            at = rivals[part][np.argsort(self._bounds.seen[rivals[part]], kind="stable")]
            vectors, bounds = self._frame.rows(self._items[at]).vectors, self._bounds.take(at)
            self._catch_up(at, vectors, bounds, len(self._centres))
            rival = self._best(at, bounds)
            self._bounds.put(at, bounds)
            best = max(best, rival, key=lambda found: (found.key, -found.position))
        return best
