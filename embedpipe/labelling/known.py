"""What the label log says of the items of a dataset, kept up with what others write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..embedding import Embeddings
from ..labels import Current, Event, LabelLog
from ..labels.log_current import match
from .snapshot import STATES, Snapshot

__all__ = ["Known"]

MOST_UNDONE = 100
"""When more events than this were undone, all are read again: it is faster."""

_OF_ITEMS = ("label", "skip", "unsure", "clear")


class Known:
    """The state of a dataset's labels, by row of its embeddings.

    Moved files keep what was said of them; of an edited one, nothing holds.

    Parameters
    ----------
    embeddings
        Of the dataset.
    log
        The label log.
    who
        Whose acts are listed, to be undone.

    Attributes
    ----------
    version
        Id of the last event that was seen.
    current
        What holds, by row.
    classes
        In order of first appearance.
    acts
        This person's events that are not undone, those of one act together.
    round
        The highest that an event named.

    Notes
    -----
    What is said or undone of items costs the time of reading it, and an undone label that of
    listing the classes; a class that is renamed, that of reading all of the dataset's events.
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
        self._gone: set[bytes | None] = set()  # contents of labelled files that are not there

    def refresh(self) -> bool:
        """Read what is new; return whether there was anything of this dataset."""
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
        many = len(undoings) > MOST_UNDONE
        undone = [] if many else [self._log.event(each) for each in undoings]
        if many or not all(map(self._is_alone, [*said, *undone])):
            self._read_all()
            return True
        for event in said:
            self._apply(event)
        self._look_again(undone)
        return True

    def snapshot(self) -> Snapshot:
        """Return what holds now, as arrays of its own."""
        return Snapshot(self.version, tuple(self.classes), self._codes.copy(), self._states.copy())

    def _is_alone(self, event: Event) -> bool:
        """Return whether an event tells of one item, or of a new class, and of nothing else.

        What is said of a file that is not there, or of bytes that such a file had, may tell of
        a file that was moved.
        """
        if event.kind == "new_class":
            return True
        return (
            event.kind in _OF_ITEMS
            and event.path in self._content
            and event.content_id == self._content[event.path]
            and event.content_id not in self._gone
        )

    def _apply(self, event: Event) -> None:
        if event.label is not None:
            self._add_class(event.label)
        if event.path is not None:
            current = Current(
                event.label, event.kind, event.who, event.at or "", event.id or 0, event.content_id
            )
            self._set(self.row_of[event.path], current)

    def _look_again(self, undone: Sequence[Event]) -> None:
        """Read what holds of the items of undone events, and which classes there are."""
        if any(event.label is not None for event in undone):
            self._set_classes(self._log.classes(self._dataset))
        for path in {event.path for event in undone if event.path is not None}:
            found = match(self._log.current(self._dataset, path), {path: self._content[path]})
            self._set(self.row_of[path], found.current.get(path))

    def _read_all(self) -> None:
        known = self._log.current(self._dataset)
        found = match(known, self._content)
        self._gone = {
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
        """Note what holds of an item: None for nothing."""
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
