"""A person labels, and a model that learns from the labels proposes what to label next."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._loops.fitting import Batch
from ..embedding import Embeddings
from ..errors import LabelError, UsageError
from ..labels import Current, Event, LabelLog
from ..strategies import get_strategy
from .label_state import LabelState, Snapshot
from .learner import Learner, Model
from .proposals import LabelDoubts, Proposal, most_similar

__all__ = ["LabellingSession"]

MARKS = ("skip", "unsure", "clear")
"""Marks of an item that are no labels."""


class LabellingSession:
    """Label the items of a dataset, with a model that `retrain` fits to the labels so far.

    Every label goes to the label log at once, and the events of other processes are read before
    every step. The labels of the dataset itself are never used. Methods may be called from several
    threads: labelling goes on while `retrain` and `propose` are at work.

    Parameters
    ----------
    embeddings
        Of the dataset. Items of its test and validation splits are not proposed.
    log
        The label log.
    strategy
        Spec string of the strategy that proposes items once there is a model.
    initial
        Spec string of the strategy before that; it needs no labels.
    head
        A spec string, or an unfitted classifier with `predict_proba`.
    seed
        Everything random follows from it and the number of labels. A head without a ``seed`` or
        ``random_state`` of its own takes it.
    who
        The annotator's name in the log.

    Raises
    ------
    UsageError
        If `initial` needs labels, or the head gives no probabilities.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp)
    >>> session = LabellingSession(digits, ep.LabelLog(tmp / "labels.sqlite"), who="ann")
    >>> batch = session.propose(20)
    >>> for each in batch:
    ...     _ = session.label([each.row], digits.items[each.row].label)
    >>> model = session.retrain()
    >>> model.labelled, session.propose(1)[0].label in model.classes
    (20, True)
    >>> len(session.undo()), sum(session.counts().values())
    (1, 19)
    """

    def __init__(
        self,
        embeddings: Embeddings,
        log: LabelLog,
        *,
        strategy: str = "auto",
        initial: str = "auto",
        head: Any = "logistic",
        seed: int = 0,
        who: str | None = None,
    ) -> None:
        self.embeddings, self.log, self.seed, self.who = embeddings, log, seed, who
        self.dataset = embeddings.dataset.name
        chosen, first = get_strategy(strategy), get_strategy(initial)
        if first.needs_labels:
            raise UsageError(f"{initial!r} needs labels: give an initial strategy that needs none.")
        history = log.path.with_name("fits.jsonl")
        self._learner = Learner(embeddings, self.snapshot, chosen, first, head, seed, history)
        self.ids = tuple(item.id for item in embeddings.items)
        self._state = LabelState(embeddings, log, who)
        self._lock = threading.RLock()  # of the state
        self._snapshot: Snapshot | None = None
        self.refresh()

    # The current labels

    @property
    def version(self) -> int:
        """Id of the last event of the log that was seen."""
        return self._state.version

    @property
    def round(self) -> int:
        """Number of fits before the next labels, from the log."""
        return self._state.round

    def row_of(self, path: str) -> int:
        """Return the row of an item.

        Raises
        ------
        LabelError
            If there is no such item.
        """
        if path not in self._state.row_of:
            raise LabelError(f"{self.dataset!r} has no item {path!r} with a vector.")
        return self._state.row_of[path]

    def refresh(self) -> bool:
        """Read the events of others; return whether there were any of this dataset."""
        with self._lock:
            return self._state.refresh()

    def snapshot(self) -> Snapshot:
        """Return the current state of all items."""
        with self._lock:
            self._state.refresh()
            if self._snapshot is None or self._snapshot.version != self._state.version:
                self._snapshot = self._state.snapshot()
            return self._snapshot

    def current(self) -> dict[int, Current]:
        """Return the current label and annotator of each item that has one, by row."""
        with self._lock:
            self._state.refresh()
            return dict(self._state.current)

    def current_of(self, row: int) -> Current | None:
        """Return the current label and annotator of an item; None if it never had one."""
        with self._lock:
            self._state.refresh()
            return self._state.current.get(row)

    def classes(self) -> list[str]:
        """Return the classes, in order of first appearance."""
        return list(self.snapshot().classes)

    def counts(self) -> dict[str, int]:
        """Return how many labels each class has, in the order of `classes`."""
        return self.snapshot().counts()

    def labelled(self) -> Batch:
        """Return the labelled rows, ascending, and their labels."""
        return self.snapshot().labelled()

    def left(self) -> int:
        """Return how many items may still be proposed."""
        return int(np.count_nonzero(self.snapshot().states[self.candidates] == 0))

    def labels(self) -> dict[str, str]:
        """Return the labels by path, in the order of the items."""
        batch = self.labelled()
        rows = zip(batch.rows, batch.labels, strict=True)
        return {self.ids[row]: str(label) for row, label in rows}

    # New labels

    def label(
        self,
        rows: Sequence[int],
        label: str,
        *,
        suggestions: Sequence[str | None] | None = None,
        model: str | None = None,
    ) -> int:
        """Label items, as one act; it is on the disk when this returns.

        Parameters
        ----------
        rows
            The rows of the items.
        label
            Their class; a new name makes a class.
        suggestions
            The suggestion of a model for each.
        model
            The name of that model.

        Returns
        -------
        int
            Id of the last event.

        Raises
        ------
        LabelError
            If a row is not there, or the name cannot be one of a class.
        """
        said = [None] * len(rows) if suggestions is None else list(suggestions)
        more = [{"label": label, "suggestion": each, "model": model} for each in said]
        return self._append_for("label", rows, more)

    def mark(self, rows: Sequence[int], kind: str) -> int:
        """Mark items as skipped (``"skip"``), ``"unsure"``, or unlabelled (``"clear"``).

        Raises
        ------
        UsageError
            If `kind` is none of these.
        LabelError
            If a row is not there.
        """
        if kind not in MARKS:
            raise UsageError(f"items cannot be marked {kind!r}: say {', '.join(MARKS)}.")
        return self._append_for(kind, rows, [{} for _ in rows])

    def add_class(self, name: str) -> int:
        """Make a class; one that is there stays as it is."""
        return self._append([Event("new_class", self.dataset, label=name, who=self.who)])

    def rename_class(self, old: str, new: str) -> int:
        """Give a class another name, and its labels with it."""
        return self._append([self._moving("rename_class", old, new)])

    def merge_class(self, old: str, into: str) -> int:
        """Give the labels of a class to another one."""
        return self._append([self._moving("merge_class", old, into)])

    def undo(self) -> list[int]:
        """Undo the annotator's last act that is not undone; return its rows.

        An act of several items is undone as a whole. Undoing again goes one act further back.
        """
        with self._lock:
            self._state.refresh()
            if not self._state.acts:
                return []
            act = self._state.acts[-1]
            self._append(
                [Event("undo", self.dataset, who=self.who, undoes=each.id) for each in act[::-1]]
            )
            paths = [each.path for each in act if each.path in self._state.row_of]
            return [self._state.row_of[path] for path in paths if path is not None]

    def _moving(self, kind: str, old: str, new: str) -> Event:
        return Event(kind, self.dataset, previous=old, label=new, who=self.who)

    def _append_for(self, kind: str, rows: Sequence[int], more: Sequence[dict[str, Any]]) -> int:
        """Append an event for each item, as one act: all have one time."""
        if not len(rows):
            return self.version
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        events = []
        for row, fields in zip(rows, more, strict=True):
            if not 0 <= row < len(self.ids):
                raise LabelError(f"there is no row {row}: there are {len(self.ids)}.")
            content_id = self.embeddings.content_ids[row]
            event = Event(kind, self.dataset, self.ids[row], content_id, who=self.who, at=at)
            events.append(replace(event, round=self.round, **fields))
        return self._append(events)

    def _append(self, events: Sequence[Event]) -> int:
        with self._lock:
            last = self.log.append(events)[-1]
            self._state.refresh()
            return last

    # The model

    @property
    def model(self) -> Model | None:
        """The model that `retrain` fitted last, or None."""
        return self._learner.model

    @property
    def head(self) -> Any:
        """The unfitted classifier, with its seed."""
        return self._learner.head

    @property
    def candidates(self) -> NDArray[np.int64]:
        """The rows that are proposed: those outside the test and validation splits, ascending."""
        return self._learner.candidates

    def retrain(self) -> Model | None:
        """Fit a head to the labels so far, and predict every item.

        The head depends on the labels alone, not on earlier heads.

        Returns
        -------
        Model
            None while fewer than two classes have labels; the last one if no label is new.
        """
        model, is_new = self._learner.retrain()
        if is_new:
            with self._lock:
                self._state.round += 1
        return model

    def curve(self) -> list[tuple[int, float, float, float]]:
        """Return labels, cross-validated accuracy and its interval (2 numbers), fit by fit.

        Fits of earlier sessions are there as well, those of the same kind of head.
        """
        return self._learner.curve()

    # Items to look at

    def propose(self, n: int, model: Model | None = None) -> list[Proposal]:
        """Return up to `n` items to label next, without labelled, skipped and unsure ones.

        Parameters
        ----------
        n
            Their number, at least 1.
        model
            Its predictions count; the last one if None. Before there is one, the initial strategy
            chooses.

        Returns
        -------
        list of Proposal
            Those of a group together. Empty when nothing is left.
        """
        return self._learner.propose(n, model)

    def doubted(self, n: int) -> list[Proposal]:
        """Return up to `n` labelled items whose label is likely wrong; see `label_doubts`."""
        return self.label_doubts(n).proposals

    def label_doubts(self, n: int) -> LabelDoubts:
        """Return up to `n` labelled items whose label is likely wrong, the most doubtful first.

        Found by heads that were fitted without the label, as by `embedpipe check`: see
        `find_label_errors`. In a proposal, `label` is their prediction and `group` the label.

        Notes
        -----
        Fits five heads.
        """
        return self._learner.label_doubts(n)

    def similar(self, row: int, n: int) -> list[int]:
        """Return the `n` rows that are most like one, by the angle between vectors, nearest first.

        Raises
        ------
        LabelError
            If there is no such row.
        """
        if not 0 <= row < len(self.ids):
            raise LabelError(f"there is no row {row}: there are {len(self.ids)}.")
        return [int(each) for each in most_similar(self.embeddings.matrix, row, n)]
