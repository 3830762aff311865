"""What is known of many items' distances to a growing set, without having measured them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bounds", "Places"]

Float64s: TypeAlias = NDArray[np.float64]
Places: TypeAlias = "NDArray[np.int64] | NDArray[np.intp] | slice"


@dataclass
class Bounds:
    """Bounds on m items' squared distances to the nearest of the centres they have seen.

    The centre `near` is between `lower` and `upper` away and every other one at least `others`.
    So the true value lies in ``[min(lower, others), upper]``, and is known where the two agree.

    Attributes
    ----------
    norms
        (m,) float64 squared norms in the frame that distances are estimated in.
    upper, lower, others
        (m,) float64 bounds on squared distances.
    near
        (m,) int32 numbers of centres.
    seen
        (m,) int32, how many centres were seen, counted from the first.

    Notes
    -----
    40 bytes per item.

    Examples
    --------
    >>> bounds = Bounds.unknown(2)
    >>> near, far = np.array([4.0, 9.0]), np.array([3.0, 8.0])
    >>> bounds.merge(near, far, np.array([5.0, 8.5]), np.array([0, 1]))
    >>> bounds.floor.tolist(), bounds.known.tolist()
    ([3.0, 8.0], [False, False])
    >>> bounds.settle(np.array([1]), np.array([8.25]))
    >>> bounds.floor.tolist(), bounds.known.tolist()
    ([3.0, 8.25], [False, True])
    """

    norms: Float64s
    upper: Float64s
    lower: Float64s
    others: Float64s
    near: NDArray[np.int32]
    seen: NDArray[np.int32]

    @classmethod
    def unknown(cls, m: int) -> Bounds:
        """Return the bounds of `m` items that have seen no centre."""
        far = np.full(m, np.inf)
        none = np.zeros(m, dtype=np.int32)
        return cls(np.zeros(m), far, far.copy(), far.copy(), none, none.copy())

    @property
    def floor(self) -> Float64s:
        """The (m,) lower bounds of the distance to the nearest centre."""
        return np.minimum(self.lower, self.others)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether `upper` is the true value, (m,)."""
        return self.floor >= self.upper

    def take(self, at: Places) -> Bounds:
        """Return the bounds of the items `at`."""
        return Bounds(*(values[at] for values in self._arrays()))

    def put(self, at: Places, bounds: Bounds) -> None:
        """Overwrite the bounds of the items `at`."""
        for values, new in zip(self._arrays(), bounds._arrays(), strict=True):
            values[at] = new

    def settle(self, at: Places | int, values: Float64s | float) -> None:
        """Record the true values of the items `at`."""
        self.upper[at] = self.lower[at] = self.others[at] = values

    def merge(
        self, upper: Float64s, lower: Float64s, others: Float64s | float, near: NDArray[Any] | int
    ) -> None:
        """Take in some more centres: bounds on the nearest of them, and on the rest."""
        closer = upper < self.upper
        losing = np.where(closer, self.lower, lower)
        self.others = np.minimum(np.minimum(self.others, others), losing)
        self.lower = np.where(closer, lower, self.lower)
        self.near = np.where(closer, near, self.near).astype(np.int32)
        self.upper = np.minimum(self.upper, upper)

    def _arrays(self) -> list[NDArray[Any]]:
        return [self.norms, self.upper, self.lower, self.others, self.near, self.seen]
