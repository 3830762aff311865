"""The active-learning loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._deprecated import old_attribute
from .._html import MAX_ROWS, result_html
from .._workspace import Workspace
from ..embedding import Embeddings
from ..errors import ExhaustedError, RunError
from .options import LoopOptions
from .problem import Problem
from .records import RoundRecord, RunFolder
from .rounds import Rounds
from .target import Target, check_loop_target
from .words import texts_of

__all__ = ["ActiveLoop"]

MOST_INFORMATIVE = 16
"""Maximum picks of a round in `ActiveLoop.most_informative`."""

ARRAY_OPTIONS = LoopOptions(initial_size=128, batch_size=128)
"""Default options of `ActiveLoop.from_arrays`."""


class ActiveLoop:
    """An active-learning loop whose oracle returns known labels.

    In round 0 the initial strategy selects a batch without labels. In later rounds the strategy
    selects a batch and can use the predictions of the head. In every round the oracle labels the
    batch, and the head is trained. Then the head is evaluated on the test rows, which have no other
    use.

    Parameters
    ----------
    embeddings
        Embeddings of a labelled dataset, or a `Problem`.
    options
        See `LoopOptions`.
    index
        Kind of the neighbour index: ``"exact"``, or ``"ivf"`` or ``"hnsw"`` for millions of items.
        This kind is ignored for a `Problem`, which has its own index.
    workspace
        Workspace whose folder ``runs/<run_id>/`` stores the run. If the run is already stored
        there, it is continued. By default nothing is stored.
    target
        Unlabelled items that the picks represent, see `Problem.with_target`. Both strategies must
        use a target, or be ``random``, which ignores it as the lower baseline.
    keep_predictions
        Whether the records of new rounds contain the predictions for the test rows and the picks,
        which `report_of` shows: about 4 bytes for each test row, in memory and stored.
    **changes
        Options that replace those in `options`, such as ``strategy="margin"``.

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
        target: Target | Embeddings | ArrayLike | str | None = None,
        keep_predictions: bool = True,
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
        if target is not None:
            problem = problem.with_target(target)
        if problem.target is not None:
            check_loop_target(self.initial, self.strategy)
        problem = problem.with_texts(texts_of(self.initial, self.strategy), workspace)
        oracle = problem.oracle.behaving(options.labelling, options.seed, problem.matrix)
        self.problem = dataclasses.replace(problem, oracle=oracle)
        self._workspace = None if workspace is None else Workspace(workspace)
        self._keep_predictions = keep_predictions
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
        """Return a loop on arrays of features and labels.

        The rows are copied once, as float32. For a large memory map use `Problem.from_arrays`,
        which makes no copy.

        Parameters
        ----------
        X_train, y_train
            (n, d) features of the candidates, and their (n,) labels: texts or numbers.
        X_test, y_test
            (t, d) features of the test rows, and their (t,) labels; give both or neither.
        options
            See `LoopOptions`. By default every batch has 128 items.
        index
            Kind of the neighbour index, see `ActiveLoop`.
        update_size
            Another name of ``batch_size``.
        **changes
            Options that replace those in `options`. ``workspace``, ``target`` and
            ``keep_predictions`` are passed to `ActiveLoop`.

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
        """Return everything that determines the picks and measures of the run."""
        return self._sized(batch_size).config(self.problem.identity)

    def run_id(self, batch_size: int | None = None) -> str:
        """Return the run's id; loops with equal arguments and seed have equal ids."""
        return self._sized(batch_size).run_id(self.problem.identity)

    def folder(self, batch_size: int | None = None) -> RunFolder | None:
        """Return the folder of the run; None without a workspace."""
        if self._workspace is None:
            return None
        return RunFolder(self._workspace.runs / self.run_id(batch_size))

    @property
    def embeddings(self) -> Embeddings | None:
        """The embeddings of the dataset; None for a problem without a dataset."""
        return self.problem.embeddings

    # Running

    def run(self, rounds: int | None = 10, batch_size: int | None = None) -> Iterator[RoundRecord]:
        """Yield the record of each round, from round 0 to round `rounds`.

        Stored rounds are read, not run again, so a killed run continues with the same picks. The
        loop ends early if the strategy has no candidates left; ``rounds=None`` sets no other limit.
        `batch_size` replaces the batch size in the options of the loop.
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
        state = self._rounds = Rounds(
            self.problem, options, keep_predictions=self._keep_predictions
        )
        for record in stored if rounds is None else stored[: rounds + 1]:
            state.add(record)
            yield record
        while state.left and (rounds is None or len(state.records) <= rounds):
            try:
                record = state.run()
            except ExhaustedError:
                if not state.records:
                    raise
                return
            state.add(record)
            if folder is not None:
                folder.write(state.records, self.problem.ids)
            yield record

    def fit(self, rounds: int | None = None) -> Self:
        """Run `rounds` rounds after the first batch; with None, run until no candidate is left."""
        for _ in self.run(rounds):
            pass
        return self

    # The head

    @property
    def fitted(self) -> Any:
        """The head, trained on all labels so far; None before the first label."""
        return self._rounds.fitted

    def head_after(self, number: int) -> Any:
        """Return the head after round `number`; for a round before the last, train it again."""
        if not 0 <= number < len(self.records):
            raise RunError(f"there is no round {number}; {len(self.records)} rounds were run.")
        if number == len(self.records) - 1:
            return self.fitted
        earlier = Rounds(self.problem, self._rounds.options)
        for record in self.records[: number + 1]:
            earlier.add(record)
        return earlier.fitted

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the (k,) predicted labels of (k, d) vectors."""
        return np.asarray(self._ready().predict(np.asarray(X)))

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return the (k, C) class probabilities of (k, d) vectors, in the order of ``classes_``."""
        return np.asarray(self._ready().predict_proba(np.asarray(X)))

    @property
    def classes_(self) -> NDArray[Any]:
        """The (C,) labels of the columns of `predict_proba`."""
        return np.asarray(self._ready().classes_)

    def upper_baseline(self) -> float | None:
        """Return the test accuracy of a new head, trained on the true labels of all candidates.

        The accuracy does not depend on the training mode or on the errors of the oracle. Without
        test rows it is None.
        """
        return self._rounds.upper_baseline()

    upper_bound = old_attribute("upper_bound", "upper_baseline")

    # The rounds

    @property
    def records(self) -> list[RoundRecord]:
        """The rounds so far."""
        return self._rounds.records

    def labelled(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return the (m,) labelled rows in order of selection, and their (m,) labels."""
        return self._rounds.labelled()

    @property
    def test_metrics(self) -> dict[str, NDArray[np.float64]]:
        """The measures on the test rows by name: arrays of (rounds,) values; NaN if missing."""
        return {
            name: np.array([getattr(record, name) for record in self.records], dtype=np.float64)
            for name in ("accuracy", "macro_f1", "balanced_accuracy", "ece")
        }

    @property
    def labelled_percent(self) -> NDArray[np.float64]:
        """The (rounds,) percentages of candidates with a label after each round."""
        counts = np.array([record.labelled for record in self.records], dtype=np.float64)
        return 100.0 * counts / len(self.problem.candidates)

    @property
    def labeled_fractions(self) -> NDArray[np.float64]:
        """Another name of `labelled_percent`."""
        return self.labelled_percent

    @property
    def most_informative(self) -> list[NDArray[np.int64]]:
        """The first picks of each round, at most 16, as rows of the matrix."""
        return [record.rows[:MOST_INFORMATIVE] for record in self.records]

    def _repr_html_(self) -> str:
        first, then = str(self.initial), str(self.strategy)
        advice = self.records[-1].advice.get("reason") if self.records else None
        facts = [
            ("strategy", first if first == then else f"{first}, then {then}"),
            ("head", str(self.options.head)),
            ("mode", self.options.mode),
            ("images to label", len(self.problem.candidates)),
            ("test images", len(self.problem.test_rows)),
            ("seed", self.options.seed),
            ("advice", advice),
        ]
        rows = [
            (
                record.round,
                record.labelled,
                record.accuracy,
                record.macro_f1,
                record.expected_accuracy,
                record.select_seconds,
                record.fit_seconds,
            )
            for record in self.records
        ]
        headings = (
            "round", "labels", "accuracy", "macro-F1", "expected accuracy", "select s", "fit s",
        )  # fmt: skip
        title = f"Active learning on {self.problem.name}"
        return result_html(title, facts, headings if rows else (), rows[-MAX_ROWS:])

    def _sized(self, batch_size: int | None) -> LoopOptions:
        """Return the options; `batch_size` replaces their batch size, unless it is None."""
        if batch_size is None:
            return self.options
        return dataclasses.replace(self.options, batch_size=batch_size)

    def _ready(self) -> Any:
        head = self.fitted
        if head is None:
            raise RunError("the head is not fitted yet: call `fit`, or iterate over `run`, first.")
        return head
