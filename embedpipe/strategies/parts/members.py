"""The members of each cluster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Members"]


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
