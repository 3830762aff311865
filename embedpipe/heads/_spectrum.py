"""A spread of rows along its own axes, where every penalty on it is a division."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._weights import Float64

RANK_TOLERANCE = 1e-12
"""Directions with less than this share of the largest value are rounding errors."""


EQUAL = 1e-24
"""Rows whose squared distances from their mean are less than this share of those from zero are
one and the same row: float32 numbers that differ, differ by more."""


class Spectrum(NamedTuple):
    """The eigenvalues of a (d, d) matrix that are not zero, and their directions.

    Attributes
    ----------
    values
        (r,) float64, positive.
    axes
        (d, r) float64, orthonormal columns.
    """

    values: Float64
    axes: Float64


def spectrum_of_rows(rows: Float64) -> Spectrum:
    """Return the spectrum of ``rows.T @ rows`` for (m, d) rows: O(m d min(m, d)) time.

    Examples
    --------
    >>> found = spectrum_of_rows(np.array([[3.0, 0.0, 0.0], [0.0, 0.0, 2.0]]))
    >>> found.values.tolist(), np.abs(found.axes).round(9).tolist()
    ([4.0, 9.0], [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    """
    if len(rows) >= rows.shape[1]:
        return spectrum_of(rows.T @ rows)
    values, vectors = np.linalg.eigh(rows @ rows.T)  # (m,), (m, m)
    kept = _kept(values)
    axes = rows.T @ (vectors[:, kept] / np.sqrt(values[kept]))  # (d, r)
    return Spectrum(values[kept], axes)


def spectrum_of(matrix: Float64) -> Spectrum:
    """Return the spectrum of a symmetric (d, d) matrix without negative directions: O(d³) time."""
    values, axes = np.linalg.eigh(matrix)
    kept = _kept(values)
    return Spectrum(values[kept], axes[:, kept])


def without_rounding(spectrum: Spectrum, squares: float) -> Spectrum:
    """Return the spectrum, or nothing of it if it is what rounding leaves of equal rows.

    Parameters
    ----------
    spectrum
        Of rows less their mean.
    squares
        Of the mean, as often as there are rows.

    Examples
    --------
    >>> rounding = Spectrum(np.array([1e-32]), np.array([[1.0], [0.0]]))
    >>> without_rounding(rounding, 10.0).axes.shape, without_rounding(rounding, 1e-9).axes.shape
    ((2, 0), (2, 1))
    """
    if spectrum.values.sum() > EQUAL * squares:
        return spectrum
    return Spectrum(spectrum.values[:0], spectrum.axes[:, :0])


def _kept(values: Float64) -> slice:
    """Return which of the ascending values are more than rounding errors."""
    floor = max(RANK_TOLERANCE * float(values[-1]), np.finfo(np.float64).tiny)
    return slice(int(np.searchsorted(values, floor, side="right")), None)
