"""Greedy search for the item with the largest product of objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...index import nearest_to_mean
from ...index.farthest_on_workers import FarthestSearch, farthest_first
from ..pool import Pool
from .changing import Diversity
from .objective import ChangingObjective, Float64s, Objective, StaticObjective

__all__ = ["Picked", "ProductSearch"]

TURNED = 1e-3
"""Minimum value before inversion by a negative strength."""


@dataclass(frozen=True)
class Picked:
    """One pick: its position, the product, and the value of each objective by label."""

    position: int
    score: float
    values: dict[str, float]


class ProductSearch:
    """Picks the item with the largest product, one at a time; each pick changes the products.

    `objectives` have at most one `Diversity` and no thresholds; `passing` (u,) marks the unlabelled
    rows that may be picked. Let s be the strength of diversity, d the distance, and wᵏ and sᵏ the
    values and strengths of the other objectives. `FarthestFirst` maximises Π wᵏ^(sᵏ/s) · d exactly.
    """

    def __init__(
        self, pool: Pool, objectives: Sequence[Objective], passing: NDArray[np.bool_]
    ) -> None:
        far = [each for each in objectives if isinstance(each, Diversity)]
        self._diversity = far[0] if far else None
        self._factors = _Factors(pool, objectives, far[0].strength if far else 1.0)
        self._distances = None
        if far:
            measured = pool.measured_by(far[0].metric)
            self._distances = _Distances(measured, far[0].min_distance, passing)
        self._left = passing.copy()  # (u,), not yet picked
        self._pool = pool

    @property
    def ends_early(self) -> bool:
        """Whether a minimum distance may end the search while items are left."""
        return self._diversity is not None and self._diversity.min_distance is not None

    def next(self) -> Picked | None:
        """Pick the best item and record it; None if no item may be picked."""
        position, distance = None, 0.0
        if self._distances is not None:
            position, distance = self._farthest(self._distances)
        if position is None and not self.ends_early:
            position = self._largest_without_distance()
        return None if position is None else self._pick(position, distance)

    def _farthest(self, distances: _Distances) -> tuple[int | None, float]:
        """Return the item with the largest product above 0, and its distance."""
        for weights in self._factors.levels():
            allowed = distances.open if weights is None else distances.open & (weights > 0)  # (u,)
            if not allowed.any():
                continue
            found = distances.best(weights)
            if found is not None:
                return found
        return None, 0.0

    def _largest_without_distance(self) -> int | None:
        """Return the item with the largest product without distances, or the lowest row."""
        if not self._left.any():
            return None
        for weights in self._factors.levels():
            if weights is None:
                break
            masked = np.where(self._left, weights, 0.0)  # (u,)
            best = int(masked.argmax())
            if masked[best] > 0:
                return best
        return int(self._left.argmax())

    def _pick(self, position: int, distance: float) -> Picked:
        values = self._factors.values(position)
        weight = self._factors.weight(position)
        score = weight
        if self._diversity is not None:
            values[self._diversity.label] = distance
            with np.errstate(over="ignore", under="ignore"):
                score = float(np.float64(weight * distance) ** self._diversity.strength)
        self._factors.add(position)
        self._left[position] = False
        if self._distances is not None:
            self._distances.add(position)
        return Picked(position, score, values)


class _Factors:
    """The factors of the product except the distance; all strengths are divided by `root`."""

    def __init__(self, pool: Pool, objectives: Sequence[Objective], root: float) -> None:
        static = [each for each in objectives if isinstance(each, StaticObjective)]
        changing = [each for each in objectives if isinstance(each, ChangingObjective)]
        self._values = {each.label: each.factors(pool) for each in static}  # (u,) each
        self._states = {each.label: each.start(pool) for each in changing}
        self._powers = [each.strength / root for each in changing]
        self._static: Float64s | None = None  # (u,)
        for each in static:
            raised = _raised(self._values[each.label], each.strength / root)  # (u,)
            self._static = raised if self._static is None else self._static * raised
        self._now = self._changing()

    def levels(self) -> list[Float64s | None]:
        """Return weights to try in order until a product is above 0; None: equal weights."""
        static, now = self._static, self._now
        found: list[Float64s | None] = []
        if static is not None and now is not None:
            found.append(static * now)
        if now is not None:
            found.append(now)
        if static is not None:
            found.append(static)
        return [*found, None]

    def weight(self, position: int) -> float:
        """Return the product of the factors for one item."""
        parts = [each[position] for each in (self._static, self._now) if each is not None]
        return float(np.prod(parts)) if parts else 1.0

    def values(self, position: int) -> dict[str, float]:
        """Return the value of each objective for one item, without strengths."""
        found = {label: float(values[position]) for label, values in self._values.items()}
        for label, state in self._states.items():
            found[label] = float(state.values()[position])
        return found

    def add(self, position: int) -> None:
        """Record a pick."""
        for state in self._states.values():
            state.add(position)
        self._now = self._changing()

    def _changing(self) -> Float64s | None:
        now: Float64s | None = None
        for state, power in zip(self._states.values(), self._powers, strict=True):
            raised = state.values() ** power  # (u,)
            now = raised if now is None else now * raised
        return now


class _Distances:
    """Distances to labelled and picked items."""

    def __init__(self, pool: Pool, min_distance: float | None, passing: NDArray[np.bool_]) -> None:
        self._pool, self._least = pool, min_distance or 0.0
        self._point = pool.index.find(pool.unlabelled)  # (u,)
        # Duplicates of labelled or picked items are at distance 0.
        self.open = passing & ~pool.unique_labelled[self._point]  # (u,)
        self._search: FarthestSearch | None = None
        self._at = np.empty(0, np.int64)  # positions of the search's items
        self._place = np.empty(0, np.int64)  # (u,), the search's item of each position
        self._weights: Float64s | None = None
        if pool.labelled.size and self.open.any():
            self._begin(pool.labelled)

    def best(self, weights: Float64s | None) -> tuple[int, float] | None:
        """Return the position of the largest product above 0 and its distance."""
        if self._search is None:
            return self._first_of_all(weights)
        if weights is not self._weights:
            self._search.reweigh(None if weights is None else weights[self._at])
            self._weights = weights
        found = self._search.farthest()
        if found.key > 0:
            return int(self._at[found.position]), math.sqrt(found.squared_distance)
        if self._least:  # items with a positive weight are too near, and remain so
            self.open &= False if weights is None else weights == 0
        return None

    def add(self, position: int) -> None:
        """Measure distances also to the item at `position`."""
        self.open &= self._point != self._point[position]
        if self._search is not None:
            self._search.add(int(self._place[position]))
        elif self.open.any():
            self._begin(self._pool.unlabelled[[position]])

    def _begin(self, centres: NDArray[np.int64]) -> None:
        self._at = np.flatnonzero(self.open)
        self._place = np.cumsum(self.open) - 1
        items = self._pool.unlabelled[self._at]
        self._search = farthest_first(self._pool.vectors, items, centres, min_distance=self._least)

    def _first_of_all(self, weights: Float64s | None) -> tuple[int, float]:
        """Return the first pick and its largest distance to another item."""
        # The pick has the largest weight or, without weights, is nearest to the mean.
        at = np.flatnonzero(self.open)
        if weights is None:
            best = int(at[nearest_to_mean(self._pool.vectors, self._pool.unlabelled[at])])
        else:
            best = int(at[weights[at].argmax()])
        return best, self._largest_distance(best)

    def _largest_distance(self, position: int) -> float:
        others = self.open & (self._point != self._point[position])
        if not others.any():
            return 0.0
        rows = self._pool.unlabelled
        search = farthest_first(self._pool.vectors, rows[others], rows[[position]])
        return math.sqrt(search.farthest().squared_distance)


def _raised(values: Float64s, power: float) -> Float64s:
    """Return values in [0, 1] to a power; a negative power inverts them."""
    if power > 0:
        return np.asarray(values**power)
    return np.asarray((TURNED / np.maximum(values, TURNED)) ** -power)
