"""A random sample of the candidates, which a loop predicts once in each round."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._loops.arrays import uniform_of_rows
from .._loops.fitting import Batch, Trainer, probabilities_of
from .._threads import map_blocks
from ..index.vectors import Matrix, take_rows, vectors_of

__all__ = [
    "CandidateSample",
    "NearestLabels",
    "Neighbours",
    "Predictions",
    "evenness",
    "predictions_of",
    "sample_of",
]

MAX_ROWS = 2000
"""Maximum rows of the sample."""

BLOCK_ROWS = 256
"""Rows that are compared with labelled rows in one block."""


class Predictions(NamedTuple):
    """The predictions of a head for (s,) rows: its (C,) classes, and (s, C) probabilities."""

    classes: NDArray[Any]
    probabilities: NDArray[np.floating[Any]]

    @property
    def labels(self) -> NDArray[Any]:
        """The (s,) most probable classes."""
        return np.asarray(self.classes[self.probabilities.argmax(axis=1)])

    def of(self, some: NDArray[Any]) -> Predictions:
        """Return the predictions of some rows: positions, or a mask."""
        return Predictions(self.classes, self.probabilities[some])


class Neighbours(NamedTuple):
    """Measures of unlabelled rows and of the most similar labelled row of each."""

    agreement: float
    """Share of rows whose most similar labelled row has the predicted class."""
    evenness: float
    """Effective number of labelled rows, as a share of all; see `evenness`."""


class CandidateSample:
    """A random sample of at most 2,000 candidates, the same in every round.

    `rows` are its (s,) ascending rows. `nearest` are their most similar labelled rows. Extra
    memory: 4·d + 12 bytes for each row of length d.
    """

    def __init__(self, trainer: Trainer) -> None:
        candidates = trainer.candidates
        self.rows = candidates[sample_of(candidates, trainer.seed, MAX_ROWS)]  # (s,)
        self.nearest = NearestLabels(trainer.matrix, self.rows)
        self._matrix = trainer.matrix

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        return take_rows(self._matrix, self.rows)  # (s, d)

    def predict(self, head: Any) -> Predictions:
        """Return the predictions of a head for the sample."""
        return Predictions(np.asarray(head.classes_), np.asarray(head.predict_proba(self._vectors)))


class NearestLabels:
    """The most similar labelled row of each of (s,) rows, by cosine.

    `nearest` are the (s,) row numbers of the most similar labelled rows, and `labels` their labels;
    None before the first batch. The first of equally similar rows counts. A batch of b rows takes
    O(s·b·d) time; 20 bytes for each row.
    """

    def __init__(self, matrix: Matrix, rows: NDArray[np.int64]) -> None:
        self._matrix, self._rows = matrix, rows
        self._unit = vectors_of(matrix, "cosine")
        self._cosines = np.full(rows.size, -np.inf, dtype=np.float32)  # (s,), times the row length
        self.nearest = np.full(rows.size, -1)  # (s,)
        self.labels: NDArray[Any] | None = None
        self._seen = 0  # number of batches

    def update(self, batches: Sequence[Batch]) -> None:
        """Compare with the batches that were added since the last call."""
        for batch in batches[self._seen :]:
            self._add(batch)
        self._seen = len(batches)

    def measures(self, rest: NDArray[np.bool_], predicted: NDArray[Any], n: int) -> Neighbours:
        """Return the measures of the rows where the mask `rest` is True.

        `predicted` are the (s,) predicted classes, and `n` is the number of labelled rows.
        """
        same = np.asarray(self.labels == predicted)[rest]
        return Neighbours(float(np.mean(same)), evenness(self.nearest[rest], n))

    def _add(self, batch: Batch) -> None:
        labelled = take_rows(self._unit, batch.rows)  # (b, d)

        def work(part: slice) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
            # The cosines of a row, multiplied by its length, have the same order.
            products = take_rows(self._matrix, self._rows[part]) @ labelled.T  # (p, b)
            best = products.argmax(axis=1)
            return best, products[np.arange(len(best)), best]

        parts = map_blocks(work, self._rows.size, BLOCK_ROWS)
        best, cosines = (np.concatenate(each) for each in zip(*parts, strict=True))  # (s,), (s,)
        labels = batch.labels[best]
        nearer = cosines > self._cosines
        self.nearest[nearer] = batch.rows[best[nearer]]
        self._cosines = np.maximum(cosines, self._cosines)
        self.labels = labels if self.labels is None else np.where(nearer, labels, self.labels)


def evenness(nearest: NDArray[np.int64], n: int) -> float:
    """Return the effective number of labelled rows, divided by their number n; at most 1.

    `nearest` is the most similar labelled row of each unlabelled row. The effective number is
    1 / q, where q is the probability that two random unlabelled rows have the same one (Simpson
    1949). It is n if all labelled rows have equally many unlabelled rows.

    Examples
    --------
    >>> evenness(np.array([7, 7, 7, 9]), n=4)  # 3 of 6 pairs are equal
    0.5
    """
    counts = np.unique(nearest, return_counts=True)[1].astype(np.float64)
    pairs, equal = nearest.size * (nearest.size - 1.0), float(counts @ (counts - 1.0))
    return min(pairs / equal / n, 1.0) if equal else 1.0


def predictions_of(head: Any, matrix: Matrix, rows: NDArray[np.int64]) -> Predictions:
    """Return the predictions of a head for rows of a matrix."""
    classes = np.asarray(head.classes_)
    if not rows.size:
        return Predictions(classes, np.zeros((0, len(classes))))
    return Predictions(classes, probabilities_of(head, matrix, rows))


def sample_of(rows: NDArray[np.int64], seed: int, n: int) -> NDArray[np.intp]:
    """Return the ascending positions of at most `n` random rows."""
    if rows.size <= n:
        return np.arange(rows.size)
    keys = uniform_of_rows(rows, seed, "watched")
    return np.sort(np.argsort(keys, kind="stable")[:n])
