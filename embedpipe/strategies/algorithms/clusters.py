"""Clusters: the members of each, and the vector nearest to each centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...index import kmeans, squared_distances
from ...index.vectors import row_blocks

__all__ = ["Members", "representatives"]

ROWS = 512
"""How many vectors are compared with the centres of their clusters at once."""

EQUAL = 1e-5
"""Squared distances that differ by a smaller share are equal: centres are float32."""


@dataclass(frozen=True)
class Members:
    """Which positions have which label.

    Attributes
    ----------
    starts
        (k + 1,) int64: the members of cluster i are ``order[starts[i]:starts[i + 1]]``.
    order
        (p,) int64 positions, ascending within each cluster.

    Notes
    -----
    8 bytes per position.

    Examples
    --------
    >>> members = Members.of(np.array([1, 0, 1]), 2)
    >>> members[1].tolist(), members.counts.tolist()
    ([0, 2], [1, 2])
    """

    starts: NDArray[np.int64]
    order: NDArray[np.int64]

    @classmethod
    def of(cls, labels: NDArray[np.integer], k: int) -> Members:
        """Gather (p,) labels from 0 to `k` - 1."""
        starts = np.concatenate([[0], np.bincount(labels, minlength=k).cumsum()])  # (k + 1,)
        return cls(starts.astype(np.int64), np.argsort(labels, kind="stable"))

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many members each cluster has: (k,)."""
        return np.diff(self.starts)

    def __getitem__(self, cluster: int) -> NDArray[np.int64]:
        """Return the members of one cluster, ascending."""
        return self.order[self.starts[cluster] : self.starts[cluster + 1]]


def representatives(
    vectors: NDArray[np.float32], k: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the vector nearest to each centre of k-means, and the clusters' sizes: (k,), (k,)."""
    # Of several that are nearest up to rounding it is the first; of two members it is the first.
    clusters = kmeans(vectors, k, seed)
    away = np.empty(len(vectors))
    for part in row_blocks(len(vectors), ROWS):
        centres = clusters.centres[clusters.labels[part]]  # (b, d)
        away[part] = squared_distances(vectors[part], centres)
    nearest = np.full(k, np.inf)
    np.minimum.at(nearest, clusters.labels, away)
    near = np.flatnonzero(away <= nearest[clusters.labels] * (1 + EQUAL))
    _, first = np.unique(clusters.labels[near], return_index=True)  # (k,)
    return near[first].astype(np.int64), clusters.sizes
