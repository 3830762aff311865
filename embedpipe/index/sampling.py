"""Drawing items with a probability proportional to their squared distance from those drawn."""

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
"""How many items are measured at once."""

PAIRS = 256
"""How many pairs the reference is worked out for at once."""

FEWEST, USUAL, MOST = 8, 64, 256
"""How many proposals are drawn at once: at first, in general, and when none is accepted."""

GAPS = 1 << 20
"""At most so many distances between proposals and centres are worked out at once: 32 MB."""

PASS = 100
"""What it costs to read and move a vector; one product with another that is at hand costs 1."""

PROPOSAL = 800
"""What a proposal costs beside its products with the centres, in the same unit."""

MEASURED = 2
"""What one of these products costs: a few rows make poor use of a processor."""

ROUNDING = 1e-6
"""More than moving and float64 add to a bound, as a share of it; `Frame.error` has the rest."""

CANCELLED = 1e-13
"""More than float64 loses where terms of size 1 cancel."""

ROUNDED = 8
"""More than a product or a norm loses where rows of unit length are rounded, in roundoffs."""


@dataclass(frozen=True)
class Drawn:
    """An item that `DistanceSampler.draw` drew.

    Attributes
    ----------
    position
        Its place among the items.
    squared_distance
        To the nearest item drawn or added before; infinite if there was none.
    """

    position: int
    squared_distance: float


@dataclass(frozen=True)
class _Items:
    """Items, ready to be measured against others."""

    vectors: NDArray[np.float32]  # (m, d) in the frame
    factors: Float64s | None  # (m, C)
    tilts: Float64s  # (m,) so that x·y is the product in the frame plus both tilts
    norms: Float64s  # (m,) squared lengths
    doubts: Float64s  # (m,) an estimate is off by no more than the doubts of both


@dataclass
class _Batch:
    """Proposals that have not been decided on, in order."""

    at: Positions  # (b,)
    gaps: Float64s  # (b, b) estimated squared distances between them
    doubts: Float64s  # (b,)
    true: Float64s  # (b,) squared distances to the nearest centre
    needed: Float64s  # (b,) accepted if the true value is larger
    next: int = 0


