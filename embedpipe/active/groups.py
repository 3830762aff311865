"""Which items a pick stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..embedding import Embeddings
from ..index import nearest_of_set, vectors_of
from ..strategies.parts.metric import METRIC
from ..strategies.pool import checked_rows
from .selecting import pool_of

__all__ = ["Group", "groups"]


@dataclass(frozen=True)
class Group:
    """The items that a pick stands for: no other pick and no labelled item is nearer to them.

    Attributes
    ----------
    rows
        (k,) int64 unlabelled rows, nearest first, ties by lowest row; the pick is not among them.
    distances
        (k,) float32 distances to the pick, in the unit of the metric.
    """

    rows: NDArray[np.int64]
    distances: NDArray[np.float32]


def groups(
    embeddings: Embeddings | ArrayLike,
    picks: ArrayLike,
    *,
    labelled: ArrayLike | None = None,
    labels: Mapping[str, str] | None = None,
    candidates: ArrayLike | None = None,
    metric: str = METRIC,
) -> list[Group]:
    """Return the items that each pick stands for.

    Every unlabelled item that was not picked belongs to the nearest pick, or to none if a
    labelled item is nearer.

    Parameters
    ----------
    embeddings
        Of a dataset, or any (m, d) array.
    picks
        (n,) distinct rows, such as ``Selection.rows``.
    labelled, labels, candidates
        As for `select`.
    metric
        ``"cosine"``: distances are between vectors scaled to unit length, as most heads see them;
        ``"euclidean"``: between vectors as they are. That of the strategy, if it has one.

    Returns
    -------
    list of Group
        One for each pick, in their order.

    Notes
    -----
    O(u·(n + m)·d) time for u unlabelled and m labelled items, searched by FAISS; 32 bytes of
    extra memory per item.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[0.0], [1], [2], [9], [7], [20]], dtype=np.float32)
    >>> found = groups(points, picks=[1, 3], labelled=[5], metric="euclidean")
    >>> [group.rows.tolist() for group in found]
    [[0, 2], [4]]
    >>> found[1].distances.tolist()
    [2.0]
    """
    pool = pool_of(embeddings, labelled=labelled, labels=labels, candidates=candidates)
    pool.check_finite()
    vectors = vectors_of(pool.embeddings, metric)
    chosen = checked_rows(picks, len(pool.embeddings), "picks")  # (n,)
    if not chosen.size:
        return []
    rest = np.setdiff1d(pool.unlabelled, chosen, assume_unique=True)  # (r,)
    # Picks come first: of two that are equally near, a pick is named rather than a labelled item.
    centres = np.concatenate([chosen, np.setdiff1d(pool.labelled, chosen)])
    nearest, distances = nearest_of_set(vectors, rest, centres)
    order = np.lexsort((rest, distances, nearest))
    starts = np.searchsorted(nearest[order], chosen, side="left")
    stops = np.searchsorted(nearest[order], chosen, side="right")
    return [
        Group(rest[order[a:b]], distances[order[a:b]].astype(np.float32))
        for a, b in zip(starts, stops, strict=True)
    ]
