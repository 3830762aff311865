"""How the rows of one class spread, in no more numbers than they have themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._moments import Moments, Rows, joined, moments_of
from ._spectrum import spectrum_of, spectrum_of_rows, without_rounding
from ._weights import Float64


@dataclass(frozen=True)
class Spread:
    """The weight, the mean and the scatter of rows, the scatter along its own axes.

    The scatter, the weighted sum of ``(x - mean)(x - mean)'``, is ``axes.T @ (values * axes)``. As
    m rows have at most m - 1 axes, this is 8·d·min(m - 1, d) bytes, never (d, d) for a few rows.

    Attributes
    ----------
    count
        The total weight of the rows.
    mean
        (d,) float64.
    values
        (r,) float64, positive.
    axes
        (r, d) float64, orthonormal rows.
    """

    count: float
    mean: Float64
    values: Float64
    axes: Float64

    @classmethod
    def of_nothing(cls, dimensions: int) -> Spread:
        """Return the spread of no rows."""
        return cls(0.0, np.zeros(dimensions), np.empty(0), np.empty((0, dimensions)))

    def with_rows(self, rows: Rows, weights: Float64) -> Spread:
        """Return the spread of the rows so far and of (m, d) further ones, m >= 1.

        As in `joined`, nothing cancels. O((r + m)² d) time while r + m < d, O(m d² + d³) beyond.

        Examples
        --------
        >>> first = Spread.of_nothing(2).with_rows(np.array([[0.0, 1.0], [2.0, 1.0]]), np.ones(2))
        >>> both = first.with_rows(np.array([[4.0, 1.0]]), np.ones(1))
        >>> both.count, both.mean.tolist(), both.values.round(9).tolist()
        (3.0, [2.0, 1.0], [8.0])
        """
        many = len(rows) >= rows.shape[1]
        codes = np.zeros(len(rows), dtype=np.intp)
        new = moments_of(rows, codes, weights, 1, scatter=many)
        old = Moments(np.array([self.count]), self.mean[None], None)
        both = joined(old, Moments(new.counts, new.means, None))
        between = np.sqrt(self.count * new.counts / both.counts) * (new.means - self.mean)  # (1, d)
        parts = [np.sqrt(self.values)[:, None] * self.axes, between]  # (r, d), (1, d)
        if many:
            known = np.concatenate(parts)  # (r + 1, d)
            spectrum = spectrum_of(new.spread + known.T @ known)
        else:
            parts.append(np.sqrt(weights)[:, None] * (rows - new.means))  # (m, d)
            spectrum = spectrum_of_rows(np.concatenate(parts))
        count, mean = float(both.counts[0]), both.means[0]
        values, axes = without_rounding(spectrum, count * float(mean @ mean))  # (r,), (d, r)
        return Spread(count, mean, values, np.ascontiguousarray(axes.T))
