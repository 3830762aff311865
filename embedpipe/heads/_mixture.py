"""A mixture of normal clouds, one for each class, fitted to labelled and unlabelled rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

from .._threads import map_blocks
from ._embedding_head import BLOCK_ROWS
from ._rows import Codes, Float32, Float64
from ._softmax import softmax

STEPS = 5
"""Rounds of expectation and maximisation: with more the clouds drift from the labels."""

LABELLED_SHARE = 0.05
"""Least weight of all labelled rows, as a share of the unlabelled ones."""

LEAST_VARIANCE = 1e-6
"""Least variance, as a share of their mean."""

AXES_ROWS = 4096
"""Unlabelled rows from which the axes, and the fits of the folds, are computed."""


def spaced(n: int) -> Codes:
    """Return at most `AXES_ROWS` positions below `n`, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, AXES_ROWS).astype(np.intp))


class Axes(NamedTuple):
    """The directions in which rows differ most: (d,) mean, (d, r) orthonormal axes."""

    mean: Float64
    axes: Float64

    def project(self, rows: Float32) -> Float32:
        """Return the (m, r) coordinates of (m, d) rows."""
        found = np.empty((len(rows), self.axes.shape[1]), dtype=np.float32)
        axes = self.axes.astype(np.float32)
        shift = (self.mean @ self.axes).astype(np.float32)

        def work(part: slice) -> None:
            found[part] = rows[part] @ axes - shift

        map_blocks(work, len(rows), BLOCK_ROWS)
        return found


def main_axes(pool: Float32, labelled: Float32, n: int) -> Axes:
    """Return the `n` directions in which rows of the pool and labelled rows vary most."""
    rows = np.concatenate([pool[spaced(len(pool))], labelled]).astype(np.float64)  # (s, d)
    mean = rows.mean(axis=0)
    rows -= mean
    d, small = rows.shape[1], rows.shape[0] < rows.shape[1]
    matrix = rows @ rows.T if small else rows.T @ rows
    last = len(matrix) - 1
    values, vectors = eigh(matrix, subset_by_index=[max(last - min(n, d) + 1, 0), last])
    kept = values > 1e-9 * max(float(values[-1]), np.finfo(np.float64).tiny)
    axes = rows.T @ (vectors[:, kept] / np.sqrt(values[kept])) if small else vectors[:, kept]
    return Axes(mean, axes)


class Clouds(NamedTuple):
    """What clouds add to the logits of rows: ``rows @ coef.T + intercept``."""

    coef: Float64
    """(K, r)."""
    intercept: Float64
    """(K,)."""

    def logits(self, rows: Float32) -> Float64:
        """Return (m, K) logits of (m, r) rows."""
        return np.asarray(rows @ self.coef.T + self.intercept)


def find_clouds(
    pool: Float32,  # (N, r) rows without labels
    beliefs: Float64,  # (N, K) log-probabilities of a classifier fitted to the labels only
    rows: Float32,  # (n, r) labelled rows
    codes: Codes,
    weights: Float64,
    strength: float,  # weight of distances beside beliefs: axes are not truly independent
) -> Clouds:
    """Fit one normal cloud to each class, all of the same spread, diagonal along the axes.

    The memberships of a row of the pool are ``softmax(belief - strength * squared distance / 2)``,
    distances in units of the spread; labelled rows belong to their own class. Clouds and
    memberships are computed in turns: O((N + n) r K) time a round and 8·K bytes a row.
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
