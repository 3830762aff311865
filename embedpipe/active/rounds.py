"""Rounds of active learning: select, label, train, evaluate and record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._loops.arrays import is_labelled
from .._loops.fitting import (
    Batch,
    Trainer,
    head_attributes,
    joined,
    timed,
)
from ..errors import ExhaustedError
from ..heads import expected_calibration_error
from ..strategies import Selection, Strategy
from .ceiling import CEILING, OracleCeiling
from .expected import ALL_LABELLED, FEW_LABELS, ExpectedAccuracy, expected_of_predictions, unknown
from .options import LoopOptions
from .problem import Problem
from .records import RoundRecord
from .round_predictions import Predicted, RoundPredictions
from .sample import CandidateSample, Predictions, predictions_of
from .selection import RoundPool
from .stopping import StoppingMonitor

if TYPE_CHECKING:
    from ..heads import HeldOutPredictions

__all__ = ["Evaluator", "Rounds", "Scores"]

STORED_ATTRIBUTES = (
    "loss_", "C_", "C_rule_", "n_iter_", "converged_", "temperature_",
    "cv_accuracy_", "cv_n_", "cv_ece_", "choice_",
)  # fmt: skip
"""Attributes of a head that a record contains."""


@dataclass(frozen=True)
class Scores:
    """Measures on the test rows, each from 0 to 1; None without a head or test rows.

    Attributes
    ----------
    accuracy
        Share of rows with the right prediction.
    macro_f1
        Mean F1 score of the classes of the test rows.
    balanced_accuracy
        Mean recall of the classes of the test rows.
    ece
        Expected calibration error, in 15 bins of equal width.
    correct
        (t,) bool: whether the prediction of each test row is right.
    """

    accuracy: float | None = None
    macro_f1: float | None = None
    balanced_accuracy: float | None = None
    ece: float | None = None
    correct: NDArray[np.bool_] | None = field(default=None, repr=False, compare=False)


class Evaluator:
    """Evaluates predictions for test rows with (t,) true labels."""

    def __init__(self, labels: NDArray[Any]) -> None:
        self._classes, self._truth = np.unique(labels, return_inverse=True)  # (K,) classes, (t,)

    def scores(self, predictions: Predictions | None) -> Scores:
        """Return the measures of the predictions for the test rows."""
        if predictions is None:
            return Scores()
        column_of, class_of = self._matched(predictions.classes)  # (K,), (C,)
        predicted = class_of[predictions.probabilities.argmax(axis=1)]  # (t,), -1: untested class
        k = self._classes.size
        correct = predicted == self._truth  # (t,)
        right = np.bincount(self._truth[correct], minlength=k)  # (K,)
        sizes = np.bincount(self._truth, minlength=k)  # (K,), all at least 1
        predictions_of_class = np.bincount(predicted[predicted >= 0], minlength=k)  # (K,)
        return Scores(
            accuracy=float(right.sum() / correct.size),
            macro_f1=float((2 * right / (sizes + predictions_of_class)).mean()),
            balanced_accuracy=float((right / sizes).mean()),
            ece=expected_calibration_error(predictions.probabilities, column_of[self._truth]),
            correct=correct,
        )

    def _matched(self, classes: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the column of each test class and the test class of each column; -1 for none."""
        number_of = {label: number for number, label in enumerate(self._classes.tolist())}
        column_of = np.full(self._classes.size, -1, dtype=np.int64)
        class_of = np.full(classes.size, -1, dtype=np.int64)
        for column, label in enumerate(classes.tolist()):
            if label in number_of:
                column_of[number_of[label]], class_of[column] = column, number_of[label]
        return column_of, class_of


