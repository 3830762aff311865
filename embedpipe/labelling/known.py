"""What the label log says of the items of a dataset, kept up with what others write."""

from __future__ import annotations

from collections.abc import Sequence

from ..embedding import Embeddings
from ..labels import Current, Event, LabelLog

__all__ = ["Known"]

_SIMPLE = ("label", "skip", "unsure", "clear", "new_class")
"""What changes one item or adds a class: the state follows without reading the log again."""


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
        Ids of this person's events that are not undone, those of one act together.
    round
        The highest that an event named.

    Notes
    -----
    A label costs the time of reading it; a class that is renamed or an act that is undone, that
    of reading all of the dataset's events.
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
        if all(self._is_simple(event) for event in fresh):
            for event in fresh:
                self._apply(event)
        else:
            self._read_all()
        return True

    def _is_simple(self, event: Event) -> bool:
        """Return whether nothing else has to be read: what is not here may have moved."""
        if event.kind not in _SIMPLE:
            return False
        return event.path is None or self._is_same(event)

    def _is_same(self, event: Event) -> bool:
        path = event.path or ""
        return path in self._content and event.content_id == self._content[path]

    def _apply(self, event: Event) -> None:
        if event.label is not None and event.label not in self.classes:
            self.classes.append(event.label)
        if event.path is not None:
            self.current[self.row_of[event.path]] = Current(
                event.label, event.kind, event.who, event.at or "", event.id or 0, event.content_id
            )

    def _read_all(self) -> None:
        found = self._log.current_for(self._dataset, self._content)
        self.current = {self.row_of[path]: current for path, current in found.current.items()}
        self.classes = self._log.classes(self._dataset)

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
