"""Similarity of two images, one of which may be a crop of the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks
from .image_stats import SIDE

__all__ = ["similarity"]

COMPARED = 16
"""Side in pixels of the images that are compared."""

KEPT = (0.95, 0.9, 0.85, 0.8)
"""Shares of a side that remain after a crop."""

NOISE = 2.0
"""Noise of compression in levels from 0 to 255; two images with less contrast are similar."""

PAIRS = 64
"""Number of pairs that a thread compares at once."""


def similarity(
    greys: NDArray[np.uint8], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the similarity of rows `left` and `right` of `greys`: -1 to 1; 1 for equal images."""
    # The similarity is the largest correlation of one image with one of 169 crops of the other. A
    # crop has at least 80 % of each side. A pair takes half a millisecond, and a thread 25 MB.
    cutting = _cutting()
    found = np.empty(left.size, dtype=np.float32)

    def work(part: slice) -> None:
        pictures = [greys[rows[part]].astype(np.float32) for rows in (left, right)]
        one, two = (pictures[0], pictures[1])
        found[part] = np.maximum(_best(one, two, cutting), _best(two, one, cutting))

    map_blocks(work, left.size, PAIRS)
    return found


def _best(
    cut: NDArray[np.float32], whole: NDArray[np.float32], cutting: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the largest correlation of a crop of `cut` with `whole` for each of b pairs."""
    # `cut` and `whole` are (b, 24, 24), and `cutting` is (w, 16, 24) for w windows of a side.
    count, size = len(cutting), COMPARED
    by = cutting.reshape(count * size, SIDE)  # (w·16, 24)
    parts = (by @ cut) @ by.T  # (b, w·16, w·16)
    parts = parts.reshape(-1, count, size, count, size)
    full = cutting[0] @ whole @ cutting[0].T  # (b, 16, 16)
    full -= full.mean(axis=(1, 2), keepdims=True)
    means = parts.mean(axis=(2, 4))  # (b, w, w)
    squares = np.einsum("biujv,biujv->bij", parts, parts) / size**2 - means**2
    variances = np.maximum(squares, 0)  # (b, w, w)
    products = np.einsum("biujv,buv->bij", parts, full, optimize=True) / size**2
    own = np.square(full).mean(axis=(1, 2))[:, None, None]  # (b, 1, 1)
    noise = np.float32(NOISE**2)
    values = (products + noise) / (np.sqrt(variances * own) + noise)
    best: NDArray[np.float32] = values.max(axis=(1, 2))
    return best


def _cutting() -> NDArray[np.float32]:
    """Return a (16, 24) matrix for each window of a side: it averages the window to 16 pixels."""
    windows = [(0.0, 1.0)]  # start and share; the first window is the whole side
    windows += [(at * (1 - kept), kept) for kept in KEPT for at in (0.0, 0.5, 1.0)]
    return np.stack([_averaging(start, kept) for start, kept in windows])


def _averaging(start: float, kept: float) -> NDArray[np.float32]:
    edges = SIDE * (start + kept * np.arange(COMPARED + 1) / COMPARED)  # (17,)
    pixels = np.arange(SIDE)
    low = np.maximum(edges[:-1, None], pixels)  # (16, 24)
    high = np.minimum(edges[1:, None], pixels + 1)
    covered = np.maximum(high - low, 0)
    shares: NDArray[np.float32] = (covered / covered.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares
