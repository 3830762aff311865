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

    Either the true value is known, and `upper` and `lower` both are it; or the nearest is
    certainly the centre `near`, between `lower` and `upper` away.

    Attributes
    ----------
    norms
        (m,) float64 squared norms in the frame that distances are estimated in.
    upper, lower
        (m,) float64 bounds on squared distances.
    near
        (m,) int32 numbers of centres.
    seen
        (m,) int32, how many centres were seen, counted from the first.

    Notes
    -----
    32 bytes per item.

    Examples
    --------
    >>> bounds = Bounds.unknown(2)
    >>> bounds.lower_to(np.array([4.0, 9.0]), np.array([3.0, 8.0]), np.array([0, 1]))
    >>> bounds.settle(np.array([1]), np.array([8.25]))
    >>> bounds.lower.tolist(), bounds.upper.tolist(), bounds.known.tolist()
    ([3.0, 8.25], [4.0, 8.25], [False, True])
    """

    norms: Float64s
    upper: Float64s
    lower: Float64s
    near: NDArray[np.int32]
    seen: NDArray[np.int32]

    @classmethod
    def unknown(cls, m: int) -> Bounds:
        """Return the bounds of `m` items that have seen no centre."""
        far = np.full(m, np.inf)
        none = np.zeros(m, dtype=np.int32)
        return cls(np.zeros(m), far, far.copy(), none, none.copy())

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether `upper` is the true value, (m,)."""
        return self.lower >= self.upper

    def take(self, at: Places) -> Bounds:
        """Return the bounds of the items `at`."""
        return Bounds(*(values[at] for values in self._arrays()))

    def put(self, at: Places, bounds: Bounds) -> None:
        """Overwrite the bounds of the items `at`."""
        for values, new in zip(self._arrays(), bounds._arrays(), strict=True):
            values[at] = new

    def settle(self, at: Places | int, values: Float64s | float) -> None:
        """Record the true values of the items `at`."""
        self.upper[at] = self.lower[at] = values

    def lower_to(self, upper: Float64s, lower: Float64s, near: NDArray[Any] | int) -> None:
        """Record centres that are nearer for certain, wherever `upper` is smaller than before."""
        closer = upper < self.upper
        self.upper = np.where(closer, upper, self.upper)
        self.lower = np.where(closer, lower, self.lower)
        self.near = np.where(closer, near, self.near).astype(np.int32)

    def _arrays(self) -> list[NDArray[Any]]:
        return [self.norms, self.upper, self.lower, self.near, self.seen]
