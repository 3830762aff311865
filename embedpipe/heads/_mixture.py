"""Normal clouds around classes, found from labelled rows and from many that are not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._embedding_head import softmax
from ._inputs import Codes, Float32
from ._weights import Float64

STEPS = 5
"""Rounds of expectation and maximisation: with more the clouds drift from the labels."""

LABELLED_SHARE = 0.05
"""The labelled rows weigh at least this much of all others together."""

LEAST_VARIANCE = 1e-6
"""Variances are at least this share of their mean."""


class Clouds(NamedTuple):
    """What clouds add to the logits of rows: ``rows @ coef.T + intercept``.

    Attributes
    ----------
    coef
        (K, r) float64.
    intercept
        (K,) float64.
    """

    coef: Float64
    intercept: Float64

    def logits(self, rows: Float32) -> Float64:
        """Return (m, K) logits of (m, r) rows."""
        return np.asarray(rows @ self.coef.T + self.intercept)


def find_clouds(
    pool: Float32,
    beliefs: Float64,
    rows: Float32,
    codes: Codes,
    weights: Float64,
    strength: float,
) -> Clouds:
    """Fit one normal cloud to each class, all of the same spread, diagonal along the axes.

    Every row of the pool belongs to each class as much as its belief and its distances say:
    ``softmax(belief - strength * squared distance / 2)``, distances in units of the spread;
    labelled rows belong to their own. Clouds and belongings are worked out in turns.

    Parameters
    ----------
    pool
        (N, r) rows without labels.
    beliefs
        (N, K) log-probabilities of a classifier that has seen the labels only.
    rows, codes, weights
        (n, r) labelled rows, their classes and weights.
    strength
        How much distances count beside beliefs: axes are not independent, as the model has it.

    Notes
    -----
    O((N + n) r K) time a round; extra memory: 8·K bytes a row and a few more.
    """
    n_classes = beliefs.shape[1]
    share = max(1.0, LABELLED_SHARE * len(pool) / len(rows))
    own = np.zeros((len(rows), n_classes))
    own[np.arange(len(rows)), codes] = share * weights / weights.mean()  # (n, K)
    total = len(pool) + own.sum()
    squares = np.square(pool).sum(axis=0, dtype=np.float64) + own.sum(axis=1) @ np.square(rows)
    fixed = own.T @ rows  # (K, r)
    clouds = Clouds(np.zeros((n_classes, pool.shape[1])), np.zeros(n_classes))
    for _ in range(STEPS):
        belongs = softmax(beliefs + clouds.logits(pool))  # (N, K)
        counts = belongs.sum(axis=0) + own.sum(axis=0)  # (K,)
        means = (belongs.T @ pool + fixed) / counts[:, None]  # (K, r)
        variances = (squares - counts @ np.square(means)) / total  # (r,)
        variances = np.maximum(variances, LEAST_VARIANCE * max(variances.mean(), 0.0))
        if not variances.max() > 0.0:
            break  # rows that are all the same
        coef = strength * means / variances  # (K, r)
        clouds = Clouds(coef, -0.5 * (coef * means).sum(axis=1))
    return clouds
