"""Exact search for the item farthest from a growing set of centres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks
from .centres import Bounds, Centres, Float64s
from .distances import CACHED_BYTES, Frame, FrameRows, between
from .vectors import Vectors, block_rows, row_blocks

__all__ = ["Farthest", "FarthestFirst"]

Positions = NDArray[np.int64]

SEED_CENTRES = 32
"""Centres that every item is compared with at the start."""

READY = 0.1
"""Minimum items of a block, as a share of the block size."""

FEWEST = 64
"""Minimum centres that an update compares before it drops items with small keys."""

KEEP = 0.9
"""An update drops its finished items when less than this share of its items is unfinished."""

START = 4096
"""Items per task of a thread at the start."""

FRONT = 16
"""Size, in blocks, of the front: the items with the largest keys."""


@dataclass(frozen=True)
class Farthest:
    """The result of `FarthestFirst.farthest`.

    Attributes
    ----------
    position
        The position of the farthest item among the items.
    key
        The maximised value: the squared distance, or weight times distance.
    squared_distance
        The squared distance to the nearest centre.
    """

    position: int
    key: float
    squared_distance: float


@dataclass
class _Block:
    """Items with vectors in memory that were compared with every centre."""

    at: Positions  # (m,)
    vectors: NDArray[np.float32]  # (m, d), shifted and scaled by the `Frame`
    bounds: Bounds  # of m items; `seen` is not updated
    ceiling: float  # no item outside the block has a larger key
    untouched: bool = True  # no centre was added since the block was made


class FarthestFirst:
    """Finds the item farthest from a set of centres, then the next as the set grows.

    Results equal those of the plain algorithm in float64, where ties go to the lowest position, for
    any block size and number of threads.

    The search stores for every item an upper bound of its squared distance, and the number of
    centres it was compared with. Bounds only decrease, so an old bound remains valid. Items with
    the largest bounds are compared with more centres by float32 matrix products, until they are up
    to date or no longer among the largest. Up-to-date items whose distance exceeds the bounds of
    all outdated items form a block. While the best item of the block exceeds every bound outside
    the block, it is the result. A new centre is then compared only with the items of the block, by
    one matrix product. Float32 estimates have a proven error bound; if they do not decide a
    comparison, `between` does.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map, or `UnitRows` of one.
    items
        (u,) int64 rows, ascending and distinct, at least one.
    centres
        (m,) int64 rows, at least one, none of them an item.
    weights
        (u,) float64, not negative. The key is then weight times distance, not squared distance.
    min_distance
        Items nearer than this to a centre have key 0.
    block_size
        Items per block. Default: u/64, but at least 1,024 and at most 4,096.

    Attributes
    ----------
    compared
        Number of distances estimated so far; the plain algorithm estimates u for each centre.

    Notes
    -----
    Time: O(u·d) to start, then a fraction of O(u·d) for each centre. The worst case is many items
    at equal distances: about O(u·d) for each centre. Extra memory: at most 80 bytes per item, 16
    bytes per centre, 12·d bytes and 1 to 20 kB per item of a block, 8192·d bytes, and 64 MB.

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
        matrix: Vectors,
        items: NDArray[np.int64],
        centres: NDArray[np.int64],
        *,
        weights: Float64s | None = None,
        min_distance: float = 0.0,
        block_size: int | None = None,
    ) -> None:
        self._matrix, self._items = matrix, items
        self._weights, self._min_distance = weights, min_distance
        self._block_size = block_size or int(np.clip(items.size // 64, 1024, 4096))
        self.compared = 0
        self._block: _Block | None = None
        self._front: tuple[Positions, float] | None = None
        # In a random order, the first centres are representative.
        mixed = np.random.default_rng(0).permutation(centres)  # (m,)
        self._frame = Frame.around(matrix, items)
        while (bounds := self._start(Centres(self._frame, mixed))) is None:
            self._frame = self._frame.coarser()
        self._bounds = bounds

    def farthest(self) -> Farthest:
        """Return the item with the largest key; ties go to the lowest position.

        At least one item must not be a centre yet.
        """
        while True:
            block = self._block = self._block or self._next_block()
            best = self._best(block.at, block.bounds)
            if best.key > block.ceiling:
                return best
            self._store_block()
            if block.untouched:  # ties outside the block: search everywhere
                return self._best_anywhere(best.key)

    def add(self, position: int) -> None:
        """Make the item at `position` a centre."""
        self._bounds.settle(position, -np.inf)
        inside = np.empty(0, dtype=np.int64)
        if self._block is not None:
            inside = np.flatnonzero(self._block.at == position)
            self._block.bounds.settle(inside, -np.inf)
        self._add(int(self._items[position]), inside)

    def add_row(self, row: int) -> None:
        """Make a row of the matrix that is not an item a centre."""
        self._add(row, np.empty(0, dtype=np.int64))

    def _add(self, row: int, inside: NDArray[np.int64]) -> None:
        """Add a centre; `inside` is its place in the block, if it is there."""
        self._centres.append(row)
        if self._block is None:
            return
        centre = FrameRows(self._block.vectors[inside], self._block.bounds.norms[inside])
        self._update(self._block, centre if inside.size else self._frame.rows(np.array([row])))

    def reweigh(self, weights: Float64s | None) -> None:
        """Replace the weights, or remove them."""
        self._store_block()
        self._weights, self._front = weights, None

    def _start(self, centres: Centres) -> Bounds | None:
        """Return bounds from the first centres; None if norms overflow in the frame."""
        self._centres = centres
        bounds = Bounds.unknown(self._items.size)
        seeds = min(len(centres), SEED_CENTRES)
        _, seed = next(centres.spans(0, seeds))
        if seed.norms.max() >= self._frame.overflow:
            return None

        def work(part: slice) -> bool:
            some = bounds.take(part)
            products = np.empty((some.seen.size, seeds), dtype=np.float32)
            for within in row_blocks(some.seen.size, size):
                block = self._frame.rows(self._items[part][within])
                products[within] = block.vectors @ seed.vectors.T
                some.norms[within] = block.norms
            if some.norms.max() >= self._frame.overflow:
                return False
            self._measure(np.arange(part.start, part.stop), products, some, seed, 0)
            some.seen[:] = seeds
            bounds.put(part, some)
            return True

        size = block_rows(self._matrix.shape[1], CACHED_BYTES)
        return bounds if all(map_blocks(work, self._items.size, START)) else None

    def _keys(self, squared: Float64s, at: Positions | slice) -> Float64s:
        """Return the keys of squared distances; a larger distance never has a smaller key."""
        if self._weights is None and not self._min_distance:
            return squared
        distances = np.sqrt(np.maximum(squared, 0))
        keys = squared if self._weights is None else self._weights[at] * distances
        if self._min_distance:
            keys = np.where(distances < self._min_distance, 0.0, keys)
        return np.where(squared == -np.inf, -np.inf, keys)

    def _store_block(self) -> None:
        if self._block is not None:
            self._block.bounds.seen[:] = len(self._centres)
            self._bounds.put(self._block.at, self._block.bounds)
            self._block = None

    def _next_block(self) -> _Block:
        """Update the items with the largest keys until enough of them are up to date."""
        while True:
            at, ceiling = self._largest()
            keys = self._keys(self._bounds.upper[at], at)  # (m,)
            behind = self._bounds.seen[at] < len(self._centres)
            highest = float(keys[behind].max(initial=-np.inf))
            leading = at[~behind & (keys > highest)]
            if not behind.any():
                return _Block(at, self._vectors(at), self._bounds.take(at), ceiling)
            if leading.size >= READY * self._block_size:
                taken = self._bounds.take(leading)
                return _Block(leading, self._vectors(leading), taken, highest)
            self._catch_up(at[behind], ceiling)

    def _largest(self) -> tuple[Positions, float]:
        """Return a block of the items with the largest keys, and the largest key of the others."""
        if self._front is not None:
            front, beyond = self._front
            at, ceiling = self._top(front, self._block_size)
            if ceiling >= beyond:  # keys only decrease: none beyond the front is larger
                return at, ceiling
        self._front = self._top(slice(None), FRONT * self._block_size)
        front, beyond = self._front
        at, ceiling = self._top(front, self._block_size)
        return at, max(ceiling, beyond)

    def _top(self, among: Positions | slice, size: int) -> tuple[Positions, float]:
        """Return the `size` items of `among` with the largest keys, and the next largest key."""
        keys = self._keys(self._bounds.upper[among], among)  # (u,)
        rest = max(0, keys.size - size)
        order = np.argpartition(keys, rest)
        at = order[rest:]
        at = at[keys[at] > -np.inf]
        ceiling = float(keys[order[:rest]].max(initial=-np.inf))
        return at if isinstance(among, slice) else among[at], ceiling

    def _vectors(self, at: Positions) -> NDArray[np.float32]:
        return self._frame.rows(self._items[at]).vectors  # (m, d)

    def _catch_up(self, at: Positions, enough: float) -> None:
        """Compare items with their unseen centres until their keys are at most `enough`."""
        at = at[np.argsort(self._bounds.seen[at], kind="stable")]  # the most outdated first
        bounds, vectors = self._bounds.take(at), self._vectors(at)
        while at.size and bounds.seen[0] < len(self._centres):
            first = int(bounds.seen[0])
            until = min(max(2 * first, FEWEST), len(self._centres))
            start, centres = next(self._centres.spans(first, until))
            stop = start + centres.norms.size
            behind = slice(0, int(np.searchsorted(bounds.seen, stop)))
            some = bounds.take(behind)
            products = vectors[behind] @ centres.vectors.T  # (m, p)
            self._measure(at[behind], products, some, centres, start)
            some.seen[:] = stop
            bounds.put(behind, some)
            left = np.flatnonzero(self._keys(bounds.upper, at) > enough)
            if left.size < KEEP * at.size:
                self._bounds.put(at, bounds)
                at, vectors, bounds = at[left], vectors[left], bounds.take(left)
        self._bounds.put(at, bounds)

    def _measure(
        self,
        at: Positions,
        below: NDArray[np.float32],
        bounds: Bounds,
        centres: FrameRows,
        start: int,
    ) -> None:
        """Compare m items with p centres, numbered from `start`, by the (m, p) products `below`."""
        error, slack, unit = self._frame.error, self._frame.slack, self._frame.unit
        self.compared += below.size
        below *= -2
        below += ((1 - error) * centres.norms - slack).astype(np.float32)
        # The items from `late` on were already compared with some of these centres.
        late = int(np.searchsorted(bounds.seen, start, side="right"))
        numbers = np.arange(start, start + centres.norms.size)
        below[late:][numbers < bounds.seen[late:, None]] = np.inf
        every, best = np.arange(len(below)), below.argmin(axis=1)  # (m,), (m,)
        lower = (below[every, best] + (1 - error) * bounds.norms) * unit  # (m,)
        upper = lower + 2 * (error * (bounds.norms + centres.norms[best]) + slack) * unit
        below[every, best] = np.inf
        others = (below.min(axis=1) + (1 - error) * bounds.norms) * unit

        limit = np.minimum(bounds.upper, upper)  # the nearest centre is within this limit
        several = ((bounds.lower <= limit) & (lower <= limit)) | (others <= limit)
        which = np.flatnonzero(several & (limit > 0))
        rivals = (below[which] + (1 - error) * bounds.norms[which, None]) * unit  # (w, p)
        rivals[np.arange(which.size), best[which]] = -np.inf
        item, centre = np.nonzero(rivals <= limit[which, None])
        values = self._true_distances(at, bounds, which, item, start + centre)
        bounds.lower_to(upper, lower, start + best)
        bounds.settle(which, values)

    def _update(self, block: _Block, centre: FrameRows) -> None:
        """Compare a block with the newest centre."""
        bounds, block.untouched = block.bounds, False
        if np.isinf(centre.norms[0]):  # it overflows in the frame: never the nearest
            return
        self.compared += bounds.norms.size
        error, slack, unit = self._frame.error, self._frame.slack, self._frame.unit
        doubt = error * (bounds.norms + centre.norms) + slack  # (m,)
        lower = bounds.norms + centre.norms - 2.0 * (block.vectors @ centre.vectors[0]) - doubt
        near = np.flatnonzero(lower * unit <= bounds.upper)
        if not near.size:
            return
        number = len(self._centres) - 1
        at, some, lower = block.at[near], bounds.take(near), lower[near] * unit
        upper = lower + 2 * doubt[near] * unit
        limit = np.minimum(some.upper, upper)
        which = np.flatnonzero((some.lower <= limit) & (limit > 0))
        newest = np.full(which.size, number)
        values = self._true_distances(at, some, which, np.arange(which.size), newest)
        some.lower_to(upper, lower, number)
        some.settle(which, values)
        bounds.put(near, some)

    def _true_distances(
        self,
        at: Positions,
        bounds: Bounds,
        which: NDArray[np.intp],
        item: NDArray[np.intp],
        centre: NDArray[np.intp],
    ) -> Float64s:
        """Return true squared distances of the items `which`, whose nearest centre is uncertain."""
        # Candidates for the nearest centre of an item are its previous nearest centre and the new
        # centres: ``centre[i]`` is a candidate for the item ``which[item[i]]``.
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
        return between(self._matrix, self._items[at], self._centres.rows[centres])

    def _best(self, at: Positions, bounds: Bounds) -> Farthest:
        """Return the item with the largest key among up-to-date items."""
        keys = self._keys(bounds.upper, at)  # (m,)
        rivals = np.flatnonzero(keys >= self._keys(bounds.lower, at).max())
        unsure = rivals[bounds.lower[rivals] < bounds.upper[rivals]]
        bounds.settle(unsure, self._reference(at[unsure], bounds.near[unsure]))
        keys = self._keys(bounds.upper[rivals], at[rivals])
        ties = rivals[keys == keys.max()]
        first = ties[at[ties].argmin()]
        return Farthest(int(at[first]), float(keys.max()), float(bounds.upper[first]))

    def _best_anywhere(self, key: float) -> Farthest:
        """Return the item with the largest key, which is at least `key`."""
        rivals = np.flatnonzero(self._keys(self._bounds.upper, slice(None)) >= key)
        found: list[Farthest] = []
        for part in row_blocks(rivals.size, self._block_size):
            at = rivals[part]
            self._catch_up(at[self._bounds.seen[at] < len(self._centres)], -np.inf)
            bounds = self._bounds.take(at)
            found.append(self._best(at, bounds))
            self._bounds.put(at, bounds)
        return max(found, key=lambda best: (best.key, -best.position))
