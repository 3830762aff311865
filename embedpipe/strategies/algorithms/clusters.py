"""Members of clusters, and the vector nearest to each cluster centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...index import kmeans, squared_distances
from ...index.vectors import row_blocks

__all__ = ["Members", "representatives"]

ROWS = 512
"""Vectors per block."""

EQUAL = 1e-5
"""Relative difference below which squared distances are ties, because centres are float32."""


@dataclass(frozen=True)
class Members:
    """The positions of the members of each cluster."""

    starts: NDArray[np.int64]  # (k + 1,), cluster i is order[starts[i]:starts[i + 1]]
    order: NDArray[np.int64]  # (p,), ascending within each cluster

    @classmethod
    def of(cls, labels: NDArray[np.integer], k: int) -> Members:
        """Group the positions of (p,) labels from 0 to `k` - 1."""
        starts = np.concatenate([[0], np.bincount(labels, minlength=k).cumsum()])  # (k + 1,)
        return cls(starts.astype(np.int64), np.argsort(labels, kind="stable"))

    @property
    def counts(self) -> NDArray[np.int64]:
        """The number of members of each cluster: (k,)."""
        return np.diff(self.starts)

    def __getitem__(self, cluster: int) -> NDArray[np.int64]:
        """Return the members of one cluster, ascending."""
        return self.order[self.starts[cluster] : self.starts[cluster + 1]]


def representatives(
    vectors: NDArray[np.float32], k: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the vector nearest to each k-means centre, and the cluster sizes: (k,), (k,)."""
    # Ties, within rounding error, go to the first vector. The two vectors of a cluster of two are a
    # tie.
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
