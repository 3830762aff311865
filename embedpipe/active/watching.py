"""What the advice on stopping goes by: the labelled rows and the head, never the test rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._loops.draws import uniform_of_rows
from .._loops.training import Batch, Trainer, joined
from ..index.blocks import take_rows
from .modes import Mode
from .records import RoundRecord

__all__ = ["WATCHED", "Watcher"]

WATCHED = 2000
"""Candidates whose predictions are followed from round to round."""


class Watcher:
    """Gathers in every round what tells whether more labels would help.

    Parameters
    ----------
    trainer
        Knows the head, the matrix and the candidates.
    mode
        How the head is trained.
    advice
        ``"full"``: a head that does not judge itself is cross-validated; ``"cheap"``: it is not.

    Notes
    -----
    4·d bytes for each of the 2,000 candidates that are watched, unless they are consecutive.
    """

    def __init__(self, trainer: Trainer, mode: Mode, advice: str) -> None:
        self._trainer, self._mode, self._thorough = trainer, mode, advice == "full"
        self._before: NDArray[Any] | None = None  # (w,)

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        """The (w, d) vectors of the candidates that are watched: the same in every round."""
        rows = self._trainer.candidates
        if rows.size > WATCHED:
            keys = uniform_of_rows(rows, self._trainer.seed, "watched")
            rows = rows[np.sort(np.argsort(keys, kind="stable")[:WATCHED])]
        return take_rows(self._trainer.matrix, rows)

    def look(self, head: Any) -> None:
        """Remember what the head of the last round says, before it learns more."""
        if self._before is None and head is not None:
            self._before = self._said_by(head)

    def advise(
        self, head: Any, batches: Sequence[Batch], records: Sequence[RoundRecord]
    ) -> dict[str, Any]:
        """Return the advice after a round.

        Parameters
        ----------
        head
            As the round left it; None before there is a label.
        batches
            The labels so far.
        records
            The rounds before this one.
        """
        from .advice import Evidence, advise

        labelled = sum(batch.rows.size for batch in batches)
        learned = labelled > (records[-1].labelled if records else 0)
        cv_accuracy, cv_n = self._judged(head, batches)
        now = Evidence(labelled, cv_accuracy, cv_n, self._agreement(head) if learned else None)
        before = [
            Evidence(
                record.labelled,
                record.advice["cv_accuracy"],
                record.advice["cv_n"],
                record.advice["agreement"],
            )
            for record in records
        ]
        return {**advise([*before, now]), "cv_n": cv_n}

    def _agreement(self, head: Any) -> float | None:
        """Return the share of watched candidates that are predicted as they were before."""
        before, self._before = self._before, self._said_by(head)
        return None if before is None else float(np.mean(before == self._before))

    def _said_by(self, head: Any) -> NDArray[Any]:
        best = np.asarray(head.predict_proba(self._vectors)).argmax(axis=1)
        return np.asarray(np.asarray(head.classes_)[best])

    def _judged(self, head: Any, batches: Sequence[Batch]) -> tuple[float | None, int]:
        """Return the head's cross-validated accuracy, and on how many labelled rows."""
        if head is None:
            return None, 0
        thorough = self._thorough and self._mode.from_all
        return self._trainer.judged(head, joined(batches), thorough=thorough)
