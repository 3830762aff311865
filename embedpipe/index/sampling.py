"""Random draws with probability proportional to the squared distance from earlier draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks, one_blas_thread
from .centres import Centres
from .distances import Frame, FrameRows, between, rounding_of
from .vectors import Vectors, row_blocks, take_wide

__all__ = ["DistanceSampler", "Drawn", "Factors"]

Positions: TypeAlias = NDArray[np.int64]
Float64s: TypeAlias = NDArray[np.float64]
Factors: TypeAlias = Callable[[Positions], NDArray[Any]]

BLOCK = 256
"""Items per block."""

PAIRS = 256
"""Pairs per block of the float64 reference."""

FEWEST, USUAL, MOST = 8, 64, 256
"""Proposals per batch: initial number, maximum, and maximum after a batch without acceptance."""

GAPS = 1 << 20
"""Maximum number of distances between proposals and centres per batch; they take 32 MB."""

PASS = 100
"""Cost of reading and shifting a vector, relative to one product of vectors in memory."""

PROPOSAL = 800
"""Cost of a proposal besides its products, in the same unit."""

MEASURED = 2
"""Cost of one product in a small batch, in the same unit."""

ROUNDING = 1e-6
"""Relative margin for float64 rounding; `Frame.error` covers float32."""

CANCELLED = 1e-13
"""Margin for the cancellation of terms of size 1 in float64."""

ROUNDED = 8
"""Margin for products of rounded rows of unit length, in unit roundoffs."""


@dataclass(frozen=True)
class Drawn:
    """An item drawn by `DistanceSampler.draw`.

    Attributes
    ----------
    position
        Position of the drawn item among the items.
    squared_distance
        The squared distance to the nearest earlier item; infinite for the first item.
    """

    position: int
    squared_distance: float


@dataclass(frozen=True)
class _Items:
    """Items prepared for comparison with other items."""

    vectors: NDArray[np.float32]  # (m, d) in the frame
    factors: Float64s | None  # (m, C)
    tilts: Float64s  # (m,) x·y is the product in the frame plus the tilts of x and y
    norms: Float64s  # (m,) squared lengths
    doubts: Float64s  # (m,) the error for x and y is at most the sum of their doubts


@dataclass
class _Batch:
    """Proposals that are not yet accepted or rejected, in order."""

    at: Positions  # (b,)
    gaps: Float64s  # (b, b) estimated squared distances between proposals
    doubts: Float64s  # (b,)
    true: Float64s  # (b,) squared distances to the nearest centre
    needed: Float64s  # (b,) accepted if the true value is larger
    next: int = 0  # place of the next proposal


class DistanceSampler:
    """Draws items one by one with probability proportional to their squared distance.

    The distance is measured to the nearest centre. The centres are the items drawn or added before,
    as in k-means++ seeding. The probabilities equal those of the plain algorithm in float64. Each
    item has an upper bound on its squared distance, which remains valid as centres are added. An
    item is proposed with probability proportional to its bound. The true squared distance of the
    proposed item is then computed in float64. The item is accepted with probability true value /
    bound (rejection sampling). Otherwise the bound becomes the true value. When rejections have
    cost as much as measuring all items, matrix products update all bounds.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map, or `UnitRows` of one.
    rows
        (u,) int64 rows of the items, at least one.
    rng
        Random generator. The draws do not depend on the number of threads.
    factors
        For items that are outer products a ⊗ x, with x the row of the item: a function from (k,)
        int64 positions to the (k, C) finite factors a. Several threads may call it.

    Notes
    -----
    Time: O(u·(C + d)) to start. A draw takes some products with every centre, O(√u) to find the
    item, and a share of an update. Extra memory: 40 bytes per item, 8 bytes per centre, and about
    96 MB.

    References
    ----------
    Arthur, Vassilvitskii (2007), "k-means++: the advantages of careful seeding". von Neumann
    (1951), "Various techniques used in connection with random digits", for rejection.

    Examples
    --------
    >>> matrix = np.array([[0], [0], [3], [0]], dtype=np.float32)
    >>> sampler = DistanceSampler(matrix, np.arange(4), np.random.default_rng(0))
    >>> sampler.add(0)
    >>> sampler.draw()
    Drawn(position=2, squared_distance=9.0)
    >>> sampler.draw() is None  # only copies are left
    True
    """

    def __init__(
        self,
        matrix: Vectors,
        rows: NDArray[np.int64],
        rng: np.random.Generator,
        *,
        factors: Factors | None = None,
    ) -> None:
        self._matrix, self._rows, self._rng, self._factors = matrix, rows, rng, factors
        u = rows.size
        self._tilts, self._norms, self._doubts = np.zeros(u), np.empty(u), np.empty(u)
        self._frame = Frame.around(matrix, rows)
        while not self._measure_items():
            self._frame = self._frame.coarser()
        self._lengths = np.sqrt(self._norms * (1 + ROUNDING) + self._doubts)  # (u,), upper bounds
        self._shortest = np.inf  # minimum of the centres' lengths
        self._centres = Centres(self._frame, np.empty(0, np.int64))
        self._places: list[int] = []  # positions of the centres among the items
        width = max(1, round(u**0.5))
        self._bounds = np.zeros((-(-u // width), width))  # (s, w), in the order of the items
        self._bounds.ravel()[:u] = np.inf
        self._sums = self._bounds.sum(axis=1)  # (s,)
        self._seen = 0  # centres that every bound includes
        self._wasted = 0.0  # cost of the rejections since the last update
        self._size = FEWEST
        self._batch: _Batch | None = None

    def longest(self) -> int:
        """Return the item with the largest norm; ties go to the lowest position."""
        rivals = np.arange(self._rows.size)
        if self._factors is not None:  # otherwise `_norms` are those of shifted rows
            upper = self._norms * (1 + ROUNDING) + self._doubts
            lower = self._norms * (1 - ROUNDING) - self._doubts
            rivals = np.flatnonzero(upper >= lower.max())
        return int(rivals[self._squared_norms(rivals).argmax()])

    def norms(self, positions: Positions) -> Float64s:
        """Return the norms of the items at (k,) positions: (k,) float64."""
        return np.asarray(np.sqrt(self._squared_norms(positions)))

    def add(self, position: int) -> None:
        """Make the item at `position` a centre, even if it was not drawn."""
        if self._batch is not None:
            self._approach(self._batch, position)
        if self._places:
            self._centres.append(int(self._rows[position]))
        else:
            self._centres = Centres(self._frame, self._rows[[position]])
        self._places.append(position)
        flat = self._bounds.ravel()
        if self._lengths[position] < self._shortest:  # |x − c| ≤ |x| + |c|
            self._shortest = float(self._lengths[position])
            reach = np.square(self._lengths + self._shortest) * (1 + ROUNDING)  # (u,)
            np.minimum(flat[: reach.size], reach, out=flat[: reach.size])
            flat[position] = 0
            self._sums = self._bounds.sum(axis=1)
        else:
            flat[position] = 0
            self._add_up(np.array([position]))

    def draw(self) -> Drawn | None:
        """Draw an item (the first one uniformly) and add it; None if only duplicates are left."""
        if not self._places:
            first = int(self._rng.integers(self._rows.size))
            self.add(first)
            return Drawn(first, np.inf)
        while (batch := self._batch) is not None or self._propose():
            if batch is None:
                continue
            accepted = np.flatnonzero(batch.true[batch.next :] > batch.needed[batch.next :])
            rejected = int(accepted[0]) if accepted.size else batch.at.size - batch.next
            self._wasted += rejected * (PROPOSAL + MEASURED * len(self._places))
            if accepted.size:
                found = batch.next + rejected
                drawn = Drawn(int(batch.at[found]), float(batch.true[found]))
                batch.next = found + 1
                self.add(drawn.position)
                return drawn
            self._tighten(batch)
        return None

    def _measure_items(self) -> bool:
        """Prepare the estimates for every item; False if norms overflow in the frame."""
        frame, shift = self._frame, self._frame.shift.astype(np.float64)
        middle = float(shift @ shift) if self._factors is not None else 0.0
        squares, sizes = np.empty(self._norms.size), np.ones(self._norms.size)

        def work(part: slice) -> None:
            shifted = frame.rows(self._rows[part])  # (b, d)
            squares[part] = shifted.norms
            if self._factors is not None:
                self._tilts[part] = shifted.vectors.astype(np.float64) @ shift + middle / 2
                factors = np.asarray(self._factors(_range(part)), dtype=np.float64)  # (b, C)
                sizes[part] = np.square(factors).sum(axis=1)

        map_blocks(work, squares.size, BLOCK)
        if squares.max() >= frame.overflow:
            return False
        unit = sizes * frame.unit  # (u,)
        lost = CANCELLED * (float(squares.max()) + middle) + frame.slack
        if self._factors is not None:  # estimates also use x·y and |x|²
            lost += ROUNDED * rounding_of(self._matrix).constant * frame.scale**2
        self._norms[:] = (squares + 2 * self._tilts) * unit
        self._doubts[:] = (frame.error * squares + lost) * unit
        return True

    def _items(self, at: Positions, shifted: FrameRows) -> _Items:
        factors = None
        if self._factors is not None:
            factors = np.asarray(self._factors(at), dtype=np.float64)  # (m, C)
        of_items = (self._tilts[at], self._norms[at], self._doubts[at])
        return _Items(shifted.vectors, factors, *of_items)

    def _gaps(self, items: _Items, others: _Items) -> Float64s:
        """Return estimated squared distances: (m, p)."""
        gaps = (items.vectors @ others.vectors.T).astype(np.float64)  # (m, p)
        if items.factors is not None and others.factors is not None:
            gaps += items.tilts[:, None]
            gaps += others.tilts
            gaps *= items.factors @ (-2 * self._frame.unit * others.factors.T)  # (m, p)
        else:
            gaps *= -2 * self._frame.unit
        gaps += items.norms[:, None]
        gaps += others.norms
        return gaps

    def _propose(self) -> bool:
        """Draw a batch of items by their bounds and measure them; False if all bounds are 0."""
        unseen = len(self._places) - self._seen
        if unseen and self._wasted >= self._rows.size * (PASS + unseen):
            self._refresh()
        edges = np.concatenate([[0.0], self._sums.cumsum()])  # (s + 1,)
        if not edges[-1] > 0:
            return False
        size = max(FEWEST, min(self._size, GAPS // len(self._places)))
        chances = self._rng.random((size, 2))  # (b, 2)
        aims = chances[:, 0] * edges[-1]  # (b,)
        block = np.minimum(edges[1:].searchsorted(aims, side="right"), self._sums.size - 1)
        within = self._bounds[block].cumsum(axis=1)  # (b, w)
        place = (within <= (aims - edges[block])[:, None]).sum(axis=1)  # (b,)
        width = self._bounds.shape[1]
        at = np.minimum(block * width + np.minimum(place, width - 1), self._rows.size - 1)
        needed = chances[:, 1] * self._bounds.ravel()[at]  # (b,)
        with one_blas_thread():
            self._batch = self._measured(at, needed)
        return True

    def _measured(self, at: Positions, needed: Float64s) -> _Batch:
        """Return a batch with the true squared distances of its items."""
        items = self._items(at, self._frame.rows(self._rows[at]))
        places = np.array(self._places)  # (k,)
        gaps = np.empty((at.size, places.size))
        for start, shifted in self._centres.spans(0, places.size):
            part = slice(start, start + shifted.norms.size)
            gaps[:, part] = self._gaps(items, self._items(places[part], shifted))
        doubts = items.doubts[:, None] + self._doubts[places]  # (b, k)
        lower = gaps * (1 - ROUNDING) - doubts
        upper = (gaps * (1 + ROUNDING) + doubts).min(axis=1)  # (b,)
        item, centre = np.nonzero(lower <= upper[:, None])
        true = np.full(at.size, np.inf)
        np.minimum.at(true, item, self._reference(at[item], places[centre]))
        return _Batch(at, self._gaps(items, items), items.doubts, true, needed)

    def _approach(self, batch: _Batch, position: int) -> None:
        """Update the distances of the remaining proposals of a batch with a new centre."""
        found = np.flatnonzero(batch.at == position)
        if not found.size:  # the batch has no distances to this centre
            self._batch = None
            return
        rest = slice(batch.next, None)
        gaps = batch.gaps[rest, found[0]] * (1 - ROUNDING)  # (r,)
        lower = gaps - batch.doubts[rest] - batch.doubts[found[0]]
        near = batch.next + np.flatnonzero(lower < batch.true[rest])
        away = self._reference(batch.at[near], np.full(near.size, position))
        batch.true[near] = np.minimum(batch.true[near], away)

    def _tighten(self, batch: _Batch) -> None:
        """Save the distances of a batch as bounds, and increase the size of the next batch."""
        flat = self._bounds.ravel()
        all_rejected = batch.next == 0
        flat[batch.at] = np.minimum(flat[batch.at], batch.true)
        self._add_up(batch.at)
        self._size = min(2 * self._size, MOST if all_rejected else USUAL)
        self._batch = None

    def _add_up(self, at: Positions) -> None:
        blocks = np.unique(at // self._bounds.shape[1])
        self._sums[blocks] = self._bounds[blocks].sum(axis=1)

    def _refresh(self) -> None:
        """Compare every item with the centres added since the last refresh."""
        flat = self._bounds.ravel()
        for start, shifted in self._centres.spans(self._seen, len(self._places)):
            places = np.array(self._places[start : start + shifted.norms.size])
            map_blocks(
                partial(self._lower, flat, self._items(places, shifted)), self._rows.size, BLOCK
            )
        self._sums = self._bounds.sum(axis=1)
        self._seen, self._wasted = len(self._places), 0.0

    def _lower(self, bounds: Float64s, centres: _Items, part: slice) -> None:
        """Update the bounds of consecutive items with some centres."""
        items = self._items(_range(part), self._frame.rows(self._rows[part]))
        gaps = self._gaps(items, centres)  # (b, p)
        gaps += centres.doubts / (1 + ROUNDING)
        upper = gaps.min(axis=1) * (1 + ROUNDING) + items.doubts  # (b,)
        np.minimum(bounds[part], np.maximum(upper, 0), out=bounds[part])

    def _squared_norms(self, at: Positions) -> Float64s:
        """Return the true squared lengths of items: (m,)."""
        found = np.empty(at.size)
        for part in row_blocks(at.size, PAIRS):
            vectors = take_wide(self._matrix, self._rows[at[part]])  # (b, d)
            found[part] = np.square(vectors).sum(axis=1)
            if self._factors is not None:
                factors = np.asarray(self._factors(at[part]), dtype=np.float64)  # (b, C)
                found[part] *= np.square(factors).sum(axis=1)
        return found

    def _reference(self, left: Positions, right: Positions) -> Float64s:
        """Return the true squared distances between items, pair by pair: (m,)."""
        if self._factors is None:
            return between(self._matrix, self._rows[left], self._rows[right])
        found = np.empty(left.size)
        for part in row_blocks(left.size, PAIRS):
            x = take_wide(self._matrix, self._rows[left[part]])  # (b, d)
            y = take_wide(self._matrix, self._rows[right[part]])  # (b, d)
            a, b = self._factors(left[part]), self._factors(right[part])  # (b, C)
            found[part] = _between_products(a, x, b, y)
        return found


def _range(part: slice) -> Positions:
    return np.arange(part.start, part.stop)


def _between_products(a: NDArray[Any], x: Float64s, b: NDArray[Any], y: Float64s) -> Float64s:
    """Return |a ⊗ x − b ⊗ y|² for matching rows, in float64: (m,)."""
    # a ⊗ x − b ⊗ y = ((a − b) ⊗ (x + y) + (a + b) ⊗ (x − y)) / 2: no cancellation for nearly equal
    # factors and vectors.
    a_minus_b, x_minus_y = (np.subtract(*pair, dtype=np.float64) for pair in ((a, b), (x, y)))
    a_plus_b, x_plus_y = (np.add(*pair, dtype=np.float64) for pair in ((a, b), (x, y)))
    squares = np.square(a_minus_b).sum(axis=1) * np.square(x_plus_y).sum(axis=1)  # (m,)
    squares += np.square(a_plus_b).sum(axis=1) * np.square(x_minus_y).sum(axis=1)
    squares += 2 * (a_minus_b * a_plus_b).sum(axis=1) * (x_minus_y * x_plus_y).sum(axis=1)
    return np.asarray(np.maximum(squares / 4, 0))
