"""The log-loss of a softmax and its gradient, laid out class by class.

Logits are (..., K, n): a maximum or a sum over K short rows of n numbers runs at the speed of
memory, where over n rows of K numbers it is ten times slower.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Codes = NDArray[np.intp]


def losses_and_residuals(logits: Array, codes: Codes, counts: Array | None = None) -> Array:
    """Turn logits into the gradient of the log-losses, in place, and return the losses.

    Parameters
    ----------
    logits
        (..., K, n); on return each row's probabilities, less one in its own class, times its count.
    codes
        (n,) the row's own class.
    counts
        (..., n) how much each row counts; 1 each when None.

    Returns
    -------
    ndarray
        (..., n) the log-losses times the counts.

    Examples
    --------
    >>> logits = np.log([[1.0, 2.0], [3.0, 2.0]])  # 2 classes, 2 rows
    >>> losses = losses_and_residuals(logits, np.array([0, 1]))
    >>> np.exp(-losses).tolist(), logits.round(2).tolist()
    ([0.25, 0.5], [[-0.75, 0.5], [0.75, -0.5]])
    """
    columns = np.arange(len(codes))
    own = logits[..., codes, columns]  # (..., n)
    top = logits.max(axis=-2)  # (..., n)
    total = softmax(logits, top)
    logits[..., codes, columns] -= 1.0
    losses: Array = np.log(total)
    losses += top
    losses -= own
    if counts is not None:
        logits *= counts[..., None, :]
        losses *= counts
    return losses


def softmax(logits: Array, top: Array | None = None) -> Array:
    """Turn (..., K, n) logits into probabilities, in place; return what they were divided by."""
    logits -= (logits.max(axis=-2) if top is None else top)[..., None, :]
    np.exp(logits, out=logits)
    total: Array = logits.sum(axis=-2)  # (..., n)
    logits /= total[..., None, :]
    return total


def mean_curvature(probabilities: Array) -> float:
    """Return the mean of p (1 - p): what a row adds to the curvature, for lack of better."""
    return float((probabilities - probabilities * probabilities).mean(dtype=np.float64))
