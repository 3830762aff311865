"""Select, label, fit, evaluate; again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._workspace import Workspace
from ..embedding import Embeddings
from ..errors import ExhaustedError, RunError, UsageError
from ..heads import get_head
from ..strategies import Pool, Selection, Strategy, get_strategy, spelling_of, strategies
from .identity import identity_of
from .problem import Problem
from .records import RoundRecord
from .runs import RunFolder, run_id_of

__all__ = ["ActiveLoop"]

MODES = ("cumulative",)


class ActiveLoop:
    """An active-learning loop against known labels.

    Round 0 takes an initial selection from nothing; every further round fits the head to all
    labels so far, lets the strategy choose a batch, and asks the oracle. The head is evaluated on
    the test rows after each round; they are used for nothing else.

    Parameters
    ----------
    embeddings
        Of a labelled dataset, or a `Problem` made from arrays.
    strategy
        Chooses in every round but the first.
    initial
        Chooses the first batch; it must need no labels.
    head
        A registered name, or any scikit-learn classifier.
    initial_size
        How many items the first batch has.
    seed
        Everything random follows from it and from the round's number.
    mode
        ``"cumulative"``: every fit starts anew from all labels so far.
    index
        ``"exact"``, or ``"ivf"`` or ``"hnsw"`` for millions of items: how strategies find
        neighbours. A `Problem` brings its own.
    workspace
        If given, the run is kept in its ``runs/<run_id>/``, and continues from there.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp)
    >>> loop = ep.ActiveLoop(digits, strategy="margin", initial="coreset", initial_size=50)
    >>> [record.labelled for record in loop.run(rounds=2, batch_size=25)]
    [50, 75, 100]
    """

    def __init__(
        self,
        embeddings: Embeddings | Problem,
        *,
        strategy: str | Strategy = "margin",
        initial: str | Strategy = "coreset",
        head: Any = "logistic",
        initial_size: int = 50,
        seed: int = 0,
        mode: str = "cumulative",
        index: str = "exact",
        workspace: str | Path | Workspace | None = None,
    ) -> None:
        if mode not in MODES:
            raise UsageError(f"unknown mode {mode!r}: use {', '.join(MODES)}.")
        self.embeddings = embeddings if isinstance(embeddings, Embeddings) else None
        self.problem = (
            Problem.of(embeddings, seed, index)
            if isinstance(embeddings, Embeddings)
            else embeddings
        )
        self.strategy, self.initial, self.mode = _made(strategy), _made(initial), mode
        self.head = get_head(head) if isinstance(head, str) else _unfitted(head)
        if not hasattr(self.head, "predict_proba"):
            raise UsageError(
                f"a {type(self.head).__name__} gives no probabilities: wrap it in scikit-learn's "
                "CalibratedClassifierCV."
            )
        self.initial_size, self.seed = initial_size, seed
        self._workspace = None if workspace is None else Workspace(workspace)
        self._ids = None if self.embeddings is None else [i.id for i in self.embeddings.items]
        self.records: list[RoundRecord] = []
        self._fitted: Any = None

    def config(self, batch_size: int) -> dict[str, Any]:
        """Return everything that the run's picks follow from."""
        return {
            "dataset": self._name,
            "spec_id": self.embeddings.spec.id if self.embeddings else None,
            "problem": self.problem.digest,
            "strategy": _identity_of(self.strategy),
            "initial": _identity_of(self.initial),
            "head": identity_of(self.head),
            "initial_size": self.initial_size,
            "batch_size": batch_size,
            "seed": self.seed,
            "mode": self.mode,
            "index": self.problem.index.kind,
        }

    def run_id(self, batch_size: int) -> str:
        """Return the run's identity: the same for the same arguments and seed."""
        names = (self._name, self.initial.name, self.strategy.name, f"s{self.seed}")
        return run_id_of("-".join(names), self.config(batch_size))

    @property
    def _name(self) -> str:
        return self.embeddings.dataset.name if self.embeddings else "arrays"

    def folder(self, batch_size: int) -> RunFolder | None:
        """Return where the run is kept, if it is."""
        if self._workspace is None:
            return None
        return RunFolder(self._workspace.runs / self.run_id(batch_size))

    def run(self, rounds: int = 10, batch_size: int = 50) -> Iterator[RoundRecord]:
        """Yield the record of each round, from round 0 to round `rounds`.

        Rounds that are on disk are not run again: what a kill left is continued with the same
        picks. The last batch is smaller if the pool runs out, or the strategy finds nothing more
        that it may choose; then the loop ends.

        Parameters
        ----------
        rounds
            How many rounds follow the initial selection.
        batch_size
            How many items each of them picks.

        Raises
        ------
        RunError
            If the numbers make no sense or the run's folder is damaged.
        """
        if rounds < 0 or batch_size < 1 or self.initial_size < 1:
            raise RunError(
                f"rounds={rounds}, batch_size={batch_size}, initial_size={self.initial_size}: "
                "rounds must be at least 0, the sizes at least 1."
            )
        folder = self.folder(batch_size)
        self.records, self._fitted = [], None
        if folder is not None:
            folder.start(self.config(batch_size))
            self.records = folder.read()[: rounds + 1]
        stored = len(self.records)
        for number in range(rounds + 1):
            if number >= stored:
                if self._left() == 0:
                    return
                try:
                    self.records.append(self._round(number, batch_size))
                except ExhaustedError:
                    if not number:  # there is nothing to show for it
                        raise
                    return
                if folder is not None:
                    folder.write(self.records, self._ids)
            yield self.records[number]

    @property
    def fitted(self) -> Any:
        """The head, fitted to everything labelled so far; None before the first round."""
        if self._fitted is None and self.records:
            rows, labels = self.labelled()
            self._fitted = _unfitted(self.head).fit(self.problem.matrix[rows], labels)
        return self._fitted

    def labelled(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return the rows labelled so far, in order, and their labels."""
        if not self.records:
            return np.array([], np.int64), np.array([])
        rows = np.concatenate([record.rows for record in self.records])
        return rows, np.concatenate([record.labels for record in self.records])

    def upper_bound(self) -> float | None:
        """Return the accuracy of the head with the labels of all candidates: what to reach for.

        It uses every hidden label and takes as long as a fit to all of them.
        """
        if not len(self.problem.test_rows):
            return None
        rows = self.problem.candidates
        labels = self.problem.oracle.every_label(rows)
        fitted = _unfitted(self.head).fit(self.problem.matrix[rows], labels)
        return self._scores_of(fitted)[0]

    def _left(self) -> int:
        return len(self.problem.candidates) - len(self.labelled()[0])

    def _round(self, number: int, batch_size: int) -> RoundRecord:
        rows, labels = self.labelled()
        strategy = self.strategy if number else self.initial
        size = batch_size if number else self.initial_size
        if number:
            size = min(size, self._left())
        started = time.perf_counter()
        pool = Pool(
            self.problem.matrix,
            labelled=rows,
            labels=labels if len(labels) else None,
            head=(lambda: self.fitted) if len(labels) else None,
            candidates=self.problem.candidates,
            index=self.problem.index,
        )
        picked = strategy.select(pool, size, np.random.default_rng([self.seed, number]))
        select_seconds = time.perf_counter() - started
        answers = self.problem.oracle.label(picked.rows)
        return self._fit(number, strategy, picked, answers, select_seconds)

    def _fit(
        self,
        number: int,
        strategy: Strategy,
        picked: Selection,
        answers: NDArray[Any],
        select_seconds: float,
    ) -> RoundRecord:
        before, known = self.labelled()
        rows = np.concatenate([before, picked.rows])
        labels = np.concatenate([known, answers]) if len(known) else answers
        started = time.perf_counter()
        self._fitted = _unfitted(self.head).fit(self.problem.matrix[rows], labels)
        fit_seconds = time.perf_counter() - started
        accuracy, macro_f1 = self._scores_of(self._fitted)
        return RoundRecord(
            round=number,
            labelled=len(rows),
            accuracy=accuracy,
            macro_f1=macro_f1,
            select_seconds=select_seconds,
            fit_seconds=fit_seconds,
            strategy=str(strategy),
            rows=picked.rows,
            scores=picked.scores,
            labels=answers,
            head=_told_by(self._fitted),
            diagnostics={name: _last(value) for name, value in picked.diagnostics.items()},
        )

    def _scores_of(self, head: Any) -> tuple[float | None, float | None]:
        if not len(self.problem.test_rows):
            return None, None
        from sklearn.metrics import accuracy_score, f1_score

        truth = self.problem.test_labels
        predicted = head.predict(self.problem.matrix[self.problem.test_rows])
        macro_f1 = f1_score(truth, predicted, average="macro", labels=np.unique(truth))
        return float(accuracy_score(truth, predicted)), float(macro_f1)


def _identity_of(strategy: Strategy) -> Any:
    """Return the line that makes it, if it is registered and has one, or else its attributes."""
    if strategy.name in strategies and strategies[strategy.name] is type(strategy):
        # Not `str`, which gives the bare name of a strategy that has no such line.
        with contextlib.suppress(UsageError):
            return spelling_of(strategy)
    return identity_of(strategy)


def _made(strategy: str | Strategy) -> Strategy:
    return get_strategy(strategy) if isinstance(strategy, str) else strategy


def _unfitted(head: Any) -> Any:
    from sklearn.base import clone

    return clone(head)


def _told_by(head: Any) -> dict[str, Any]:
    told = {}
    for name in ("C_", "C_rule_", "n_iter_", "converged_"):
        value = getattr(head, name, None)
        if isinstance(value, (int, float, str, bool)):
            told[name.rstrip("_")] = value
    return told


def _last(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return None if not value.size else float(value.reshape(-1)[-1])
    return value.item() if isinstance(value, np.generic) else value
