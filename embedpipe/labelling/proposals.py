"""Items to look at: proposals, their clusters, doubted labels and similar items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks

__all__ = ["LabelDoubts", "Proposal", "clustered", "most_similar", "together"]

MAX_CLUSTERED = 500
"""Maximum picks that are clustered: clustering takes memory for all pairs."""

BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Proposal:
    """An item to look at.

    Attributes
    ----------
    row, path
        Which.
    label
        The predicted class; None before there is a model.
    confidence
        Its probability; None likewise.
    group
        The label or the name of a cluster, with which it is shown.
    """

    row: int
    path: str
    label: str | None
    confidence: float | None
    group: str


@dataclass(frozen=True)
class LabelDoubts:
    """Labels that are likely wrong.

    Attributes
    ----------
    proposals
        The most doubtful first.
    labelled, judged
        Number of labels, and of those that could be judged.
    reason
        Why none was judged; None if some were.
    """

    proposals: list[Proposal]
    labelled: int
    judged: int
    reason: str | None


def clustered(vectors: NDArray[np.float32]) -> list[str]:
    """Return the name of a cluster for each of (n, d) vectors: about √n clusters."""
    # Average linkage of cosine distances: nothing is random. Clusters are named as they come.
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


def together(proposals: Sequence[Proposal]) -> list[Proposal]:
    """Return proposals with those of a group together, groups in the order of their first."""
    first: dict[str, int] = {}
    for place, proposal in enumerate(proposals):
        first.setdefault(proposal.group, place)
    return sorted(proposals, key=lambda proposal: first[proposal.group])


def most_similar(matrix: NDArray[np.float32], row: int, n: int) -> NDArray[np.int64]:
    """Return the `n` rows most like one of (m, d) vectors by angle, nearest first."""
    # Ties by lowest row; O(m·d) time, 4 bytes a row.
    wanted = matrix[row]
    found = np.empty(len(matrix), dtype=np.float32)

    def work(part: slice) -> None:
        rows = matrix[part]
        lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
        np.divide(rows @ wanted, np.where(lengths > 0.0, lengths, 1.0), out=found[part])

    map_blocks(work, len(matrix), BLOCK_ROWS)
    found[row] = -np.inf
    n = min(n, len(matrix) - 1)
    least = -np.partition(-found, n - 1)[n - 1] if n else np.inf
    near = np.flatnonzero(found >= least)
    near = near[np.argsort(-found[near], kind="stable")]
    return np.asarray(near[near != row][:n], dtype=np.int64)
