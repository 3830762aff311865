"""The methods of continual learning: how a head learns an experience."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._loops.arrays import memory_map_path
from .._loops.fitting import Batch, Trainer, joined, probabilities_of
from .._loops.runs import identity_of
from ..errors import UnknownNameError, UsageError
from .stream import Stream

__all__ = ["METHODS", "MIXES", "Learner", "Method", "get_method"]

MIXES = ("concatenated", "balanced")
"""*concatenated*: all rows have the same weight. *balanced*: the buffer has the same total weight
as the new rows."""


@dataclass(frozen=True)
class Method:
    """A method of continual learning."""

    learn: Callable[[Learner, Any, Sequence[Batch], Batch], Any]
    """Returns the new head. Its arguments are the learner, the last head or None, the labelled rows
    of each experience so far, and the rows of the buffer."""
    replays: bool = False
    """Whether the method uses a replay buffer."""
    at_once: bool = False
    """Whether all experiences are learned together, so that the run has one record."""


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
        trainer = self._trainer(len(batches))
        return trainer.fit(trainer.fresh(), joined(batches))

    def continue_fit(self, head: Any, new: Batch, kept: Batch) -> Any:
        """Return the head after training on new rows and the rows of the buffer."""
        trainer = self._trainer(1)
        head = trainer.fresh() if head is None else head
        if not kept.rows.size:
            return trainer.partial_fit(head, new)
        both = joined([kept, new])
        if self.mix == "concatenated":
            return trainer.partial_fit(head, both)
        weights = np.ones(both.rows.size)
        weights[: kept.rows.size] = new.rows.size / kept.rows.size
        matrix = self.stream.matrix
        return head.partial_fit(matrix[both.rows], both.labels, sample_weight=weights)

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


def _naive(learner: Learner, head: Any, batches: Sequence[Batch], kept: Batch) -> Any:
    return learner.continue_fit(head, batches[-1], kept)


def _from_all(learner: Learner, head: Any, batches: Sequence[Batch], kept: Batch) -> Any:
    return learner.fresh_fit(batches)


def _at_once(learner: Learner, head: Any, batches: Sequence[Batch], kept: Batch) -> Any:
    return _LATEST.fit(learner, batches)


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


METHODS: dict[str, Method] = {
    "replay": Method(_naive, replays=True),
    "naive": Method(_naive),
    "cumulative": Method(_from_all),
    "joint": Method(_at_once, at_once=True),
}
"""The methods by name; see `ContinualOptions`."""


def get_method(name: str, head: Any) -> Method:
    """Return the method of that name; refuse a head that does not support it."""
    if name not in METHODS:
        raise UnknownNameError("method", str(name), METHODS)
    kind = type(getattr(head, "estimator", head)).__name__
    if name in ("replay", "naive") and not hasattr(head, "partial_fit"):
        raise UsageError(
            f"method {name} needs a head with partial_fit, which {kind} does not have: use method "
            "cumulative or joint, or a head such as logistic or slda."
        )
    if name == "replay" and getattr(head, "exact_on_streams", False):
        raise UsageError(
            f"{kind} is exact on streams and would count replayed rows twice: use method naive, "
            "which gives the same head as all rows at once."
        )
    return METHODS[name]
