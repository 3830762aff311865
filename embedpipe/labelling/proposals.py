"""Proposed items, their clusters, doubtful labels, and similar items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..index.cosines import cosines_to, nearest_rows

__all__ = ["LabelDoubts", "Proposal", "cluster_names", "most_similar", "sorted_by_group"]

MAX_CLUSTERED = 500
"""Maximum items that are clustered; memory grows with the number of pairs."""


@dataclass(frozen=True)
class Proposal:
    """An item that a person should see."""

    row: int
    path: str
    label: str | None  # predicted class; None without a model
    confidence: float | None  # probability of `label`
    group: str  # class or cluster under which the item is shown


@dataclass(frozen=True)
class LabelDoubts:
    """Labels that are likely wrong."""

    proposals: list[Proposal]  # the most doubtful first
    labelled: int  # number of labels
    judged: int  # number of labels that could be checked
    reason: str | None  # why no label was checked; None if one was checked


def cluster_names(vectors: NDArray[np.float32]) -> list[str]:
    """Return the (n,) cluster names of (n, d) vectors; there are about √n clusters."""
    # Average linkage of unit vectors, without randomness. Clusters are numbered in order of
    # first appearance.
    n = len(vectors)
    count = round(n**0.5)
    if count < 2 or n > MAX_CLUSTERED:
        return ["cluster 1"] * n
    from sklearn.cluster import AgglomerativeClustering

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0.0, lengths, 1.0)
    found = AgglomerativeClustering(count, linkage="average").fit_predict(unit)
    numbers: dict[int, int] = {}
    return [f"cluster {numbers.setdefault(int(each), len(numbers) + 1)}" for each in found]


def sorted_by_group(proposals: Sequence[Proposal]) -> list[Proposal]:
    """Return proposals sorted by group; groups keep the order of their first proposals."""
    first: dict[str, int] = {}
    for place, proposal in enumerate(proposals):
        first.setdefault(proposal.group, place)
    return sorted(proposals, key=lambda proposal: first[proposal.group])


def most_similar(matrix: NDArray[np.float32], row: int, n: int) -> NDArray[np.int64]:
    """Return the `n` other rows of an (m, d) matrix with the smallest angles to `row`."""
    cosines = cosines_to(matrix, matrix[row])
    cosines[row] = -np.inf
    return nearest_rows(cosines, min(n, len(matrix) - 1))
