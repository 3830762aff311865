"""The active-learning loop: its rounds, where they are kept, and what they have taught."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._workspace import Workspace
from ..embedding import Embeddings
from ..errors import ExhaustedError, RunError
from .options import LoopOptions
from .problem import Problem
from .records import RoundRecord, RunFolder
from .rounds import Rounds

__all__ = ["ActiveLoop"]

MOST_INFORMATIVE = 16
"""Number of picks of a round that `ActiveLoop.most_informative` gives."""

ARRAY_OPTIONS = LoopOptions(initial_size=128, batch_size=128)
"""The options of `ActiveLoop.from_arrays`, unless it is given others."""


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
        self.head = options.built_head
        problem = (
            Problem.of(embeddings, options.seed, index)
            if isinstance(embeddings, Embeddings)
            else embeddings
        )
        oracle = problem.oracle.behaving(options.labelling, options.seed, problem.matrix)
        self.problem = dataclasses.replace(problem, oracle=oracle)
        self._workspace = None if workspace is None else Workspace(workspace)
        self._rounds = Rounds(self.problem, options)

    @classmethod
    def from_arrays(
        cls,
        X_train: ArrayLike,
        y_train: ArrayLike,
        X_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
        *,
        options: LoopOptions | None = None,
        index: str = "exact",
        update_size: int | None = None,
        **changes: Any,
    ) -> Self:
        """Return a loop on features and labels, such as the pixels of images.

        Parameters
        ----------
        X_train, y_train
            (n, d) numbers to choose from, and their (n,) labels: texts or numbers.
        X_test, y_test
            (t, d) numbers to test on, and their (t,) labels; or neither.
        options
            See `LoopOptions`; by default with 128 items in every batch.
        index
            As of `ActiveLoop`.
        update_size
            Another name for ``batch_size``.
        **changes
            Options by name, and the ``workspace`` of `ActiveLoop`.

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
        ...     X[:1300] / 16, y[:1300], X[1300:] / 16, y[1300:], batch_size=100
        ... ).fit(rounds=3)
        >>> loop.labelled_percent.round(1).tolist()
        [9.8, 17.5, 25.2, 32.9]
        >>> bool(loop.test_metrics["accuracy"][-1] > 0.9)
        True
        """
        problem = Problem.of_features(X_train, y_train, X_test, y_test, index)
        if update_size is not None:
            changes["batch_size"] = update_size
        return cls(problem, options=options or ARRAY_OPTIONS, **changes)

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
        done = self._rounds = Rounds(self.problem, options)
        for record in stored if rounds is None else stored[: rounds + 1]:
            done.add(record)
            yield record
        while done.left and (rounds is None or len(done.records) <= rounds):
            try:
                record = done.run()
            except ExhaustedError:
                if not done.records:  # there is nothing to show for it
                    raise
                return
            done.add(record)
            if folder is not None:
                folder.write(done.records, self.problem.ids)
            yield record

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
        return self._rounds.fitted

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
        earlier = Rounds(self.problem, self._rounds.options)
        for record in self.records[: number + 1]:
            earlier.add(record)
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
        return self._rounds.upper_baseline()

    # The rounds

    @property
    def records(self) -> list[RoundRecord]:
        """The rounds so far."""
        return self._rounds.records

    def labelled(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return the (m,) rows labelled so far, in order, and their (m,) labels."""
        return self._rounds.labelled()

    @property
    def test_metrics(self) -> dict[str, NDArray[np.float64]]:
        """The figures on the test rows, (R,) each, by name; NaN where there is none."""
        return {
            name: np.array([getattr(record, name) for record in self.records], dtype=np.float64)
            for name in ("accuracy", "macro_f1", "balanced_accuracy", "ece")
        }

    @property
    def labelled_percent(self) -> NDArray[np.float64]:
        """The share of the pool that is labelled after each round, in percent: (R,)."""
        counts = np.array([record.labelled for record in self.records], dtype=np.float64)
        return 100.0 * counts / len(self.problem.candidates)

    @property
    def labeled_fractions(self) -> NDArray[np.float64]:
        """The same as `labelled_percent`."""
        return self.labelled_percent

    @property
    def most_informative(self) -> list[NDArray[np.int64]]:
        """The first 16 picks of each round, at most, as rows of the matrix."""
        return [record.rows[:MOST_INFORMATIVE] for record in self.records]

    def _sized(self, batch_size: int | None) -> LoopOptions:
        """Return the options with another size of batches, if one is given."""
        if batch_size is None:
            return self.options
        return dataclasses.replace(self.options, batch_size=batch_size)

    def _ready(self) -> Any:
        head = self.fitted
        if head is None:
            raise RunError("there is no head yet: call `fit`, or iterate over `run`, first.")
        return head
