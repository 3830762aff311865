"""Select, label, fit, evaluate; again."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._loops.answers import answered
from .._loops.training import Batch, Trainer
from .._workspace import Workspace
from ..embedding import Embeddings
from ..errors import ExhaustedError, RunError
from ..strategies import Selection, Strategy
from .arrays import problem_of_arrays
from .judging import Judge
from .options import LoopOptions
from .problem import Problem
from .records import RoundRecord
from .round_pool import RoundPool
from .runs import RunFolder
from .watching import Watcher

__all__ = ["ActiveLoop"]

MOST_INFORMATIVE = 16
"""How many of the picks of a round are called its most informative ones."""


class ActiveLoop:
    """An active-learning loop against known labels.

    Round 0 takes an initial selection from nothing; in every further round the strategy, told by
    the head what to expect, chooses a batch, the oracle is asked, and the head learns. It is
    evaluated on the test rows after each round; they are used for nothing else.

    Parameters
    ----------
    embeddings
        Of a labelled dataset, or a `Problem`.
    options
        See `LoopOptions`.
    index
        ``"exact"``, or ``"ivf"`` or ``"hnsw"`` for millions of items: how strategies find
        neighbours. A `Problem` brings its own.
    workspace
        If given, the run is kept in its ``runs/<run_id>/``, and continues from there.
    **changes
        Options by name, in place of those in `options`: ``strategy="margin"``.

    Attributes
    ----------
    records
        The rounds so far.
    strategy, initial, head
        Objects: what chooses later batches, what chooses the first one, and the unfitted head.

    Raises
    ------
    UsageError
        If an option has no meaning, or the head cannot do what the mode asks of it.

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
        options: LoopOptions | None = None,
        index: str = "exact",
        workspace: str | Path | Workspace | None = None,
        **changes: Any,
    ) -> None:
        self.options = options = dataclasses.replace(options or LoopOptions(), **changes)
        self.strategy, self.initial = options.built_strategy, options.built_initial
        self.head, self._mode = options.built_head, options.built_mode
        given = (
            Problem.of(embeddings, options.seed, index)
            if isinstance(embeddings, Embeddings)
            else embeddings
        )
        oracle = given.oracle.behaving(options.labelling, options.seed, given.matrix)
        self.problem = dataclasses.replace(given, oracle=oracle)
        self._workspace = None if workspace is None else Workspace(workspace)
        self.records: list[RoundRecord] = []
        self._batches: list[Batch] = []
        self._head: Any = None
        self._learned = 0  # of how many batches
        self._selected = (
            False  # whether a strategy has looked at all candidates, and they are sound
        )
        self._judge = Judge(given.matrix, given.test_rows, given.test_labels)
        self._start(options)

    @classmethod
    def from_arrays(
        cls,
        X_train: ArrayLike,
        y_train: ArrayLike,
        X_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
        *,
        strategy: str | Strategy = "margin",
        mode: str = "cumulative",
        update_size: int = 128,
        initial_size: int = 128,
        index: str = "exact",
        **options: Any,
    ) -> Self:
        """Return a loop on features and labels, such as the pixels of images.

        Parameters
        ----------
        X_train, y_train
            (n, d) numbers to choose from, and their (n,) labels: texts or numbers.
        X_test, y_test
            (t, d) numbers to test on, and their (t,) labels; or neither.
        strategy, mode, initial_size
            As of `ActiveLoop`.
        update_size
            How many items every batch but the first has.
        index
            How strategies find neighbours.
        **options
            Everything else that `ActiveLoop` takes.

        Returns
        -------
        ActiveLoop
            Its rows are those of `X_train`; the test rows follow.

        Raises
        ------
        LabelError
            If labels do not fit the rows, or a row holds NaN or infinity.

        Notes
        -----
        The rows are copied once, as float32. To choose from a memory map that is too large for
        that, use `Problem.from_arrays`, which copies nothing.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> loop = ActiveLoop.from_arrays(
        ...     X[:1300] / 16, y[:1300], X[1300:] / 16, y[1300:], update_size=100
        ... ).fit(rounds=3)
        >>> loop.labeled_fractions.round(1).tolist()
        [9.8, 17.5, 25.2, 32.9]
        >>> bool(loop.test_metrics["accuracy"][-1] > 0.9)
        True
        """
        problem = problem_of_arrays(X_train, y_train, X_test, y_test, index)
        return cls(
            problem,
            strategy=strategy,
            mode=mode,
            batch_size=update_size,
            initial_size=initial_size,
            **options,
        )

    # Identity

    def config(self, batch_size: int | None = None) -> dict[str, Any]:
        """Return everything that the run's picks and figures follow from."""
        return self._sized(batch_size).config(self.problem.identity)

    def run_id(self, batch_size: int | None = None) -> str:
        """Return the run's identity: the same for the same arguments and seed."""
        return self._sized(batch_size).run_id(self.problem.identity)

    def folder(self, batch_size: int | None = None) -> RunFolder | None:
        """Return where the run is kept, if it is."""
        if self._workspace is None:
            return None
        return RunFolder(self._workspace.runs / self.run_id(batch_size))

    @property
    def embeddings(self) -> Embeddings | None:
        """The embeddings that the problem came from, if it did."""
        return self.problem.embeddings

    # Running

    def run(self, rounds: int | None = 10, batch_size: int | None = None) -> Iterator[RoundRecord]:
        """Yield the record of each round, from round 0 to round `rounds`.

        Rounds that are on disk are not run again: what a kill left is continued with the same
        picks and the same heads. The last batch is smaller if the pool runs out, or the strategy
        finds nothing more that it may choose; then the loop ends.

        Parameters
        ----------
        rounds
            How many rounds follow the initial selection; None: until nothing is left.
        batch_size
            How many items each of them picks, if not as many as the loop was made with.

        Raises
        ------
        RunError
            If the numbers make no sense or the run's folder is damaged.
        """
        options = self._sized(batch_size)
        size, first = options.batch_size, options.initial_size
        if (rounds is not None and rounds < 0) or size < 1 or first < 1:
            raise RunError(
                f"rounds={rounds}, batch_size={size}, initial_size={first}: "
                "rounds must be at least 0, the sizes at least 1."
            )
        folder = self.folder(size)
        if folder is not None:
            folder.start(self.config(size))
        stored = [] if folder is None else folder.read()
        self._start(options)
        for record in stored if rounds is None else stored[: rounds + 1]:
            self._add(record)
            yield record
        for number in itertools.count(len(self.records)):
            if (rounds is not None and number > rounds) or not self._left():
                return
            try:
                self._add(self._round(number, size))
            except ExhaustedError:
                if not number:  # there is nothing to show for it
                    raise
                return
            if folder is not None:
                folder.write(self.records, self.problem.ids)
            yield self.records[number]

    def fit(self, rounds: int | None = None) -> Self:
        """Run to the end of the pool, or so many rounds after the first.

        Parameters
        ----------
        rounds
            None: until everything is labelled, or nothing more may be chosen.
        """
        for _ in self.run(rounds):
            pass
        return self

    # The head

    @property
    def fitted(self) -> Any:
        """The head, trained on everything labelled so far; None before there is a label."""
        while self._learned < len(self._batches):
            # Heads are not kept on disk: those that build on each other are trained again.
            count = self._learned + 1 if self._mode.needs_history else len(self._batches)
            self._train(self._batches[:count])
        return self._head

    def head_after(self, number: int) -> Any:
        """Return the head as a round left it; one that is not the last is trained again.

        Parameters
        ----------
        number
            Of the round.

        Raises
        ------
        RunError
            If there was no such round.
        """
        if not 0 <= number < len(self.records):
            raise RunError(f"there is no round {number}: {len(self.records)} were run.")
        if number == len(self.records) - 1:
            return self.fitted
        earlier = copy.copy(self)
        earlier.records, earlier._batches, earlier._head, earlier._learned = [], [], None, 0
        for record in self.records[: number + 1]:
            earlier._add(record)
        return earlier.fitted

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the (k,) labels that the head gives to (k, d) vectors.

        Raises
        ------
        RunError
            If there is no head yet.
        """
        return np.asarray(self._ready().predict(np.asarray(X)))

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return the (k, C) class probabilities of (k, d) vectors, in the order of ``classes_``.

        Raises
        ------
        RunError
            If there is no head yet.
        """
        return np.asarray(self._ready().predict_proba(np.asarray(X)))

    @property
    def classes_(self) -> NDArray[Any]:
        """The (C,) labels that the columns of `predict_proba` stand for."""
        return np.asarray(self._ready().classes_)

    def upper_bound(self) -> float | None:
        """Return the accuracy of the head with the labels of all candidates: what to reach for.

        A fresh head, trained at once on the true label of every candidate, whatever the mode
        and however the labeller behaves. It takes as long as a fit to all of them.
        """
        if not len(self.problem.test_rows):
            return None
        rows = self.problem.candidates
        every = Batch(rows, self.problem.oracle.every_label(rows))
        return self._judge.scores(self._trainer.fit(self._trainer.fresh(), every)).accuracy

    # What was learned

    def labelled(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return the rows labelled so far, in order, and their labels."""
        if not self._batches:
            return np.array([], np.int64), np.array([])
        rows = np.concatenate([batch.rows for batch in self._batches])
        return rows, np.concatenate([batch.labels for batch in self._batches])

    @property
    def test_metrics(self) -> dict[str, NDArray[np.float64]]:
        """The figures on the test rows, (R,) each, by name; NaN where there is none."""
        return {
            name: np.array([getattr(record, name) for record in self.records], dtype=np.float64)
            for name in ("accuracy", "macro_f1", "balanced_accuracy", "ece")
        }

    @property
    def labeled_fractions(self) -> NDArray[np.float64]:
        """How much of the pool is labelled after each round, in percent: (R,)."""
        counts = np.array([record.labelled for record in self.records], dtype=np.float64)
        return 100.0 * counts / len(self.problem.candidates)

    @property
    def most_informative(self) -> list[NDArray[np.int64]]:
        """The first 16 picks of each round, at most, as rows of the matrix."""
        return [record.rows[:MOST_INFORMATIVE] for record in self.records]

    # One round

    def _sized(self, batch_size: int | None) -> LoopOptions:
        """Return the options with another size of batches, if one is given."""
        if batch_size is None:
            return self.options
        return dataclasses.replace(self.options, batch_size=batch_size)

    def _start(self, options: LoopOptions) -> None:
        self.records, self._batches = [], []
        self._head, self._learned = None, 0
        self._trainer = Trainer(
            self.head,
            self.problem.matrix,
            self.problem.candidates,
            self.problem.oracle.classes,
            seed=options.seed,
            buffer_size=options.replayed or 0,
        )
        self._watcher = Watcher(self._trainer, self._mode, options.advice)

    def _add(self, record: RoundRecord) -> None:
        self.records.append(record)
        batch = _batch(record.rows, record.labels)
        if batch.rows.size:
            self._batches.append(batch)

    def _round(self, number: int, batch_size: int) -> RoundRecord:
        query = number > 0 and bool(self._batches)  # nothing can be told before there is a label
        strategy = self.strategy if query else self.initial
        size = batch_size if number else self.options.initial_size
        skip = self.options.skip if query else 0
        if number:
            size = min(size, self._left() - skip)
        if size < 1:
            raise ExhaustedError(f"nothing is left but the {self._left()} items that are skipped.")
        started = time.perf_counter()
        rng = np.random.default_rng([self.options.seed, number])
        picked = strategy.select(self._pool(), size + skip, rng)
        self._selected = True
        select_seconds = time.perf_counter() - started
        if picked.rows.size <= skip:
            raise ExhaustedError(f"{strategy} finds nothing but what is skipped.")
        picked = Selection(picked.rows[skip:], picked.scores[skip:], picked.diagnostics)
        return self._learn(number, strategy, picked, select_seconds)

    def _pool(self) -> RoundPool:
        rows, labels = self.labelled()
        return RoundPool(
            self.problem.matrix,
            labelled=rows,
            labels=labels if len(labels) else None,
            head=(lambda: self.fitted) if len(labels) else None,
            candidates=self.problem.candidates,
            index=self.problem.index,
            gone=self._gone(),
            checked=self._selected,
        )

    def _learn(
        self, number: int, strategy: Strategy, picked: Selection, select_seconds: float
    ) -> RoundRecord:
        answers = self.problem.oracle.label(picked.rows)
        batch = _batch(picked.rows, answers)
        batches = [*self._batches, batch] if batch.rows.size else self._batches
        self._watcher.look(self.fitted)  # now, for the next fit may change this very head
        started = time.perf_counter()
        if batch.rows.size:
            self._train(batches)
        head = self._head
        fit_seconds = time.perf_counter() - started
        scores = self._judge.scores(head)
        cost = self.records[-1].cost if self.records else 0.0
        return RoundRecord(
            round=number,
            labelled=sum(each.rows.size for each in batches),
            select_seconds=select_seconds,
            fit_seconds=fit_seconds,
            strategy=str(strategy),
            rows=picked.rows,
            scores=picked.scores,
            labels=answers,
            head=_told_by(head),
            diagnostics={name: _last(value) for name, value in picked.diagnostics.items()},
            cost=cost + self.problem.oracle.cost(picked.rows),
            advice=self._watcher.advise(head, batches, self.records),
            **dataclasses.asdict(scores),
        )

    def _train(self, batches: list[Batch]) -> None:
        before = self._head
        self._head, self._learned = None, 0  # interrupted, it would be in no known state
        self._head = self._mode.train(self._trainer, before, batches)
        self._learned = len(batches)

    def _left(self) -> int:
        return len(self.problem.candidates) - sum(record.rows.size for record in self.records)

    def _gone(self) -> NDArray[np.int64]:
        """Return the rows that were asked about in vain."""
        silent = [record.rows[~answered(record.labels)] for record in self.records]
        return np.concatenate([np.array([], np.int64), *silent])

    def _ready(self) -> Any:
        head = self.fitted
        if head is None:
            raise RunError("there is no head yet: call `fit`, or iterate over `run`, first.")
        return head


def _batch(rows: NDArray[np.int64], labels: NDArray[Any]) -> Batch:
    """Return what was answered."""
    there = answered(labels)
    if there.all():
        return Batch(rows, labels)
    return Batch(rows[there], np.array(labels[there].tolist()))


def _told_by(head: Any) -> dict[str, Any]:
    """Return what the head says of itself, as numbers and texts."""
    told = {}
    for name in _SELF_REPORTS:
        value = getattr(head, name, None)
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, (int, float, str, bool)):
            told[name.rstrip("_")] = value
    return told


_SELF_REPORTS = (
    "loss_", "C_", "C_rule_", "n_iter_", "converged_", "temperature_",
    "cv_accuracy_", "cv_n_", "cv_ece_",
)  # fmt: skip


def _last(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return None if not value.size else float(value.reshape(-1)[-1])
    return value.item() if isinstance(value, np.generic) else value
