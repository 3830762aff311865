"""What heads ask of rows before they multiply them: their lengths, and whether they are finite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LabelError
from ._multinomial import Float64

ORDINARY = (1e-20, 1e30)
"""Squared lengths between these neither underflow nor overflow float32 in any term that counts."""


def lengths(rows: NDArray[Any]) -> Float64:
    """Return the (n,) Euclidean lengths; one for a row of zeros, which has no direction.

    Sums are in the precision of the rows, and in float64 where float32 would not do.

    Examples
    --------
    >>> lengths(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [5.0, 1.0]
    >>> round(float(lengths(np.array([[3e-30, 4e-30]], dtype=np.float32))[0]) * 1e30, 6)
    5.0
    """
    if rows.dtype != np.float32:
        squares = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    else:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            squares = np.einsum("nd,nd->n", rows, rows).astype(np.float64)
        odd = np.flatnonzero(~((squares > ORDINARY[0]) & (squares < ORDINARY[1])))
        if odd.size:
            squares[odd] = np.einsum("nd,nd->n", rows[odd], rows[odd], dtype=np.float64)
    return np.where(squares > 0.0, np.sqrt(squares), 1.0)


def refuse_non_finite(rows: NDArray[Any], offset: int) -> None:
    """Raise if a row holds NaN or infinity, and name it; the first row has the number `offset`.

    Raises
    ------
    LabelError
        With the first such row named.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if rows.dtype.kind == "f" and np.isfinite(np.einsum("nd->n", rows)).all():
            return  # a sum is finite only if all its terms are
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        count = f" ({len(bad)} such rows here)" if len(bad) > 1 else ""
        raise LabelError(
            f"row {offset + int(bad[0])} of X holds NaN or infinity{count}: "
            "embed the item again or leave it out."
        )
