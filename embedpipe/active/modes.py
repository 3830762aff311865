"""Training modes: how the head of a round comes from the head before it and the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnknownNameError, UsageError
from ..index.blocks import take_rows
from .oracle import uniform_of_rows

__all__ = ["MODES", "UNLABELLED", "Batch", "Mode", "Trainer", "get_mode"]

UNLABELLED = 20_000
"""As many unlabelled rows at most are shown to a head that learns from them."""


@dataclass(frozen=True)
class Batch:
    """The labels of one round: (b,) int64 rows, and their (b,) labels."""

    rows: NDArray[np.int64]
    labels: NDArray[Any]


class Trainer:
    """Fits heads to rows of a matrix; modes say to which.

    Parameters
    ----------
    head
        What is fitted: copies of it, so that it stays as it is.
    matrix
        (n, d) float32.
    candidates
        Rows that may be labelled, ascending.
    classes
        All labels that may come, for heads that must know them before they learn.
    seed
        What is drawn follows from it.
    buffer_size
        How many earlier labels ``replay`` learns again.
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
        known = {} if _takes_new_classes(head) else {"classes": self.classes}
        return head.partial_fit(self.matrix[batch.rows], batch.labels, **known)

    def cross_validated(self, batch: Batch) -> tuple[float | None, int]:
        """Return the accuracy of fresh heads on labelled rows that they did not see.

        Returns
        -------
        accuracy
            None if no row can be scored, or the head cannot learn from four fifths of the rows.
        n
            How many rows were scored.
        """
        from ..heads._cross_validation import cross_validated_probabilities

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
        """Return the candidates that a semi-supervised head is shown, ascending.

        Of more than 20,000, those are drawn by the seed; the same in each round, but for what
        has been labelled since.
        """
        rows = self.candidates
        if rows.size > UNLABELLED:
            keys = uniform_of_rows(rows, self.seed, "unlabelled")
            rows = rows[np.sort(np.argpartition(keys, UNLABELLED)[:UNLABELLED])]
        return np.setdiff1d(rows, labelled, assume_unique=True)

    def buffer(self, batches: Sequence[Batch]) -> Batch:
        """Return what a reservoir keeps of these labels: each with the same chance.

        The rows with the highest random keys: the same sample as a reservoir that saw them one
        by one, without its state.
        """
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


Train = Callable[[Trainer, Any, Sequence[Batch]], Any]
"""From the head before (None at first; it may be changed) and all batches, oldest first."""


@dataclass(frozen=True)
class Mode:
    """One way to train the head from round to round.

    Attributes
    ----------
    train
        Makes the head of a round from the head before it and the batches so far, of which none
        is empty.
    from_all
        Whether the head of a round has learned from all labels equally, so that it is judged by
        cross-validation on them.
    needs_history
        Whether the head depends on the heads before, which are then trained again when a run is
        continued.
    needs
        What the head must have: the method ``partial_fit``, the parameter ``warm_start``.
    """

    train: Train
    from_all: bool
    needs_history: bool
    needs: str | None = None

    def check(self, name: str, head: Any) -> None:
        """Refuse a head that cannot be trained in this mode.

        Raises
        ------
        UsageError
            With the modes that the head can be trained in.
        """
        if not _has(head, self.needs):
            able = [other for other, mode in MODES.items() if _has(head, mode.needs)]
            what = "method partial_fit" if self.needs == "partial_fit" else f"{self.needs} option"
            raise UsageError(
                f"mode {name!r} goes on from the weights of the round before, and a "
                f"{type(getattr(head, 'estimator', head)).__name__} has no {what} for that: use "
                f"mode {' or '.join(able)}, or a head such as mlp."
            )


def _has(head: Any, what: str | None) -> bool:
    if what is None:
        return True
    return hasattr(head, what) if what == "partial_fit" else what in head.get_params(deep=False)


def _takes_new_classes(head: Any) -> bool:
    """Return whether classes may come later; scikit-learn's own must be told of all at first."""
    from ..heads.foreign import ForeignHead

    return type(head).__module__.startswith("embedpipe.") and not isinstance(head, ForeignHead)


def _cumulative(trainer: Trainer, before: Any, batches: Sequence[Batch]) -> Any:
    return trainer.fit(trainer.fresh(), joined(batches))


def _half_cumulative(trainer: Trainer, before: Any, batches: Sequence[Batch]) -> Any:
    head = trainer.fresh(warm_start=True) if before is None else before
    return trainer.fit(head, joined(batches))


def _incremental(trainer: Trainer, before: Any, batches: Sequence[Batch]) -> Any:
    return trainer.partial_fit(trainer.fresh() if before is None else before, batches[-1])


def _replay(trainer: Trainer, before: Any, batches: Sequence[Batch]) -> Any:
    if before is None:
        return trainer.partial_fit(trainer.fresh(), batches[-1])
    return trainer.partial_fit(before, joined([trainer.buffer(batches[:-1]), batches[-1]]))


MODES: dict[str, Mode] = {
    "cumulative": Mode(_cumulative, from_all=True, needs_history=False),
    "half_cumulative": Mode(
        _half_cumulative, from_all=True, needs_history=True, needs="warm_start"
    ),
    "incremental": Mode(_incremental, from_all=False, needs_history=True, needs="partial_fit"),
    "replay": Mode(_replay, from_all=False, needs_history=True, needs="partial_fit"),
}
"""The modes by name: *cumulative*, a fresh head from all labels; *half_cumulative*, the weights
are kept, all labels; *incremental*, the weights are kept, the newest batch alone; *replay*, the
newest batch and a sample of the earlier labels."""


def get_mode(name: str) -> Mode:
    """Return the mode of that name.

    Raises
    ------
    UnknownNameError
        If there is none.
    """
    if name not in MODES:
        raise UnknownNameError("mode", str(name), MODES)
    return MODES[name]
