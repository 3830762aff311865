"""Training of a head on the experiences of a stream, and its tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._loops.arrays import memory_map_path
from .._loops.fitting import Batch, Trainer, joined, probabilities_of
from .._loops.runs import identity_of
from ..heads import UpdateRule
from .rehearsal import Rehearsal
from .stream import Stream

__all__ = ["MIXES", "Learner"]

MIXES = ("concatenated", "balanced")
"""*concatenated*: all rows have the same weight. *balanced*: the buffer has the same total weight
as the new rows."""


class Learner:
    """Trains copies of a head on rows of a stream, and tests them."""

    def __init__(self, stream: Stream, head: Any, mix: str, seed: int = 0) -> None:
        self.stream, self.head, self.mix, self.seed = stream, head, mix, seed

    @cached_property
    def test(self) -> NDArray[np.int64]:
        """The (t,) test rows, ascending."""
        return np.unique(np.concatenate([each.test for each in self.stream.experiences]))

    def fresh_fit(self, batches: Sequence[Batch]) -> Any:
        """Return a new head, fitted to `batches`: the labelled rows of the first experiences."""
        return self.fit_to(joined(batches), len(batches))

    def fit_to(self, rows: Batch, count: int) -> Any:
        """Return a new head, fitted to rows of the first `count` experiences."""
        trainer = self._trainer(count)
        return trainer.fit(trainer.fresh(), rows)

    def fit_at_once(self, batches: Sequence[Batch]) -> Any:
        """Return `fresh_fit`, from a cache if the last stream had the same rows."""
        return _LATEST.fit(self, batches)

    def continue_fit(self, head: Any, new: Batch, kept: Batch) -> Any:
        """Return the head after training on new rows and the rows of the buffer."""
        trainer = self._trainer(1)
        if not kept.rows.size:
            return trainer.partial_fit(self._started(head, trainer), new)
        if self.mix == "balanced" and getattr(head, "accepts_update_rule", False):
            return self.train(head, new, Rehearsal(self.vectors(kept), kept.labels))
        both = joined([kept, new])
        if self.mix == "concatenated":
            return trainer.partial_fit(head, both)
        weights = np.ones(both.rows.size)
        weights[: kept.rows.size] = new.rows.size / kept.rows.size
        return head.partial_fit(self.vectors(both), both.labels, sample_weight=weights)

    def train(self, head: Any, new: Batch, rule: UpdateRule) -> Any:
        """Return the head after training on new rows by a rule."""
        trainer = self._trainer(1)
        return trainer.partial_fit(self._started(head, trainer), new, rule=rule)

    def vectors(self, batch: Batch) -> NDArray[np.float32]:
        """Return the (b, d) embeddings of labelled rows."""
        return self.stream.matrix[batch.rows]

    @staticmethod
    def _started(head: Any, trainer: Trainer) -> Any:
        return trainer.fresh() if head is None else head

    def _trainer(self, count: int) -> Trainer:
        """Return a trainer whose candidates are the rows of the first `count` experiences."""
        rows = np.concatenate([each.train for each in self.stream.experiences[:count]])
        matrix, classes = self.stream.matrix, self.stream.classes
        return Trainer(self.head, matrix, np.sort(rows), classes, seed=self.seed)

    def probabilities(self, head: Any, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the (k, K) class probabilities of rows; 0 for classes that the head lacks."""
        probabilities = np.zeros((rows.size, self.stream.n_classes))
        if rows.size:
            columns = np.searchsorted(self.stream.classes, head.classes_)
            probabilities[:, columns] = probabilities_of(head, self.stream.matrix, rows)  # (k, C)
        return probabilities

    def accuracies(self, head: Any) -> NDArray[np.float64]:
        """Return the (T,) accuracies on the test rows of each experience."""
        predicted = self.probabilities(head, self.test).argmax(axis=1)  # (t,)
        correct = predicted == self.stream.codes[self.test]
        places = (np.searchsorted(self.test, each.test) for each in self.stream.experiences)
        return np.array([correct[at].mean() if at.size else np.nan for at in places])


class _Latest:
    """Cache of the last ``joint`` head, shared by streams that divide the same rows differently."""

    def __init__(self) -> None:
        self._known: tuple[object, Any] | None = None

    def fit(self, learner: Learner, batches: Sequence[Batch]) -> Any:
        key = self._key(learner, joined(batches))
        if key is None:
            return learner.fresh_fit(batches)
        if self._known is None or self._known[0] != key:
            self._known = key, learner.fresh_fit(batches)
        return deepcopy(self._known[1])

    def _key(self, learner: Learner, every: Batch) -> object:
        """Return a key of the fit, or None if the order of rows can change the result."""
        path = memory_map_path(learner.stream.matrix)
        if path is None or not getattr(learner.head, "ignores_row_order", False):
            return None
        order = np.argsort(every.rows)
        digest = hashlib.sha256(every.rows[order].tobytes())
        digest.update(repr(every.labels[order].tolist()).encode())
        return path, path.stat().st_mtime_ns, digest.digest(), repr(identity_of(learner.head))


_LATEST = _Latest()
