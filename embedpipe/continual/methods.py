"""How the head of an experience comes from the head before it, the new rows and the buffer."""

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
"""*concatenated*: every row counts alike; *balanced*: the buffer counts as much as the new rows."""


@dataclass(frozen=True)
class Method:
    """One way to learn a stream.

    Attributes
    ----------
    learn
        Makes the head of an experience: from the learner, the head before (None at first) and
        the rows of all experiences so far; then those of the buffer.
    replays
        Whether there is a buffer.
    at_once
        Whether all experiences are learned together, and there is no accuracy before the last.
    """

    learn: Callable[[Learner, Any, Sequence[Batch], Batch], Any]
    replays: bool = False
    at_once: bool = False


class Learner:
    """Trains copies of a head on rows of a stream, and predicts others."""

    def __init__(self, stream: Stream, head: Any, mix: str, seed: int = 0) -> None:
        self.stream, self.head, self.mix, self.seed = stream, head, mix, seed

    @cached_property
    def test(self) -> NDArray[np.int64]:
        """The (t,) rows that are tested, ascending."""
        return np.unique(np.concatenate([each.test for each in self.stream.experiences]))

    def fresh_fit(self, batches: Sequence[Batch]) -> Any:
        """Return a new head, fitted to the first experiences; it sees no rows of later ones."""
        trainer = self._trainer(len(batches))
        return trainer.fit(trainer.fresh(), joined(batches))

    def go_on(self, head: Any, new: Batch, kept: Batch) -> Any:
        """Return the head after learning new rows, and with them what was kept."""
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
        """Return what fits heads, and knows the rows of the first `count` experiences alone."""
        come = np.concatenate([each.train for each in self.stream.experiences[:count]])
        matrix, classes = self.stream.matrix, self.stream.classes
        return Trainer(self.head, matrix, np.sort(come), classes, seed=self.seed)

    def probabilities(self, head: Any, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the (k, K) class probabilities of rows; 0 for classes the head does not know."""
        found = np.zeros((rows.size, self.stream.n_classes))
        if rows.size:
            said = probabilities_of(head, self.stream.matrix, rows)  # (k, C)
            found[:, np.searchsorted(self.stream.classes, head.classes_)] = said
        return found

    def accuracies(self, head: Any) -> NDArray[np.float64]:
        """Return the (T,) shares of test rows that are predicted right, by experience."""
        said = self.probabilities(head, self.test).argmax(axis=1)  # (t,)
        right = said == self.stream.codes[self.test]
        places = (np.searchsorted(self.test, each.test) for each in self.stream.experiences)
        return np.array([right[at].mean() if at.size else np.nan for at in places])


def _naive(learner: Learner, head: Any, batches: Sequence[Batch], kept: Batch) -> Any:
    return learner.go_on(head, batches[-1], kept)


def _from_all(learner: Learner, head: Any, batches: Sequence[Batch], kept: Batch) -> Any:
    return learner.fresh_fit(batches)


def _at_once(learner: Learner, head: Any, batches: Sequence[Batch], kept: Batch) -> Any:
    return _LATEST.fit(learner, batches)


class _Latest:
    """The head that was fitted last: streams that are cut in another way have the same bound."""

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
        """Return what the head follows from, or None if the order of rows may change it."""
        where = memory_map_path(learner.stream.matrix)
        if where is None or not getattr(learner.head, "ignores_row_order", False):
            return None
        order = np.argsort(every.rows)
        told = hashlib.sha256(every.rows[order].tobytes())
        told.update(repr(every.labels[order].tolist()).encode())
        return where, where.stat().st_mtime_ns, told.digest(), repr(identity_of(learner.head))


_LATEST = _Latest()


METHODS: dict[str, Method] = {
    "replay": Method(_naive, replays=True),
    "naive": Method(_naive),
    "cumulative": Method(_from_all),
    "joint": Method(_at_once, at_once=True),
}
"""The methods by name: *replay*, the weights are kept, the new rows and the buffer are learned;
*naive*, the same without a buffer, which loses nothing if the head is exact on streams;
*cumulative*, a fresh head from all rows so far; *joint*, a fresh head from all rows at once."""


def get_method(name: str, head: Any) -> Method:
    """Return the method of that name, or refuse a head that cannot be trained so."""
    if name not in METHODS:
        raise UnknownNameError("method", str(name), METHODS)
    what = type(getattr(head, "estimator", head)).__name__
    if name in ("replay", "naive") and not hasattr(head, "partial_fit"):
        raise UsageError(
            f"a {what} cannot go on learning (it has no partial_fit): use method cumulative or "
            "joint, or a head such as logistic or slda."
        )
    if name == "replay" and getattr(head, "exact_on_streams", False):
        raise UsageError(
            f"a {what} remembers a stream exactly and would count replayed rows twice: use method "
            "naive, which loses nothing with it."
        )
    return METHODS[name]
