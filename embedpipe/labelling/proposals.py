"""What to look at next: a batch to label, and labels to doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Proposal"]

MOST_CLUSTERED = 500
"""Among more picks clusters are not sought: that takes memory for all pairs."""


@dataclass(frozen=True)
class Proposal:
    """An item to look at.

    Attributes
    ----------
    row, path
        Which.
    label
        What the head says it is; None before there is a head.
    confidence
        The head's probability of that; None likewise.
    group
        What it is shown with: the label, or the name of a cluster.
    """

    row: int
    path: str
    label: str | None
    confidence: float | None
    group: str


def clustered(vectors: NDArray[np.float32]) -> list[str]:
    """Return the name of a cluster for each of (n, d) vectors: about as many as √n.

    By average linkage of cosine distances, which nothing random enters; clusters are named in
    the order in which they come.

    Examples
    --------
    >>> clustered(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]], dtype=np.float32))
    ['cluster 1', 'cluster 2', 'cluster 1', 'cluster 2']
    """
    n = len(vectors)
    count = round(n**0.5)
    if count < 2 or n > MOST_CLUSTERED:
        return ["cluster 1"] * n
    from sklearn.cluster import AgglomerativeClustering

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0.0, lengths, 1.0)
    found = AgglomerativeClustering(count, linkage="average").fit_predict(unit)
    numbers: dict[int, int] = {}
    return [f"cluster {numbers.setdefault(int(each), len(numbers) + 1)}" for each in found]


def together(proposals: Sequence[Proposal]) -> list[Proposal]:
    """Return proposals with those of a group together, groups in the order of their first.

    Examples
    --------
    >>> groups = ["hat", "shoe", "hat"]
    >>> mixed = [Proposal(i, f"{i}.jpg", name, 0.5, name) for i, name in enumerate(groups)]
    >>> [each.row for each in together(mixed)]
    [0, 2, 1]
    """
    first: dict[str, int] = {}
    for place, proposal in enumerate(proposals):
        first.setdefault(proposal.group, place)
    return sorted(proposals, key=lambda proposal: first[proposal.group])
