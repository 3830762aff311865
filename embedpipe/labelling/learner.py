"""Fitting a head to the current labels, and proposing items with its predictions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._loops.fitting import Batch, Trainer, probabilities_of, run_head
from .._specs import format_spec
from ..active.expected import FEW_LABELS, ExpectedAccuracy, expected_of_rows, unknown
from ..active.sample import Predictions
from ..active.selection import RoundPool, default_candidates, index_of
from ..active.stopping import NEXT_LABELS, Evidence, advise
from ..active.target import Target
from ..checks import find_label_errors, why_not_judged
from ..embedding import Embeddings
from ..errors import UsageError
from ..heads import AutoHead, ZeroShotPrior, get_head
from ..index import Index
from ..index.vectors import take_rows
from ..strategies import Strategy
from .fit_history import Fit, FitHistory
from .label_state import Snapshot
from .proposals import LabelDoubts, Proposal, cluster_names, sorted_by_group

__all__ = ["Learner", "Model"]

ZERO_SHOT = "zero-shot"
"""Name of the model that predicts from the names of classes."""


@dataclass(frozen=True)
class Model:
    """A fitted head and its predictions; 12 bytes per item."""

    name: str  # name of the model in the label log
    version: int  # id of the last event before the fit
    labelled: int  # number of labels in the fit; 0 if it predicts from the names of classes
    head: Any  # the fitted classifier
    classes: tuple[str, ...]  # (C,)
    codes: NDArray[np.int64]  # (n,) most probable class of each item, a position in `classes`
    confidence: NDArray[np.float32]  # (n,) probability of this class
    expected: ExpectedAccuracy  # on the items without a label
    # Cross-validated accuracy on the labelled items and its 95 % Wilson interval; None with too few
    # labels. Hard items are labelled first, so the accuracy on all items is higher.
    accuracy: float | None
    interval: tuple[float, float] | None
    advice: dict[str, Any]  # from `embedpipe.active.stopping.advise`
    seconds: float  # duration of the fit


class Learner:
    """Fit a head to the labels of a dataset, and propose items with it.

    Only one thread at a time fits a head or selects items. It first takes a snapshot of the labels.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        snapshot: Callable[[], Snapshot],  # returns the current labels
        strategy: Strategy,
        initial: Strategy,  # used before the first model
        head: Any,
        seed: int,
        history: Path,  # file for the evidence of each fit
        dataset: str,  # its name in the label log
        target: Target | None = None,  # items that the proposals represent
        prior: Callable[[], ZeroShotPrior | None] = lambda: None,  # vectors of class names now
        texts: Mapping[str, ArrayLike] | None = None,  # vectors of the texts of the strategies
    ) -> None:
        self._embeddings, self._snapshot, self._seed = embeddings, snapshot, seed
        self._strategy, self._initial = strategy, initial
        self._target, self._prior = None if target is None else target.vectors, prior
        self._texts = texts
        unseeded = get_head(head) if isinstance(head, str) else head
        self.head, self._head_name = run_head(unseeded, seed), format_spec(unseeded)
        if not hasattr(self.head, "predict_proba"):
            raise UsageError(
                f"a {type(self.head).__name__} has no `predict_proba`. Wrap it in scikit-learn's "
                "CalibratedClassifierCV."
            )
        self._ids = tuple(item.id for item in embeddings.items)
        self._work = threading.Lock()
        self._batch: Batch | None = None  # the labels of the last model
        self._names: tuple[str, ...] = ()  # the class names of its prior
        key = {
            "dataset": dataset,
            "spec_id": embeddings.spec.id,
            "head": self._head_name,
        }
        self._history = FitHistory(history, key)
        self.model: Model | None = None
        names = prior()
        if names is not None:
            self.model = self._zero_shot(names, snapshot().version)

    @cached_property
    def candidates(self) -> NDArray[np.int64]:
        """Rows that can be proposed: all rows outside the test and validation splits."""
        return default_candidates(self._embeddings)

    @cached_property
    def _index(self) -> Index:
        return index_of(self._embeddings, self.candidates)

    @cached_property
    def _trainer(self) -> Trainer:
        none = np.array([], dtype=np.str_)
        return Trainer(
            self.head,
            self._embeddings.matrix,
            self.candidates,
            none,
            seed=self._seed,
        )

    def retrain(self) -> tuple[Model | None, bool]:
        """Return the model of the current labels, and whether it is new."""
        with self._work:
            started = time.monotonic()
            snapshot, prior = self._snapshot(), self._prior()
            batch = snapshot.labelled()
            names = () if prior is None else _names(prior)
            if len(np.unique(batch.labels)) < 2:
                if prior is None:
                    if self.model is not None and not self.model.labelled:
                        self.model = None  # its classes were deleted
                    return None, False
                # Labels were removed, or classes were renamed.
                if self.model is None or self.model.labelled or self.model.classes != names:
                    self.model, self._batch = self._zero_shot(prior, snapshot.version), None
                return self.model, False
            same = self._batch is not None and _same_labels(self._batch, batch)
            if same and self._names == names:
                return self.model, False
            self._trainer.prior = prior
            head = self._trainer.fit(self._trainer.fresh(), batch)
            rows = np.arange(len(self._ids), dtype=np.int64)
            probabilities = probabilities_of(head, self._embeddings.matrix, rows)  # (n, C)
            codes = probabilities.argmax(axis=1)
            held_out = self._trainer.held_out(head, batch)
            accuracy, scored = self._trainer.cv_accuracy(head, held_out)
            unlabelled = np.delete(rows, batch.rows)
            expected = expected_of_rows(
                self._trainer,
                head,
                held_out,
                batch,
                unlabelled,
                Predictions(np.asarray(head.classes_), probabilities[unlabelled]),
            )
            classes = tuple(str(name) for name in head.classes_)
            before = None if self._batch is None else self.model  # not the zero-shot model
            agreement = None if before is None else _agreement(before, classes, codes)
            evidence = Evidence(len(batch.rows), accuracy, scored, agreement)
            self._history.add(Fit(snapshot.version, evidence, expected.bounds))
            advice = _with_few_left(advise(self._history.evidence), expected, len(unlabelled))
            low, high = advice["cv_low"], advice["cv_high"]
            model = Model(
                name=f"{self._head_name}-{len(batch.rows)}",
                version=snapshot.version,
                labelled=len(batch.rows),
                head=head,
                classes=classes,
                codes=codes,
                confidence=probabilities[rows, codes].astype(np.float32),
                expected=expected,
                accuracy=accuracy,
                interval=None if low is None else (low, high),
                advice=advice,
                seconds=time.monotonic() - started,
            )
            self.model, self._batch, self._names = model, batch, names
            return model, True

    def _zero_shot(self, prior: ZeroShotPrior, version: int) -> Model:
        """Return the model that predicts from the names of classes, without labels."""
        started = time.monotonic()
        head, rows = AutoHead.from_prior(prior), np.arange(len(self._ids), dtype=np.int64)
        probabilities = probabilities_of(head, self._embeddings.matrix, rows)  # (n, C)
        codes = probabilities.argmax(axis=1)
        return Model(
            name=ZERO_SHOT,
            version=version,
            labelled=0,
            head=head,
            classes=_names(prior),
            codes=codes,
            confidence=probabilities[rows, codes].astype(np.float32),
            expected=unknown(head.classes_, FEW_LABELS),
            accuracy=None,
            interval=None,
            advice=advise([]),
            seconds=time.monotonic() - started,
        )

    def curve(self) -> list[tuple[int, float, float, float]]:
        """Return the curve of `LabellingSession.curve`."""
        found: list[tuple[int, float, float, float]] = []
        for fit in list(self._history.fits):
            # After an undo there are fewer labels: points with as many labels or more are invalid.
            while found and found[-1][0] >= fit.evidence.labelled:
                found.pop()
            if fit.expected is not None:
                found.append((fit.evidence.labelled, *fit.expected))
        return found

    def propose(self, n: int, model: Model | None = None) -> list[Proposal]:
        """Return up to `n` items to label next; see `LabellingSession.propose`."""
        with self._work:
            model = self.model if model is None else model
            chosen = self._selected(n, model)
            if model is not None:
                return sorted_by_group([self._proposal(int(row), model) for row in chosen])
            names = cluster_names(take_rows(self._embeddings.matrix, chosen))
            named_rows = zip(chosen, names, strict=True)
            return sorted_by_group(
                [Proposal(int(row), self._ids[row], None, None, name) for row, name in named_rows]
            )

    def order(self, n: int, model: Model | None = None) -> NDArray[np.int64]:
        """Return the rows of `LabellingSession.order`."""
        with self._work:
            return self._selected(n, self.model if model is None else model)

    def _selected(self, n: int, model: Model | None) -> NDArray[np.int64]:
        """Return up to `n` rows in the order in which the strategy selects them."""
        snapshot = self._snapshot()
        labelled, declined = snapshot.labelled(), snapshot.declined()
        pool = RoundPool(
            self._embeddings.matrix,
            declined=declined,
            labelled=labelled.rows,
            labels=labelled.labels,
            head=None if model is None else model.head,
            candidates=self.candidates,
            index=self._index,
            target=self._target,
            texts=self._texts,
        )
        n = min(n, pool.unlabelled.size)
        if n < 1:
            return np.array([], dtype=np.int64)
        strategy = self._strategy if model is not None and model.labelled else self._initial
        rng = np.random.default_rng([self._seed, len(labelled.rows), len(declined)])
        return strategy.select(pool, n, rng).rows

    def label_doubts(self, n: int) -> LabelDoubts:
        """Return up to `n` likely label errors; see `LabellingSession.label_doubts`."""
        batch = self._snapshot().labelled()
        with self._work:
            errors = find_label_errors(
                self._embeddings.matrix, batch.rows, batch.labels, self._trainer.fresh()
            )
        columns = errors.rows, errors.suggested, errors.suggested_probabilities, errors.given
        proposals = [
            Proposal(int(row), self._ids[row], str(label), float(confidence), str(current))
            for row, label, confidence, current in list(zip(*columns, strict=True))[:n]
        ]
        reason = None if errors.judged else why_not_judged(len(np.unique(batch.labels)))
        return LabelDoubts(proposals, len(batch.rows), errors.judged, reason)

    def _proposal(self, row: int, model: Model) -> Proposal:
        label = model.classes[model.codes[row]]
        return Proposal(row, self._ids[row], label, float(model.confidence[row]), label)


def _names(prior: ZeroShotPrior) -> tuple[str, ...]:
    return tuple(str(name) for name in prior.classes)


def _same_labels(one: Batch, other: Batch) -> bool:
    return np.array_equal(one.rows, other.rows) and np.array_equal(one.labels, other.labels)


def _with_few_left(advice: dict[str, Any], expected: ExpectedAccuracy, left: int) -> dict[str, Any]:
    """Return the advice; with fewer than `NEXT_LABELS` items left, count the wrong suggestions."""
    if expected.value is None or left >= NEXT_LABELS:
        return advice
    wrong = round((1 - expected.value) * left)
    number = f"about {wrong}" if wrong else "fewer than one"
    reason = f"Expected wrong suggestions: {number} of the {left} without a label."
    return {**advice, "reason": reason}


def _agreement(before: Model, classes: tuple[str, ...], codes: NDArray[np.int64]) -> float:
    """Return the share of items with the same prediction as before."""
    place = {name: code for code, name in enumerate(classes)}
    new_codes = np.array([place.get(name, -1) for name in before.classes], dtype=np.int64)
    return float(np.mean(new_codes[before.codes] == codes))