class DistanceSampler:
    """Draws items one by one, each with a probability proportional to its squared distance.

    The distance is that to the nearest item drawn before, as in the seeding of k-means++; the
    probabilities are exactly those of the plain algorithm in float64, which measures every item
    against every centre. Here most are never measured. Each item carries an upper bound on its
    squared distance; distances only fall as centres are added, so an old bound still holds. An
    item is proposed with a probability proportional to its bound, measured, and accepted with
    probability true value/bound; otherwise the bound becomes the true value, and another item is
    proposed. Whatever the bounds, an accepted item then follows the distribution of the true
    values. Rejections cost time, so once they have cost as much as it would take to measure
    everything, everything is measured against the centres that it has not seen, by matrix
    products.

    Bounds come from float32 products and carry a proven error; what they are compared with is
    worked out in float64, pair by pair.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map, or `UnitRows` of one.
    rows
        (u,) int64 rows, the items, u ≥ 1.
    rng
        What the draws follow from, together with the arrays: the same on any number of threads.
    factors
        For items that are outer products: a function of (k,) int64 positions that returns (k, C)
        finite numbers a, so that an item is a ⊗ x with x its row, C·d numbers that are never
        written out. It may be called from several threads. Default: an item is its row.

    Notes
    -----
    O(u·(C + d)) time to start, then for each draw a few products with every centre, and a share
    of what a refresh costs. A draw itself takes O(√u). Extra memory: 40 bytes per item, 8 per
    centre, up to 64 MB of centres, 32 MB of distances between proposals and centres, and blocks
    of 256 vectors.

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
        self._lengths = np.sqrt(self._norms * (1 + ROUNDING) + self._doubts)  # (u,), at least
        self._shortest = np.inf  # length of a centre
        self._centres = Centres(self._frame, np.empty(0, np.int64))
        self._places: list[int] = []  # of the centres among the items
        width = max(1, round(u**0.5))
        self._bounds = np.zeros((-(-u // width), width))  # (s, w), item i at i in row-major order
        self._bounds.ravel()[:u] = np.inf
        self._sums = self._bounds.sum(axis=1)  # (s,)
        self._seen = 0  # centres that every bound has been measured against
        self._wasted = 0.0
        self._size = FEWEST
        self._batch: _Batch | None = None

    def longest(self) -> int:
        """Return the item with the largest norm, the lowest position where several have it."""
        rivals = np.arange(self._rows.size)
        if self._factors is not None:  # rows that are moved have other norms
            upper = self._norms * (1 + ROUNDING) + self._doubts
            lower = self._norms * (1 - ROUNDING) - self._doubts
            rivals = np.flatnonzero(upper >= lower.max())
        return int(rivals[self._squared_norms(rivals).argmax()])

    def norms(self, positions: Positions) -> Float64s:
        """Return the lengths of the items at (k,) positions: (k,) float64."""
        return np.asarray(np.sqrt(self._squared_norms(positions)))

    def add(self, position: int) -> None:
        """Make the item at `position` a centre, drawn or not."""
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
        """Draw an item and add it; None if every item left is a copy of one drawn before.

        The first item of all is drawn uniformly.
        """
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
        """Work out what estimates need of every item; False if the frame is too fine."""
        frame, shift = self._frame, self._frame.shift.astype(np.float64)
        middle = float(shift @ shift) if self._factors is not None else 0.0
        squares, sizes = np.empty(self._norms.size), np.ones(self._norms.size)

        def work(part: slice) -> None:
            moved = frame.rows(self._rows[part])  # (b, d)
            squares[part] = moved.norms
            if self._factors is not None:
                self._tilts[part] = moved.vectors.astype(np.float64) @ shift + middle / 2
                factors = np.asarray(self._factors(_range(part)), dtype=np.float64)  # (b, C)
                sizes[part] = np.square(factors).sum(axis=1)

        map_blocks(work, squares.size, BLOCK)
        if squares.max() >= frame.overflow:
            return False
        unit = sizes * frame.unit  # (u,)
        lost = CANCELLED * (float(squares.max()) + middle) + frame.slack
        if self._factors is not None:  # x·y and |x|² count, and not the distance alone
            lost += ROUNDED * rounding_of(self._matrix).constant * frame.scale**2
        self._norms[:] = (squares + 2 * self._tilts) * unit
        self._doubts[:] = (frame.error * squares + lost) * unit
        return True

    def _items(self, at: Positions, moved: FrameRows) -> _Items:
        factors = None
        if self._factors is not None:
            factors = np.asarray(self._factors(at), dtype=np.float64)  # (m, C)
        of_items = (self._tilts[at], self._norms[at], self._doubts[at])
        return _Items(moved.vectors, factors, *of_items)

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
        for start, moved in self._centres.spans(0, places.size):
            part = slice(start, start + moved.norms.size)
            gaps[:, part] = self._gaps(items, self._items(places[part], moved))
        doubts = items.doubts[:, None] + self._doubts[places]  # (b, k)
        lower = gaps * (1 - ROUNDING) - doubts
        upper = (gaps * (1 + ROUNDING) + doubts).min(axis=1)  # (b,)
        item, centre = np.nonzero(lower <= upper[:, None])
        true = np.full(at.size, np.inf)
        np.minimum.at(true, item, self._reference(at[item], places[centre]))
        return _Batch(at, self._gaps(items, items), items.doubts, true, needed)

    def _approach(self, batch: _Batch, position: int) -> None:
        """Lower what is left of a batch to its distances from a new centre."""
        found = np.flatnonzero(batch.at == position)
        if not found.size:  # not one of the batch: proposals may be dropped unseen
            self._batch = None
            return
        rest = slice(batch.next, None)
        gaps = batch.gaps[rest, found[0]] * (1 - ROUNDING)  # (r,)
        lower = gaps - batch.doubts[rest] - batch.doubts[found[0]]
        near = batch.next + np.flatnonzero(lower < batch.true[rest])
        away = self._reference(batch.at[near], np.full(near.size, position))
        batch.true[near] = np.minimum(batch.true[near], away)

    def _tighten(self, batch: _Batch) -> None:
        """Keep what a batch found out; draw more at once if all of it was rejected."""
        flat = self._bounds.ravel()
        rejected = batch.next == 0
        flat[batch.at] = np.minimum(flat[batch.at], batch.true)
        self._add_up(batch.at)
        self._size = min(2 * self._size, MOST if rejected else USUAL)
        self._batch = None

    def _add_up(self, at: Positions) -> None:
        blocks = np.unique(at // self._bounds.shape[1])
        self._sums[blocks] = self._bounds[blocks].sum(axis=1)

    def _refresh(self) -> None:
        """Measure every item against the centres that not all have seen."""
        flat = self._bounds.ravel()
        for start, moved in self._centres.spans(self._seen, len(self._places)):
            places = np.array(self._places[start : start + moved.norms.size])
            map_blocks(
                partial(self._lower, flat, self._items(places, moved)), self._rows.size, BLOCK
            )
        self._sums = self._bounds.sum(axis=1)
        self._seen, self._wasted = len(self._places), 0.0

    def _lower(self, bounds: Float64s, centres: _Items, part: slice) -> None:
        """Lower the bounds of consecutive items to their distances from some centres."""
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
    # ``a ⊗ x − b ⊗ y = ((a − b) ⊗ (x + y) + (a + b) ⊗ (x − y)) / 2``, so that equal factors and
    # equal vectors give 0, and nearly equal ones lose no digits.
    over, across = (np.subtract(one, other, dtype=np.float64) for one, other in ((a, b), (x, y)))
    sums = (np.add(one, other, dtype=np.float64) for one, other in ((a, b), (x, y)))
    both, along = sums  # (m, C), (m, d)
    squares = np.square(over).sum(axis=1) * np.square(along).sum(axis=1)  # (m,)
    squares += np.square(both).sum(axis=1) * np.square(across).sum(axis=1)
    squares += 2 * (over * both).sum(axis=1) * (across * along).sum(axis=1)
    return np.asarray(np.maximum(squares / 4, 0))
