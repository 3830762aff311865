"""What the predictions of a pool say, looked at a block at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import SelectionError
from ...index.blocks import row_blocks
from ..pool import Pool
from .uncertainty import Uncertainty

__all__ = ["label_columns", "two_largest", "uncertainty_of"]

ROWS = 4096
"""How many predictions are looked at once: some classes make for many bytes."""


def label_columns(pool: Pool, n_columns: int) -> NDArray[np.int64]:
    """Return the column of each labelled row's class: (m,) int64, -1 where there is none.

    Parameters
    ----------
    pool
        With labels.
    n_columns
        How many columns its predictions have.

    Raises
    ------
    SelectionError
        If it is not known which class each column stands for.

    Examples
    --------
    >>> pool = Pool(np.eye(3, dtype=np.float32), labelled=[0, 2], labels=["hat", "dress"])
    >>> label_columns(pool, 2).tolist()
    [1, 0]
    """
    classes = pool.classes.tolist()
    if len(classes) != n_columns:
        raise SelectionError(
            f"the predictions have {n_columns} columns, but {len(classes)} classes are labelled: "
            "give the pool a fitted `head`, which says what its columns stand for."
        )
    column = {label: number for number, label in enumerate(classes)}
    labels = [] if pool.labels is None else pool.labels.tolist()
    return np.array([column.get(label, -1) for label in labels], dtype=np.int64)


def uncertainty_of(
    pool: Pool, uncertainty: Uncertainty, rows: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return how unsure the head is of rows: (k,), without a copy of all their predictions.

    Parameters
    ----------
    pool
        With predictions.
    uncertainty
        Function of predictions, such as `margin`.
    rows
        (k,) rows of the matrix. Default: the unlabelled.

    Examples
    --------
    >>> from embedpipe.strategies.parts.uncertainty import margin
    >>> pool = Pool(np.eye(2, dtype=np.float32), probabilities=lambda rows: [[1, 0], [0.5, 0.5]])
    >>> uncertainty_of(pool, margin, np.array([1, 0])).tolist()
    [1.0, 0.0]
    """
    wanted = pool.unlabelled if rows is None else rows
    found = np.empty(wanted.size)
    for part in row_blocks(wanted.size, ROWS):
        found[part] = uncertainty(pool.probabilities(wanted[part]))
    return found


def two_largest(
    probabilities: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Return the most probable class of (k, C) predictions, its probability and the next: (k,).

    With a single class the next is 0; the first of equally probable classes counts.

    Examples
    --------
    >>> [found.tolist() for found in two_largest(np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))]
    [[1, 0], [0.75, 0.5], [0.25, 0.5]]
    """
    best = np.empty(len(probabilities), dtype=np.int64)
    first, second = np.zeros((2, best.size), dtype=np.float32)
    for part in row_blocks(best.size, ROWS):
        some = probabilities[part]  # (b, C)
        best[part], first[part] = some.argmax(axis=1), some.max(axis=1)
        if some.shape[1] > 1:
            second[part] = np.partition(some, -2, axis=1)[:, -2]
    return best, first, second
