"""The current labels of a dataset by row, updated from the label log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._loops.fitting import Batch
from ..embedding import Embeddings
from ..labels import Current, Event, LabelLog
from ..labels.log_event import ITEM_KINDS
from ..labels.log_state import match

__all__ = ["STATES", "LabelState", "Snapshot"]

STATES = ("", "label", "skip", "unsure", "accept")
"""States of an item: ``""`` is unlabelled, and ``"accept"`` has an accepted suggestion."""

MAX_UNDONE = 100
"""Maximum undone events that are read one by one. For more, reading the whole log is faster."""


@dataclass(frozen=True)
class Snapshot:
    """The labels and states of all items at one version of the log; 9 bytes per item.

    Accepted suggestions are no labels: `codes`, `counts`, `labelled` and `label` are about the
    labels of a person only.
    """

    version: int  # id of the last event
    classes: tuple[str, ...]  # in order of first appearance
    codes: NDArray[np.int32]  # (n,) label: position in `classes`, or -1
    accepted: NDArray[np.int32]  # (n,) accepted suggestion: position in `classes`, or -1
    states: NDArray[np.uint8]  # (n,) position in `STATES`

    def counts(self) -> dict[str, int]:
        """Return the number of labels of each class, in the order of `classes`."""
        return self._counts(self.codes)

    def accepted_counts(self) -> dict[str, int]:
        """Return the number of accepted suggestions of each class, in the order of `classes`."""
        return self._counts(self.accepted)

    def _counts(self, codes: NDArray[np.int32]) -> dict[str, int]:
        counts = np.bincount(codes + 1, minlength=len(self.classes) + 1)
        return dict(zip(self.classes, counts[1:].tolist(), strict=True))

    def labelled(self) -> Batch:
        """Return the labelled rows, ascending, and their labels."""
        rows = np.flatnonzero(self.codes >= 0)
        return Batch(rows, np.array(self.classes, dtype=np.str_)[self.codes[rows]])

    def declined(self) -> NDArray[np.int64]:
        """Return the skipped, unsure and accepted rows, ascending; they are not proposed."""
        return np.flatnonzero(self.states >= STATES.index("skip"))

    def label(self, row: int) -> str | None:
        """Return the label of an item, or None."""
        return None if self.codes[row] < 0 else self.classes[self.codes[row]]

    def class_of(self, row: int) -> str | None:
        """Return the label or the accepted suggestion of an item, or None."""
        code = max(self.codes[row], self.accepted[row])
        return None if code < 0 else self.classes[code]


class LabelState:
    """The current labels of a dataset, by row of its embeddings.

    A moved file keeps its label; an edited file loses it. New events about items are applied one by
    one. After an undone label, the list of classes is read again. After a renamed, merged or
    deleted class, all events of the dataset are read again.
    """

    def __init__(self, embeddings: Embeddings, log: LabelLog) -> None:
        self._log, self._dataset = log, log.dataset_of(embeddings.dataset.name)
        self._content = dict(
            zip((item.id for item in embeddings.items), embeddings.content_ids, strict=True)
        )
        self.row_of = {path: row for row, path in enumerate(self._content)}
        self.version = 0  # id of the last event that was read
        self.round = 0  # highest round of an event
        self.current: dict[int, Current] = {}  # by row
        self.classes: list[str] = []  # in order of first appearance
        self._codes = np.full(len(self._content), -1, dtype=np.int32)
        self._accepted = np.full(len(self._content), -1, dtype=np.int32)
        self._states = np.zeros(len(self._content), dtype=np.uint8)
        # Content ids of labelled files that are missing or were edited.
        self._missing: set[bytes | None] = set()

    def refresh(self) -> bool:
        """Read new events; return whether one of them is about this dataset."""
        fresh: list[Event] = []
        for event in self._log.events(self.version):
            self.version = event.id or self.version
            if event.dataset == self._dataset:
                fresh.append(event)
        if not fresh:
            return False
        self.round = max([self.round, *(event.round or 0 for event in fresh)])
        added = [event for event in fresh if event.undoes is None]
        undone_ids = [event.undoes for event in fresh if event.undoes is not None]
        many = len(undone_ids) > MAX_UNDONE
        undone = [] if many else [self._log.event(each) for each in undone_ids]
        if many or not all(map(self._is_independent, [*added, *undone])):
            self._read_all()
            return True
        for event in added:
            self._apply(event)
        self._read_items(undone)
        return True

    def snapshot(self) -> Snapshot:
        """Return a copy of the current state."""
        arrays = self._codes.copy(), self._accepted.copy(), self._states.copy()
        return Snapshot(self.version, tuple(self.classes), *arrays)

    def _is_independent(self, event: Event) -> bool:
        """Return whether an event changes only one item, or only adds a class."""
        # The label of a missing file belongs to a file with the same content, if there is one.
        # Events about either file may change that label, so they are not independent.
        if event.kind == "new_class":
            return True
        return (
            event.kind in ITEM_KINDS
            and event.path in self._content
            and event.content_id == self._content[event.path]
            and event.content_id not in self._missing
        )

    def _apply(self, event: Event) -> None:
        if event.label is not None:
            self._add_class(event.label)
        if event.path is not None:
            current = Current(
                event.label, event.kind, event.who, event.at or "", event.id or 0, event.content_id
            )
            self._set(self.row_of[event.path], current)

    def _read_items(self, undone: Sequence[Event]) -> None:
        """Read the labels of the items of undone events again, and the classes if needed."""
        if any(event.label is not None for event in undone):
            self._set_classes(self._log.classes(self._dataset))
        for path in {event.path for event in undone if event.path is not None}:
            found = match(self._log.current(self._dataset, path), {path: self._content[path]})
            self._set(self.row_of[path], found.current.get(path))

    def _read_all(self) -> None:
        known = self._log.current(self._dataset)
        found = match(known, self._content)
        self._missing = {
            each.content_id
            for path, each in known.items()
            if self._content.get(path) != each.content_id
        }
        self._set_classes(self._log.classes(self._dataset))
        self.current = {}
        self._codes[:], self._accepted[:], self._states[:] = -1, -1, 0
        for path, current in found.current.items():
            self._set(self.row_of[path], current)

    def _set(self, row: int, current: Current | None) -> None:
        """Set the current label or mark of an item; None if the item has no events."""
        if current is None:
            self.current.pop(row, None)
        else:
            self.current[row] = current
        label = None if current is None else current.label
        # Another process may have added the class since the classes were read.
        code = -1 if label is None else self._add_class(label)
        kind = "" if current is None or current.kind == "clear" else current.kind
        self._codes[row] = code if kind == "label" else -1
        self._accepted[row] = code if kind == "accept" else -1
        self._states[row] = STATES.index(kind)

    def _add_class(self, name: str) -> int:
        """Return the position of a class; a new class is added at the end."""
        if name not in self.classes:
            self.classes.append(name)
        return self.classes.index(name)

    def _set_classes(self, classes: Iterable[str]) -> None:
        """Replace the list of classes; items keep their classes by name."""
        before, self.classes = self.classes, list(classes)
        place = {name: code for code, name in enumerate(self.classes)}
        new_codes = np.array([*(place.get(name, -1) for name in before), -1], dtype=np.int32)
        # Code -1 selects the last element, which is -1.
        self._codes, self._accepted = new_codes[self._codes], new_codes[self._accepted]
