"""A labelling session: labels of a person, and a model that proposes the next items."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._loops.fitting import Batch
from ..active.target import Target
from ..embedding import Embeddings
from ..errors import LabelError, UsageError
from ..heads import ZeroShotPrior
from ..labels import Current, Event, LabelLog
from ..strategies import get_strategy
from .class_names import current_names
from .label_state import LabelState, Snapshot
from .learner import Learner, Model
from .proposals import LabelDoubts, Proposal, most_similar

__all__ = ["LabellingSession"]

MARKS = ("skip", "unsure", "clear")
"""Marks that an item can have instead of a label."""


class LabellingSession:
    """Label the items of a dataset with the help of a model.

    Labels are written to the label log immediately. Every method first reads the new events of
    other processes. The dataset's own labels are not used. Methods are thread-safe: labelling
    continues during `retrain` and `propose`. Each call of a method that writes is one act:
    `undo` undoes all of it.

    Parameters
    ----------
    embeddings
        The dataset's embeddings. Items of its test and validation splits are not proposed.
    log
        The label log.
    strategy
        Spec string of the strategy after the first model.
    initial
        Spec string of the strategy before the first model; it must not need labels.
    head
        A spec string, or an unfitted classifier with `predict_proba`.
    seed
        Seed of the strategies, and of a head without a ``seed`` or ``random_state`` of its own.
    who
        The annotator's name in the log.
    target
        Unlabelled items from where the model will be used: embeddings of a dataset, (t, d) vectors,
        or the name of a split of the dataset. The proposed items represent them. Both strategies
        must use a target.
    prior
        Vectors of class names, from `zero_shot_prior`. Until two classes have labels, the model
        predicts from them. Heads that use a prior, such as ``auto``, then blend it with the labels.
        The vectors follow classes that are renamed, merged or deleted.
    texts
        Vectors of texts by text, for strategies that search by words; see `text_vectors`.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp)
    >>> log = ep.LabelLog(tmp / "labels.sqlite")
    >>> session = LabellingSession(digits, log, who="ann")
    >>> batch = session.propose(20)
    >>> for each in batch:
    ...     _ = session.label([each.row], digits.items[each.row].label)
    >>> model = session.retrain()
    >>> model.labelled, session.propose(1)[0].label in model.classes
    (20, True)
    >>> len(session.undo()), sum(session.counts().values())
    (1, 19)
    >>> log.close()
    """

    def __init__(
        self,
        embeddings: Embeddings,
        log: LabelLog,
        *,
        strategy: str = "auto",
        initial: str = "auto",
        head: Any = "auto",
        seed: int = 0,
        who: str | None = None,
        target: Target | Embeddings | ArrayLike | str | None = None,
        prior: ZeroShotPrior | None = None,
        texts: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        self.embeddings, self.log, self.seed, self.who = embeddings, log, seed, who
        self.dataset = log.dataset_of(embeddings.dataset.name)
        self._options: dict[str, Any] = {
            "strategy": strategy,
            "initial": initial,
            "head": head,
            "seed": seed,
            "who": who,
            "target": target,
            "prior": prior,
            "texts": texts,
        }
        chosen, first = get_strategy(strategy), get_strategy(initial)
        if first.needs_labels:
            raise UsageError(
                f"the initial strategy {initial!r} needs labels. Choose one that needs none."
            )
        self.target = None if target is None else Target.of(target, embeddings)
        if self.target is not None:
            first.check_target()
            chosen.check_target()
        self.ids = tuple(item.id for item in embeddings.items)
        self._state = LabelState(embeddings, log)
        self._lock = threading.RLock()  # protects the state
        self._snapshot: Snapshot | None = None
        self.refresh()
        self._first_version = self.version  # `prior` has the names of this version
        history = log.path.with_name("fits.jsonl")
        self._learner = Learner(
            embeddings,
            self.snapshot,
            chosen,
            first,
            head,
            seed,
            history,
            log.dataset_of(self.dataset),  # the fits of a moved folder are continued
            self.target,
            lambda: self.prior,
            texts,
        )

    def for_embeddings(self, embeddings: Embeddings) -> LabellingSession:
        """Return a session with the same log and options for new embeddings of the dataset."""
        return LabellingSession(embeddings, self.log, **{**self._options, "prior": self.prior})

    @property
    def prior(self) -> ZeroShotPrior | None:
        """The vectors of class names, under the current names of the classes."""
        prior: ZeroShotPrior | None = self._options["prior"]
        if prior is None:
            return None
        events = [
            event for event in self.log.events(self._first_version) if event.dataset == self.dataset
        ]
        return prior.renamed(current_names(prior.classes.tolist(), events, self.classes()))

    # The current labels

    @property
    def version(self) -> int:
        """Id of the last event that was read from the log."""
        return self._state.version

    @property
    def round(self) -> int:
        """Round number of the next labels; each fit increases it by one."""
        return self._state.round

    def row_of(self, path: str) -> int:
        """Return the row of an item; an unknown path raises `LabelError`."""
        if path not in self._state.row_of:
            raise LabelError(f"{self.dataset!r} has no item {path!r} with an embedding.")
        return self._state.row_of[path]

    def refresh(self) -> bool:
        """Read new events; return whether one of them is about this dataset."""
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
        """Return the current labels and marks by row."""
        with self._lock:
            self._state.refresh()
            return dict(self._state.current)

    def current_of(self, row: int) -> Current | None:
        """Return the current label or mark of an item, or None."""
        with self._lock:
            self._state.refresh()
            return self._state.current.get(row)

    def classes(self) -> list[str]:
        """Return the classes in order of first appearance."""
        return list(self.snapshot().classes)

    def counts(self) -> dict[str, int]:
        """Return the number of labels of each class, in the order of `classes`."""
        return self.snapshot().counts()

    def labelled(self) -> Batch:
        """Return the labelled rows, ascending, and their labels."""
        return self.snapshot().labelled()

    def left(self) -> int:
        """Return the number of items that can still be proposed."""
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
        label: str | Sequence[str],
        *,
        suggestions: Sequence[str | None] | None = None,
        model: str | None = None,
        who: str | None = None,
    ) -> int:
        """Label items, and return the id of the last event when it is on the disk.

        `label` is one class for all rows, or one class for each row. A new name creates a class.
        `suggestions` are the predictions of `model`, one for each row. `who` is the annotator, by
        default the annotator of the session.
        """
        labels = [label] * len(rows) if isinstance(label, str) else label
        if len(labels) != len(rows):
            raise UsageError(
                f"`label` must have one class for each of the {len(rows)} rows; got {len(labels)}."
            )
        suggested = [None] * len(rows) if suggestions is None else suggestions
        return self._append_for(
            "label",
            rows,
            [
                {"label": name, "suggestion": suggestion, "model": model}
                for name, suggestion in zip(labels, suggested, strict=True)
            ],
            who,
        )

    def accept(self, rows: Sequence[int], suggestions: Sequence[str], model: str) -> list[int]:
        """Accept the suggestions of a model for several items, and return the accepted rows.

        Accepted suggestions are no labels: no model is trained on them, and no accuracy is measured
        with them. Items with a label keep it. `label` replaces an accepted suggestion.
        """
        with self._lock:
            labelled = self.snapshot().codes >= 0
            accepted = {
                row: {"label": suggestion, "suggestion": suggestion, "model": model}
                for row, suggestion in zip(rows, suggestions, strict=True)
                if not labelled[self._checked(row)]
            }
            self._append_for("accept", [*accepted], [*accepted.values()])
            return [*accepted]

    def withdraw_accepted(self) -> list[int]:
        """Clear all items with an accepted suggestion, and return their rows."""
        with self._lock:
            rows = np.flatnonzero(self.snapshot().accepted >= 0).tolist()
            self.mark(rows, "clear")
            return rows

    def mark(self, rows: Sequence[int], kind: str, *, who: str | None = None) -> int:
        """Mark items as skipped (``"skip"``), ``"unsure"``, or unlabelled (``"clear"``).

        `who` is the annotator, by default the annotator of the session.
        """
        if kind not in MARKS:
            raise UsageError(f"unknown mark {kind!r}; expected {', '.join(MARKS)}.")
        return self._append_for(kind, rows, [{} for _ in rows], who)

    def add_class(self, name: str) -> int:
        """Create a class, unless it exists."""
        return self._append([Event("new_class", self.dataset, label=name, who=self.who)])

    def rename_class(self, old: str, new: str) -> int:
        """Rename a class and its labels."""
        return self._append([self._class_event("rename_class", old, new)])

    def merge_class(self, old: str, into: str) -> int:
        """Merge a class into another class."""
        return self._append([self._class_event("merge_class", old, into)])

    def delete_class(self, name: str) -> int:
        """Delete a class, and clear its items."""
        return self._append([self._class_event("delete_class", name, None)])

    def undo(self) -> list[int]:
        """Undo the annotator's last act that is not undone yet, and return its rows."""
        return self.rows_of(self.undo_act())

    def undo_act(self) -> list[Event]:
        """Undo the annotator's last act that is not undone yet, and return its events in order."""
        with self._lock:
            undone = self.log.undo(self.dataset, self.who)
            self._state.refresh()
            return undone[::-1]

    def rows_of(self, events: Sequence[Event]) -> list[int]:
        """Return the rows of the items that events are about, without missing files."""
        row_of = self._state.row_of
        return [row_of[event.path] for event in events if event.path in row_of]

    def _class_event(self, kind: str, old: str, new: str | None) -> Event:
        return Event(kind, self.dataset, previous=old, label=new, who=self.who)

    def _append_for(
        self,
        kind: str,
        rows: Sequence[int],
        more: Sequence[dict[str, Any]],
        who: str | None = None,
    ) -> int:
        """Append an event for each item."""
        if not len(rows):
            return self.version
        events = [
            Event(
                kind,
                self.dataset,
                self.ids[self._checked(row)],
                self.embeddings.content_ids[row],
                who=self.who if who is None else who,
                round=self.round,
                **fields,
            )
            for row, fields in zip(rows, more, strict=True)
        ]
        return self._append(events)

    def _checked(self, row: int) -> int:
        """Return a row, or raise `LabelError` if it does not exist."""
        if not 0 <= row < len(self.ids):
            raise LabelError(f"row {row} does not exist; the rows are 0 to {len(self.ids) - 1}.")
        return row

    def _append(self, events: Sequence[Event]) -> int:
        with self._lock:
            last = self.log.append(events)[-1]
            self._state.refresh()
            return last

    # The model

    @property
    def model(self) -> Model | None:
        """The last fitted model, or None."""
        return self._learner.model

    @property
    def head(self) -> Any:
        """The unfitted classifier, with its seed."""
        return self._learner.head

    @property
    def candidates(self) -> NDArray[np.int64]:
        """Rows that can be proposed: all rows outside the test and validation splits."""
        return self._learner.candidates

    def retrain(self) -> Model | None:
        """Fit a new head to the current labels, predict all items, and return the model.

        The result is None with fewer than two labelled classes, or the model of the class names if
        the session has a prior. It is the last model if no label has changed.
        """
        model, is_new = self._learner.retrain()
        if is_new:
            with self._lock:
                self._state.round += 1
        return model

    def curve(self) -> list[tuple[int, float, float, float]]:
        """Return (labels, expected accuracy, lower limit, upper limit) of each fit.

        The number of labels ascends: after an undo, fits to more labels are left out. Fits of
        earlier sessions with the same head are included.
        """
        return self._learner.curve()

    # Proposed items

    def propose(self, n: int, model: Model | None = None) -> list[Proposal]:
        """Return up to `n` items to label next, sorted by group; empty if no item is left.

        `model` is by default the last fitted model. Labelled, skipped, unsure and accepted items
        are not proposed.
        """
        return self._learner.propose(n, model)

    def order(self, n: int, model: Model | None = None) -> NDArray[np.int64]:
        """Return the rows of `propose` in the order in which the strategy selects them."""
        return self._learner.order(n, model)

    def doubted(self, n: int) -> list[Proposal]:
        """Return up to `n` items with a likely wrong label; see `label_doubts`."""
        return self.label_doubts(n).proposals

    def label_doubts(self, n: int) -> LabelDoubts:
        """Return up to `n` items with a likely wrong label, the most doubtful first.

        Five heads are fitted, as in `find_label_errors`. In a proposal, `label` is the prediction
        and `group` is the current label.
        """
        return self._learner.label_doubts(n)

    def similar(self, row: int, n: int) -> list[int]:
        """Return the `n` other rows with the smallest angles to the vector of `row`, in order."""
        return [int(each) for each in most_similar(self.embeddings.matrix, self._checked(row), n)]
