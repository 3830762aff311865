"""The events of the label log: labels, marks, accepted suggestions, changes of classes, undo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..errors import LabelError, UnknownNameError

__all__ = ["CLASS_KINDS", "ITEM_KINDS", "KINDS", "LINK", "Event"]

ITEM_KINDS = ("label", "accept", "skip", "unsure", "clear")
"""Kinds of events about an item. The last event of an item determines its state."""

CLASS_KINDS = ("new_class", "rename_class", "merge_class", "delete_class")
"""Kinds of events about a class."""

LINK = "link"
"""Kind of an event after which a dataset has the labels of another dataset."""

KINDS = (*ITEM_KINDS, *CLASS_KINDS, "undo", LINK)

_NEEDS = {
    "label": ("path", "label"),
    "accept": ("path", "label", "suggestion", "model"),
    "skip": ("path",),
    "unsure": ("path",),
    "clear": ("path",),
    "new_class": ("label",),
    "rename_class": ("previous", "label"),
    "merge_class": ("previous", "label"),
    "delete_class": ("previous",),
    "undo": ("undoes",),
    LINK: ("label",),
}
"""Required fields of each kind. If path, label, previous or undoes is not listed, it is None."""

_EXCLUSIVE = ("path", "label", "previous", "undoes")

_TEXTS = ("dataset", "path", "label", "previous", "who", "model", "suggestion")
_EXAMPLE = "2026-05-01T07:30:00+00:00"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the label log.

    Parameters
    ----------
    kind
        About an item: ``"label"`` (a person's label), ``"accept"`` (a suggestion that was accepted
        together with others), ``"skip"``, ``"unsure"``, ``"clear"`` (unlabelled again). About a
        class: ``"new_class"``, ``"rename_class"``, ``"merge_class"``, ``"delete_class"`` (its items
        are unlabelled again). About another event: ``"undo"``. About the whole dataset: ``"link"``,
        which `LabelLog.link` appends.
    dataset
        Name of the dataset.
    path
        The item's path relative to the dataset's folder.
    content_id
        SHA-256 (32 bytes) of the image file, or None.
    label
        Class of the item, or the new name of a class. For a link, the name of the dataset whose
        labels are used.
    who
        The annotator, or None.
    at
        Time in ISO 8601 with a UTC offset; None for the current time. The log stores UTC.
    round
        Round of the active-learning loop.
    model, suggestion
        Name of the model that suggested a label, and the suggested label.
    previous
        The class that is deleted, renamed to `label` or merged into it.
    undoes
        Id of the undone event.
    id
        Position in the log, from 1; None before the event is appended.

    Examples
    --------
    >>> Event("label", "shop", "red/1.jpg", label="hat", who="ann").kind
    'label'
    """

    kind: str
    dataset: str
    path: str | None = None
    content_id: bytes | None = None
    label: str | None = None
    who: str | None = None
    at: str | None = None
    round: int | None = None
    model: str | None = None
    suggestion: str | None = None
    previous: str | None = None
    undoes: int | None = None
    id: int | None = None


def validated_events(events: Iterable[Event]) -> list[Event]:
    """Validate events, and return them with times in UTC.

    All events without a time get the same time, the current time.
    """
    now = _utc(None)
    return [_validated(event, now) for event in events]


def _validated(event: Event, now: str) -> Event:
    if event.kind not in KINDS:
        raise UnknownNameError("kind of event", event.kind, KINDS)
    if event.id is not None:
        raise LabelError(
            f"the event {event.kind!r} is already event {event.id} of a log. Append a new event "
            "with id=None."
        )
    _check_fields(event)
    _check_texts(event)
    if event.content_id is not None and len(event.content_id) != 32:
        raise LabelError(
            f"the content id of {event.path!r} has {len(event.content_id)} bytes; expected a "
            "SHA-256 (32 bytes) or None."
        )
    return replace(event, at=now if event.at is None else _utc(event.at))


def _check_fields(event: Event) -> None:
    """Refuse an event with a missing or superfluous field."""
    needed = _NEEDS[event.kind]
    for field in dict.fromkeys((*_EXCLUSIVE, *needed)):
        is_set = getattr(event, field) is not None
        if is_set != (field in needed):
            verb = "does not accept" if is_set else "needs"
            fields = " and ".join(map(repr, needed))
            raise LabelError(f"an event {event.kind!r} {verb} {field!r}; it must have {fields}.")
    if event.kind == "accept" and event.label != event.suggestion:
        raise LabelError(
            f"the accepted label {event.label!r} is not the suggestion {event.suggestion!r}. Use "
            "the kind 'label'."
        )
    if event.previous is not None and event.previous == event.label:
        raise LabelError(
            f"the class {event.label!r} cannot be renamed to itself or merged into itself. Choose "
            "another class."
        )


def _check_texts(event: Event) -> None:
    """Refuse blank texts, invalid Unicode, and class names that begin or end with a space."""
    for field in _TEXTS:
        text = getattr(event, field)
        if text is None:
            continue
        if not text.strip():
            raise LabelError(f"the {field} of an event {event.kind!r} is blank. Fill it in.")
        if field in ("label", "previous") and text != text.strip():
            raise LabelError(f"the class {text!r} begins or ends with a space. Remove the space.")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise LabelError(f"the {field} {text!r} is not valid Unicode. Rename it.") from None


def _utc(at: str | None) -> str:
    """Return a time in UTC with microseconds, so that alphabetical order is time order."""
    if at is None:
        moment = datetime.now(UTC)
    else:
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            raise LabelError(
                f"the time {at!r} is not ISO 8601; expected a time such as {_EXAMPLE!r}."
            ) from None
        if moment.tzinfo is None:
            raise LabelError(
                f"the time {at!r} has no UTC offset; expected a time such as {_EXAMPLE!r}."
            )
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
