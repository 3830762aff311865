"""What labels alone tell about whether a head can be trusted yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..._threads import map_blocks
from ...index.frame import safe_frame
from ...index.vectors import Vectors, row_blocks
from ..pool import Pool

__all__ = ["Readiness"]

MOST = 2048
"""At most so many labelled rows are tried out."""

ROWS = 256
"""How many of them at once."""

SUMMED = 512
"""How many vectors are added up at once; part of what the means follow from."""


@dataclass(frozen=True)
class Readiness:
    """What the labelled rows of a pool tell about the rest.

    Attributes
    ----------
    labels, classes
        How many labels there are, and of how many classes.
    unseen
        The Good–Turing estimate of how likely the next item is of a class without labels: the
        share of the labels that are the only one of their class.
    accuracy
        How often the nearest class mean is right about a labelled item that is left out of it.
    chance
        How often always guessing the most frequent class would be.

    Examples
    --------
    >>> matrix = np.array([[0], [1], [10], [11], [30], [5]], dtype=np.float32)
    >>> pool = Pool(matrix, labelled=range(5), labels=["a", "a", "b", "b", "c"])
    >>> Readiness.of(pool)
    Readiness(labels=5, classes=3, unseen=0.2, accuracy=0.8, chance=0.4)
    """

    labels: int
    classes: int
    unseen: float
    accuracy: float
    chance: float

    @classmethod
    def of(cls, pool: Pool) -> Readiness:
        """Measure the labelled rows of a pool that has labels."""
        names, own = np.unique(np.asarray(pool.labels), return_inverse=True)  # (C,), (m,)
        order = np.argsort(pool.labelled)  # the order of labelling must not matter
        rows, own = pool.labelled[order], own.ravel()[order]
        counts = np.bincount(own)  # (C,)
        return cls(
            labels=rows.size,
            classes=names.size,
            unseen=float((counts == 1).sum() / rows.size),
            accuracy=_left_out_accuracy(pool.vectors, rows, own, counts),
            chance=float(counts.max() / rows.size),
        )


def _left_out_accuracy(
    vectors: Vectors,
    rows: NDArray[np.int64],
    own: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> float:
    """Return how often the nearest mean is of the own class; wrong for what is alone in it."""
    frame, _ = safe_frame(vectors, rows)
    means = np.zeros((counts.size, vectors.shape[1]))  # (C, d)
    for part in row_blocks(rows.size, SUMMED):
        np.add.at(means, own[part], frame.rows(rows[part]).vectors)
    means = (means / counts[:, None]).astype(np.float32)
    norms = np.einsum("ij,ij->i", means, means).astype(np.float64)  # (C,)
    tried = np.arange(0, rows.size, -(-rows.size // MOST))  # (t,)
    others = np.maximum(counts - 1, 1)
    right = np.zeros(tried.size, dtype=np.bool_)

    def work(part: slice) -> None:
        at = tried[part]
        moved = frame.rows(rows[at])
        away = moved.norms[:, None] + norms - 2.0 * (moved.vectors @ means.T)  # (b, C)
        each, mine = np.arange(at.size), own[at]
        # Without x, the mean of its class is n/(n − 1) times as far from it.
        away[each, mine] *= np.square(counts[mine] / others[mine])
        nearest = away.argmin(axis=1) == mine
        right[part] = nearest & (counts[mine] > 1)

    map_blocks(work, tried.size, ROWS)
    return float(right.mean())
