"""Images with too few pixels, and images with nothing on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .groups import Rows
from .looks import Looks

__all__ = ["BLANK_SPREAD", "blank_rows", "tiny_rows", "tiny_side"]

FEW_PIXELS = 32
"""Backbones see little in images whose shorter side is below this."""

USUAL_SHARE = 1 / 8
"""Nor is it usual to be so much smaller than the other images."""

MOST_SHARE = 1 / 2
"""But half the usual size is not tiny, however small all images are."""

BLANK_SPREAD = 2.0
"""Standard deviation, of 255 levels, that noise and compression alone can give."""


def tiny_side(sides: NDArray[np.integer]) -> float:
    """Return below how many pixels of its shorter side an image is tiny among others.

    32, or an eighth of the usual (the median), whichever is more; at most half the usual.

    Parameters
    ----------
    sides
        (n,) shorter sides, n >= 1.

    Examples
    --------
    >>> [tiny_side(np.full(9, side)) for side in (8, 32, 400, 4000)]
    [4.0, 16.0, 50.0, 500.0]
    """
    usual = float(np.median(sides))
    return min(max(FEW_PIXELS, USUAL_SHARE * usual), MOST_SHARE * usual)


def tiny_rows(looks: Looks) -> tuple[Rows, float | None]:
    """Return the rows of tiny images, and below which shorter side they are.

    Returns
    -------
    rows : (m,) int64
        Ascending.
    side : float or None
        In pixels; None if no image could be read.
    """
    sides = looks.sizes.min(axis=1)  # (n,)
    if not looks.seen.any():
        return np.empty(0, np.int64), None
    side = tiny_side(sides[looks.seen])
    return np.flatnonzero(looks.seen & (sides < side)), side


def blank_rows(looks: Looks) -> Rows:
    """Return the rows of images of one colour, noise and compression aside: (m,) int64."""
    return np.flatnonzero(looks.seen & (looks.spreads < BLANK_SPREAD))
