"""What is usual, and how far beyond it something is: limits chosen from the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Usual"]

QUARTILE = 0.6744897501960817
"""The upper quartile of a standard normal distribution."""


@dataclass(frozen=True)
class Usual:
    """Where most values of a kind lie, judged by the half of them on one side of the median.

    Attributes
    ----------
    middle
        The median.
    spread
        The distance from there to a quartile, as multiples of what it is in a standard normal
        distribution: nearly a quarter of the values may be anything, at either end, before it
        means something else. Negative for the lower side.
    """

    middle: float
    spread: float

    @classmethod
    def above(cls, values: NDArray[np.float64], least: float = 0.0) -> Usual:
        """Return what is usual above the median of some values.

        Parameters
        ----------
        values
            (n,) finite, n >= 1.
        least
            The spread is at least this.

        Examples
        --------
        >>> values = np.append(np.linspace(-1, 1, 1001), [1e6] * 3)
        >>> round(Usual.above(values).limit(1), 2)
        0.75
        """
        middle, upper = np.quantile(values, [0.5, 0.75])
        return cls(float(middle), max(float(upper - middle) / QUARTILE, least))

    @classmethod
    def below(cls, values: NDArray[np.float64], least: float = 0.0) -> Usual:
        """Return what is usual below the median of some values, see `above`.

        Examples
        --------
        >>> values = np.append(np.linspace(-1, 1, 1001), [-1e6] * 3)
        >>> round(Usual.below(values).limit(1), 2)
        -0.75
        """
        other = cls.above(-values, least)
        return cls(-other.middle, -other.spread)

    def limit(self, spreads: float) -> float:
        """Return what lies so many spreads beyond the median."""
        return self.middle + spreads * self.spread

    def beyond(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how many spreads values lie beyond the median, at least 0."""
        found: NDArray[np.float64] = np.maximum((values - self.middle) / self.spread, 0)
        return found
