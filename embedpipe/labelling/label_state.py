"""The current labels of a dataset by row, kept up to date with the label log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._loops.fitting import Batch
from ..embedding import Embeddings
from ..labels import Current, Event, LabelLog
from ..labels.log_state import match

__all__ = ["STATES", "LabelState", "Snapshot"]

STATES = ("", "label", "skip", "unsure")
"""States of an item; the first is unlabelled."""

MAX_UNDONE = 100
"""Undone events up to which they are read one by one; of more, all events are read: faster."""

_OF_ITEMS = ("label", "skip", "unsure", "clear")


@dataclass(frozen=True)
class Snapshot:
    """The state of all items at one version of the log.

    Attributes
    ----------
    version
        Of the log: the id of the last event that was seen.
    classes
        Their names, in order of first appearance.
    codes
        (n,) int32, position in `classes`, -1 without a label.
    states
        (n,) uint8, position in `STATES`.

    Notes
    -----
    5 bytes per item.
    """

    version: int
    classes: tuple[str, ...]
    codes: NDArray[np.int32]
    states: NDArray[np.uint8]

    def counts(self) -> dict[str, int]:
        """Return how many labels each class has, in the order of `classes`."""
        found = np.bincount(self.codes + 1, minlength=len(self.classes) + 1)
        return dict(zip(self.classes, found[1:].tolist(), strict=True))

    def labelled(self) -> Batch:
        """Return the labelled rows, ascending, and their labels."""
        rows = np.flatnonzero(self.codes >= 0)
        return Batch(rows, np.array(self.classes, dtype=np.str_)[self.codes[rows]])

    def passed(self) -> NDArray[np.int64]:
        """Return the rows that were skipped or left unsure, ascending."""
        return np.flatnonzero(self.states >= STATES.index("skip"))

    def label(self, row: int) -> str | None:
        """Return the label of an item, or None."""
        return None if self.codes[row] < 0 else self.classes[self.codes[row]]


class LabelState:
    """The state of a dataset's labels, by row of its embeddings.

    A moved file keeps its label; an edited one has none. `acts` are those of the person `who`.

    Attributes
    ----------
    version
        Id of the last event that was seen.
    current
        The current labels, by row.
    classes
        In order of first appearance.
    acts
        The person's events that are not undone, those of one act together.
    round
        The highest that an event named.

    Notes
    -----
    An event about items costs the time of reading it; an undone label, also that of listing the
    classes; a renamed class, that of reading all of the dataset's events.
    """

    def __init__(self, embeddings: Embeddings, log: LabelLog, who: str | None) -> None:
        self._log, self._dataset, self._who = log, embeddings.dataset.name, who
        self._content = dict(
            zip((item.id for item in embeddings.items), embeddings.content_ids, strict=True)
        )
        self.row_of = {path: row for row, path in enumerate(self._content)}
        self.version, self.round = 0, 0
        self.current: dict[int, Current] = {}
        self.classes: list[str] = []
        self.acts: list[list[Event]] = []
        self._codes = np.full(len(self._content), -1, dtype=np.int32)
        self._states = np.zeros(len(self._content), dtype=np.uint8)
        self._missing: set[bytes | None] = set()  # content ids of labelled files that are gone

    def refresh(self) -> bool:
        """Read new events; return whether there were any of this dataset."""
        fresh: list[Event] = []
        for event in self._log.events(self.version):
            self.version = event.id or self.version
            if event.dataset == self._dataset:
                fresh.append(event)
        if not fresh:
            return False
        self._remember_acts(fresh)
        self.round = max([self.round, *(event.round or 0 for event in fresh)])
        said = [event for event in fresh if event.undoes is None]
        undoings = [event.undoes for event in fresh if event.undoes is not None]
        many = len(undoings) > MAX_UNDONE
        undone = [] if many else [self._log.event(each) for each in undoings]
        if many or not all(map(self._is_independent, [*said, *undone])):
            self._read_all()
            return True
        for event in said:
            self._apply(event)
        self._read_items(undone)
        return True

    def snapshot(self) -> Snapshot:
        """Return a copy of the current state."""
        return Snapshot(self.version, tuple(self.classes), self._codes.copy(), self._states.copy())

    def _is_independent(self, event: Event) -> bool:
        """Return whether an event changes one item, or adds a class, and nothing else."""
        # An event about a file that is gone, or about its bytes, may change a moved one.
        if event.kind == "new_class":
            return True
        return (
            event.kind in _OF_ITEMS
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
        """Read again the items of undone events, and the classes."""
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
        self._codes[:], self._states[:] = -1, 0
        for path, current in found.current.items():
            self._set(self.row_of[path], current)

    def _set(self, row: int, current: Current | None) -> None:
        """Set the state of an item; None for nothing."""
        if current is None:
            self.current.pop(row, None)
        else:
            self.current[row] = current
        label = None if current is None else current.label
        # A class that another process has made since the classes were read is not among them.
        self._codes[row] = -1 if label is None else self._add_class(label)
        kind = "" if current is None or current.kind == "clear" else current.kind
        self._states[row] = STATES.index(kind)

    def _add_class(self, name: str) -> int:
        """Return a class's position, at the end if it is new."""
        if name not in self.classes:
            self.classes.append(name)
        return self.classes.index(name)

    def _set_classes(self, classes: Iterable[str]) -> None:
        """Take over which classes there are; items keep theirs by name."""
        before, self.classes = self.classes, list(classes)
        place = {name: code for code, name in enumerate(self.classes)}
        moved = np.array([*(place.get(name, -1) for name in before), -1], dtype=np.int32)
        self._codes = moved[self._codes]  # -1 is the last

    def _remember_acts(self, events: Sequence[Event]) -> None:
        undone = {event.undoes for event in events if event.kind == "undo"}
        for event in events:
            if event.who != self._who or event.kind == "undo":
                continue
            if self.acts and self.acts[-1][0].at == event.at:
                self.acts[-1].append(event)
            else:
                self.acts.append([event])
        if undone:
            left = ([event for event in act if event.id not in undone] for act in self.acts)
            self.acts = [act for act in left if act]
