"""k-means that gives the same clusters on any number of threads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks

__all__ = ["Clusters", "kmeans"]

BLOCK = 2048
"""How many vectors are compared with the centres at once."""


@dataclass(frozen=True)
class Clusters:
    """A partition of p points.

    Attributes
    ----------
    labels
        (p,) int32, the cluster of each point.
    sizes
        (k,) int64, at least 1 each.
    """

    labels: NDArray[np.int32]
    sizes: NDArray[np.int64]


def kmeans(vectors: NDArray[np.float32], k: int, seed: int, iterations: int = 20) -> Clusters:
    """Partition distinct vectors into `k` clusters, none empty."""
    p = len(vectors)
    rng = np.random.default_rng(seed)
    centres = vectors[np.sort(rng.choice(p, size=k, replace=False))].astype(np.float32)  # (k, m)
    labels = np.zeros(p, dtype=np.int32)
    away = np.zeros(p, dtype=np.float32)
    for _ in range(iterations):
        norms = np.einsum("ij,ij->i", centres, centres)  # (k,)
        before = labels.copy()

        def work(
            part: slice,
            centres: NDArray[np.float32] = centres,
            norms: NDArray[np.float32] = norms,
        ) -> None:
            gaps = vectors[part] @ (-2 * centres.T) + norms  # (b, k)
            labels[part] = gaps.argmin(axis=1)
            own = np.einsum("ij,ij->i", vectors[part], vectors[part])
            away[part] = gaps.min(axis=1) + own

        map_blocks(work, p, BLOCK)
        sizes = np.bincount(labels, minlength=k)
        for empty in np.flatnonzero(sizes == 0):
            candidate = int(np.where(sizes[labels] > 1, away, -np.inf).argmax())
            sizes[labels[candidate]] -= 1
            labels[candidate], away[candidate] = empty, -np.inf
            sizes[empty] = 1
        if (labels == before).all():
            break
        order = np.argsort(labels, kind="stable")
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        sums = np.add.reduceat(vectors[order], starts, axis=0, dtype=np.float64)
        centres = (sums / sizes[:, None]).astype(np.float32)
    return Clusters(labels, sizes.astype(np.int64))