class Rounds:
    """The rounds of a loop so far, and its head.

    `run` does the next round and returns its record. `add` appends a new or a stored record to
    `records`. With `keep_predictions`, the records of new rounds contain their predictions.
    """

    def __init__(
        self, problem: Problem, options: LoopOptions, *, keep_predictions: bool = False
    ) -> None:
        self.problem, self.options = problem, options
        self._keep_predictions = keep_predictions
        self.records: list[RoundRecord] = []
        self._mode = options.built_mode
        self._batches: list[Batch] = []  # answered rows, for each round with an answer
        self._head: Any = None
        self._learned = 0  # number of batches that the head was trained on
        self._finite = False  # whether the candidates were checked for NaN and infinity
        self._evaluator = Evaluator(problem.test_labels)
        self._trainer = Trainer(
            options.built_head,
            problem.matrix,
            problem.candidates,
            problem.oracle.classes,
            seed=options.seed,
            buffer_size=options.replayed or 0,
        )
        self._sample = CandidateSample(self._trainer)
        self._monitor = StoppingMonitor()
        self._ceiling = (
            OracleCeiling(problem.oracle, self._trainer) if options.oracle_ceiling else None
        )

    @property
    def left(self) -> int:
        """Number of candidates that were not selected yet."""
        return len(self.problem.candidates) - sum(record.rows.size for record in self.records)

    @property
    def fitted(self) -> Any:
        """The head, trained on all labels so far; None before the first label."""
        while self._learned < len(self._batches):
            # Heads are not stored. Modes that need the previous heads train all of them again.
            count = self._learned + 1 if self._mode.needs_history else len(self._batches)
            self._train(self._batches[:count])
        return self._head

    def labelled(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return the (m,) labelled rows in order of selection, and their (m,) labels."""
        if not self._batches:
            return np.array([], np.int64), np.array([])
        rows = np.concatenate([batch.rows for batch in self._batches])
        return rows, np.concatenate([batch.labels for batch in self._batches])

    def upper_baseline(self) -> float | None:
        """Return the test accuracy of a new head, trained on the true labels of all candidates."""
        if not len(self.problem.test_rows):
            return None
        rows = self.problem.candidates
        batch = Batch(rows, self.problem.oracle.every_label(rows))
        head = self._trainer.fit(self._trainer.fresh(), batch)
        return self._evaluator.scores(self._tested(head)).accuracy

    def add(self, record: RoundRecord) -> None:
        """Add the record of the next round."""
        self.records.append(record)
        batch = _batch(record.rows, record.labels)
        if batch.rows.size:
            self._batches.append(batch)

    def run(self) -> RoundRecord:
        """Do the next round; raise `ExhaustedError` if no candidate can be selected."""
        number = len(self.records)
        has_head = number > 0 and bool(self._batches)  # there is no head before the first label
        strategy = self.options.built_strategy if has_head else self.options.built_initial
        size = self.options.batch_size if number else self.options.initial_size
        skip = self.options.skip if has_head and self._ceiling is None else 0
        if number:
            size = min(size, self.left - skip)
        if size < 1:
            raise ExhaustedError(
                f"only {self.left} candidates are left, and `skip` leaves them out: lower `skip`."
            )
        rng = np.random.default_rng([self.options.seed, number])

        def select() -> Selection:
            pool = self._pool(strategy)
            if self._ceiling is not None:
                return self._ceiling.choose(pool, size, self._batches, rng)
            return strategy.select(pool, size + skip, rng)

        picked, select_seconds = timed(select)
        self._finite = True
        if picked.rows.size <= skip:
            raise ExhaustedError(
                f"{strategy} selected {picked.rows.size} items, and `skip` leaves out {skip}: "
                "lower `skip`."
            )
        picked = Selection(picked.rows[skip:], picked.scores[skip:], picked.diagnostics)
        name = str(strategy) if self._ceiling is None else CEILING
        return self._learn(name, picked, select_seconds)

    def _pool(self, strategy: Strategy) -> RoundPool:
        rows, labels = self.labelled()
        target = self.problem.target if strategy.uses_target else None
        declined = [record.rows[~is_labelled(record.labels)] for record in self.records]
        return RoundPool(
            self.problem.matrix,
            labelled=rows,
            labels=labels if len(labels) else None,
            head=(lambda: self.fitted) if len(labels) else None,
            candidates=self.problem.candidates,
            index=self.problem.index,
            declined=np.concatenate([np.array([], np.int64), *declined]),
            checked=self._finite,
            target=None if target is None else target.vectors,
            texts=self.problem.texts,
        )

    def _learn(self, chosen_by: str, picked: Selection, select_seconds: float) -> RoundRecord:
        answers = self.problem.oracle.label(picked.rows)
        batch = _batch(picked.rows, answers)
        batches = [*self._batches, batch] if batch.rows.size else self._batches
        before = self.fitted
        if self._monitor.before is None and before is not None:  # after a restart
            self._monitor.before = self._sample.predict(before).labels
        predicted_before = self._of_picks(
            before, picked.rows
        )  # some modes change the head in place
        fit_seconds = timed(lambda: self._train(batches))[1] if batch.rows.size else 0.0
        head = self._head
        labelled = sum(each.rows.size for each in batches)
        held_out = self._held_out(head, batches)
        predictions = None if head is None else self._sample.predict(head)
        rest = ~np.isin(self._sample.rows, [] if not batches else joined(batches).rows)  # (s,)
        expected = self._expected(predictions, rest, held_out, batches)
        tested = self._tested(head)
        cost = self.records[-1].cost if self.records else 0.0
        return RoundRecord(
            round=len(self.records),
            labelled=labelled,
            select_seconds=select_seconds,
            fit_seconds=fit_seconds,
            strategy=chosen_by,
            rows=picked.rows,
            scores=picked.scores,
            labels=answers,
            head={
                name.rstrip("_"): value
                for name, value in head_attributes(head, STORED_ATTRIBUTES).items()
            },
            diagnostics={name: _last(value) for name, value in picked.diagnostics.items()},
            cost=cost + self.problem.oracle.cost(picked.rows),
            advice=self._monitor.advise(
                None if predictions is None else predictions.labels,
                self._trainer.cv_accuracy(head, held_out),
                labelled,
                self.records,
            ),
            expected_accuracy=expected.value,
            expected_accuracy_ci=expected.interval,
            rest_accuracy=self._rest_accuracy(predictions, rest),
            test_set=self.problem.test_set,
            predictions=self._kept(tested, predicted_before, self._of_picks(head, picked.rows)),
            **asdict(self._evaluator.scores(tested)),
        )

    def _tested(self, head: Any) -> Predictions | None:
        """Return the predictions of a head for the test rows; None without a head or test rows."""
        if head is None or not self.problem.test_rows.size:
            return None
        return predictions_of(head, self.problem.matrix, self.problem.test_rows)

    def _of_picks(self, head: Any, rows: NDArray[np.int64]) -> Predictions | None:
        """Return the predictions of a head for picks, if they are kept."""
        if head is None or not self._keep_predictions:
            return None
        return predictions_of(head, self.problem.matrix, rows)

    def _kept(self, *predictions: Predictions | None) -> RoundPredictions | None:
        """Return the predictions for the test rows and for the picks before and after a round."""
        if not self._keep_predictions:
            return None
        classes = np.union1d(self.problem.oracle.classes, self.problem.test_labels)  # (C,)
        tested, before, after = (
            None if each is None else Predicted.of(each, classes) for each in predictions
        )
        return RoundPredictions(classes, None if tested is None else tested.codes, before, after)

    def _held_out(self, head: Any, batches: list[Batch]) -> HeldOutPredictions | None:
        """Return the cross-validated predictions of all labelled rows."""
        if head is None:
            return None
        thorough = self.options.advice == "full" and self._mode.from_all
        return self._trainer.held_out(head, joined(batches), refit=thorough)

    def _expected(
        self,
        predictions: Predictions | None,
        rest: NDArray[np.bool_],
        held_out: HeldOutPredictions | None,
        batches: list[Batch],
    ) -> ExpectedAccuracy:
        """Return the expected accuracy on the candidates without a label, `rest` of the sample."""
        if predictions is None:
            return unknown(np.array([]), FEW_LABELS)
        # In the other modes, the head does not learn from all labels equally. Its held-out
        # predictions do not represent all labelled rows.
        if not self._mode.from_all or self.options.advice != "full":
            return unknown(predictions.classes, "")
        self._sample.nearest.update(batches)
        if not rest.any():
            return unknown(predictions.classes, ALL_LABELLED)
        n = sum(batch.rows.size for batch in batches)
        neighbours = self._sample.nearest.measures(rest, predictions.labels, n)
        count = len(self.problem.candidates) - n
        return expected_of_predictions(
            self._head, held_out, predictions.of(rest), neighbours, count
        )

    def _rest_accuracy(
        self, predictions: Predictions | None, rest: NDArray[np.bool_]
    ) -> float | None:
        """Return the share of right predictions for the candidates without a label."""
        if predictions is None or not rest.any():
            return None
        truth = self.problem.oracle.every_label(self._sample.rows[rest])
        return float(np.mean(predictions.labels[rest] == truth))

    def _train(self, batches: list[Batch]) -> None:
        previous = self._head
        self._head, self._learned = None, 0  # an interrupt must not leave a half-trained head
        self._head = self._mode.train(self._trainer, previous, batches)
        self._learned = len(batches)


def _batch(rows: NDArray[np.int64], labels: NDArray[Any]) -> Batch:
    """Return the batch of the rows that have an answer."""
    mask = is_labelled(labels)
    if mask.all():
        return Batch(rows, labels)
    return Batch(rows[mask], np.array(labels[mask].tolist()))


def _last(value: Any) -> Any:
    """Return a diagnostic as a number or text; an array becomes its last value."""
    if isinstance(value, np.ndarray):
        return None if not value.size else float(value.reshape(-1)[-1])
    return value.item() if isinstance(value, np.generic) else value
