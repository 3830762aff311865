"""Fitting heads to rows of a matrix, and predicting others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._seeds import seeded
from ..heads import get_head
from ..index.vectors import block_rows, row_blocks, take_rows
from .draws import uniform_of_rows

__all__ = [
    "UNLABELLED",
    "Batch",
    "Trainer",
    "joined",
    "probabilities_of",
    "reports_of",
    "run_head",
    "timed",
]

T = TypeVar("T")

UNLABELLED = 20_000
"""Maximum unlabelled rows for a head that learns from them."""

PREDICT_BYTES = 64 << 20
"""Bytes of vectors that are gathered at a time, where the rows are not consecutive."""


def run_head(given: Any, seed: int) -> Any:
    """Return an unfitted head from a spec string or a classifier; its open seeds are the run's."""
    return seeded(get_head(given) if isinstance(given, str) else given, seed)


@dataclass(frozen=True)
class Batch:
    """The labels of one round: (b,) int64 rows, and their (b,) labels."""

    rows: NDArray[np.int64]
    labels: NDArray[Any]


class Trainer:
    """Fits copies of a head to rows of an (n, d) matrix; modes choose the rows.

    `candidates` are the rows that may be labelled, ascending; `classes` all labels that may come,
    for heads that must know them before they learn; `buffer_size` is of mode ``replay``.
    """

    def __init__(
        self,
        head: Any,
        matrix: NDArray[np.float32],
        candidates: NDArray[np.int64],
        classes: NDArray[Any],
        *,
        seed: int = 0,
        buffer_size: int = 0,
    ) -> None:
        self.head, self.matrix, self.candidates, self.classes = head, matrix, candidates, classes
        self.seed, self.buffer_size = seed, buffer_size

    def fresh(self, **parameters: Any) -> Any:
        """Return an unfitted copy of the head, with some of its parameters set."""
        from sklearn.base import clone

        return clone(self.head).set_params(**parameters)

    def fit(self, head: Any, batch: Batch) -> Any:
        """Fit `head` to labelled rows, and show it the others if it learns from them."""
        rest = self._rest(head, batch)
        return head.fit(self.matrix[batch.rows], batch.labels, **rest)

    def partial_fit(self, head: Any, batch: Batch) -> Any:
        """Let `head` go on learning, from these rows."""
        known = {} if getattr(head, "accepts_new_classes", False) else {"classes": self.classes}
        return head.partial_fit(self.matrix[batch.rows], batch.labels, **known)

    def judged(self, head: Any, batch: Batch, *, thorough: bool = True) -> tuple[float | None, int]:
        """Return a head's own cross-validated accuracy and its rows, or if `thorough` a new one."""
        told = getattr(head, "cv_accuracy_", None)
        if told is not None:
            return float(told), int(head.cv_n_)
        return self.cross_validated(batch) if thorough else (None, 0)

    def cross_validated(self, batch: Batch) -> tuple[float | None, int]:
        """Return the accuracy of fresh heads on unseen rows, and their number; or (None, 0)."""
        from ..heads import cross_validated_probabilities

        vectors = self.matrix[batch.rows]  # (m, d)
        rest = self._rest(self.head, batch)
        try:
            found, scored = cross_validated_probabilities(
                self.fresh(), vectors, batch.labels, **rest
            )
        except ValueError:  # such as five neighbours, and five labels in all: it cannot be told
            return None, 0
        if not scored.any():
            return None, 0
        said = np.unique(batch.labels)[found.argmax(axis=1)]  # (m,)
        return float(np.mean(said[scored] == batch.labels[scored])), int(scored.sum())

    def _rest(self, head: Any, batch: Batch) -> dict[str, Any]:
        """Return the unlabelled rows as an argument, for a head that learns from them."""
        if not getattr(head, "uses_unlabelled", False):
            return {}
        rows = self.unlabelled(batch.rows)
        return {"unlabelled": take_rows(self.matrix, rows)} if rows.size else {}

    def unlabelled(self, labelled: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows that a semi-supervised head sees, ascending: at most 20,000, by seed."""
        rows = self.candidates
        if rows.size > UNLABELLED:
            keys = uniform_of_rows(rows, self.seed, "unlabelled")
            rows = rows[np.sort(np.argpartition(keys, UNLABELLED)[:UNLABELLED])]
        return np.setdiff1d(rows, labelled, assume_unique=True)

    def buffer(self, batches: Sequence[Batch]) -> Batch:
        """Return what a reservoir keeps of these labels: each with the same chance."""
        # The highest random keys: the sample of a reservoir that saw the rows one by one.
        every = joined(batches)
        keys = uniform_of_rows(every.rows, self.seed, "replay")
        kept = np.sort(np.argsort(-keys, kind="stable")[: self.buffer_size])
        return Batch(every.rows[kept], every.labels[kept])


def joined(batches: Sequence[Batch]) -> Batch:
    """Return several batches as one, in their order."""
    return Batch(
        np.concatenate([batch.rows for batch in batches]),
        np.concatenate([batch.labels for batch in batches]),
    )


def probabilities_of(
    head: Any, matrix: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[Any]:
    """Return the class probabilities of (k,) rows, at least one: (k, C)."""
    size = block_rows(matrix.shape[1], PREDICT_BYTES)
    parts = [
        np.asarray(head.predict_proba(take_rows(matrix, rows[part])))
        for part in row_blocks(rows.size, size)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return the result of `work`, and the seconds that it took."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def reports_of(head: Any, names: Iterable[str]) -> dict[str, float | str | None]:
    """Return those of a head's attributes that are a number or a text."""
    found: dict[str, float | str | None] = {}
    for name in names:
        value = getattr(head, name, None)
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, (int, float, str)):
            found[name] = value
    return found
