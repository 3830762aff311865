"""Normal clouds around class means, for distances in units of the spread of a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._moments import Moments, joined, moments_of, spectrum_of, spectrum_of_rows, without_rounding
from ._rows import Array, Float64

NO_SPREAD = 1e-9
"""Share of a variance below which what is left is rounding."""


@dataclass(frozen=True)
class Spread:
    """The weight, the mean and the scatter of rows, the scatter along its own axes.

    The scatter, the weighted sum of ``(x - mean)(x - mean)'``, is ``axes.T @ (values * axes)``. As
    m rows have at most m - 1 axes, this is 8·d·min(m - 1, d) bytes, never (d, d) for a few rows.
    """

    count: float
    """The total weight of the rows."""
    mean: Float64
    """(d,)."""
    values: Float64
    """(r,), positive."""
    axes: Float64
    """(r, d) orthonormal rows."""

    @classmethod
    def of_nothing(cls, dimensions: int) -> Spread:
        """Return the spread of no rows."""
        return cls(0.0, np.zeros(dimensions), np.empty(0), np.empty((0, dimensions)))

    def with_rows(self, rows: Array, weights: Float64) -> Spread:
        """Return the spread of these and of (m, d) further rows, m >= 1, without cancellation.

        O((r + m)² d) time while r + m < d, O(m d² + d³) beyond.
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


class Cloud:
    """A normal cloud whose shrunk covariance is scaled to a correlation matrix.

    With the scatter S of the rows, v the mean of its diagonal and g > 0 the shrinkage, the
    distance of x is ``(x - mean)' R^-1 (x - mean)`` where R is ``S + g v I``, its rows and columns
    divided so that its diagonal is one. R is never formed: with s² the diagonal of ``S + g v I``,
    it is ``z' (S + g v I)^-1 z`` for ``z = s (x - mean)``, and S is known by its axes.

    Equal rows have no axes: then R^-1 is the unit matrix times (1 + g) / g, as it is for a scatter
    of one axis in all other directions.
    """

    def __init__(self, spread: Spread, shrinkage: float) -> None:
        dimensions = len(spread.mean)
        self.count, self.mean, self.axes = spread.count, spread.mean, spread.axes
        self.shrinkage = shrinkage
        self.unit = float(spread.values.sum()) / dimensions  # v
        self.values = spread.values / self.unit if len(spread.values) else spread.values  # (r,)
        self.variances = np.ones(dimensions)  # the diagonal of S in units of v
        if len(self.values):
            self.variances = self.values @ np.square(self.axes)  # (d,)

    def distances(self, rows: Array) -> Array:
        """Return the (m,) squared distances of (m, d) rows, in their precision."""
        dtype = rows.dtype
        away = rows - self.mean.astype(dtype)  # (m, d)
        away *= np.sqrt(self.variances + self.shrinkage).astype(dtype)
        squares: Array = np.einsum("md,md->m", away, away) / dtype.type(self.shrinkage)
        along = away @ self.axes.T.astype(dtype)  # (m, r)
        bend = self.values / (self.shrinkage * (self.values + self.shrinkage))  # (r,)
        return np.asarray(squares - np.square(along) @ bend.astype(dtype))

    def left_out(self, rows: Array, weights: Float64) -> Float64:
        """Return the (m,) squared distances of (m, d) rows of the class, each from all others.

        Without the row x of weight w, z away from the mean of all of weight n, S is less by
        ``w n / (n - w) z z'``: exact, the shrinkage and the scale with it. O(m d r) time.
        """
        apart = rows - self.mean  # (m, d)
        grown = self.count / np.maximum(self.count - weights, NO_SPREAD * self.count)  # (m,)
        lengths = np.square(apart).sum(axis=1)  # (m,)
        alone = (1.0 + 1.0 / self.shrinkage) * np.square(grown) * lengths  # (m,): S is nothing
        if not len(self.values):
            return np.asarray(alone)
        gone = weights * grown / self.unit  # (m,): z z' times this leaves S, in units of v
        left = 1.0 - gone * lengths / apart.shape[1]  # (m,): v, in units of what it was
        some = np.flatnonzero(left > NO_SPREAD)
        apart, gone, floor = apart[some], gone[some], self.shrinkage * left[some]
        variances = np.maximum(self.variances - gone[:, None] * np.square(apart), 0.0)  # (s, d)
        away = grown[some, None] * np.sqrt(variances + floor[:, None]) * apart  # (s, d)
        bend = self.values / (floor[:, None] * (self.values + floor[:, None]))  # (s, r)
        away_along, apart_along = away @ self.axes.T, apart @ self.axes.T  # (s, r)

        def inner(one: Float64, other: Float64, along: Float64) -> Float64:
            """Return the (s,) products ``one' (S + floor I)^-1 other``."""
            whole = np.einsum("sd,sd->s", one, other) / floor
            return np.asarray(whole - np.einsum("sr,sr->s", along, bend))

        across = inner(away, apart, away_along * apart_along)  # (s,)
        rest = 1.0 - gone * inner(apart, apart, np.square(apart_along))  # (s,)
        found = inner(away, away, np.square(away_along))  # (s,)
        alone[some] = found + gone * np.square(across) / np.maximum(rest, NO_SPREAD)
        return np.asarray(alone)
