"""One thing that somebody said about an item or a class: what the label log is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..errors import LabelError, UnknownNameError

__all__ = ["CLASS_KINDS", "ITEM_KINDS", "KINDS", "Event"]

ITEM_KINDS = ("label", "skip", "unsure", "clear")
"""What can be said of an item; the last one said holds."""

CLASS_KINDS = ("new_class", "rename_class", "merge_class")
"""What can be said of a class."""

KINDS = (*ITEM_KINDS, *CLASS_KINDS, "undo")

_NEEDS = {
    "label": ("path", "label"),
    "skip": ("path",),
    "unsure": ("path",),
    "clear": ("path",),
    "new_class": ("label",),
    "rename_class": ("previous", "label"),
    "merge_class": ("previous", "label"),
    "undo": ("undoes",),
}
"""The fields that each kind must fill; of these four it may fill no others."""

_TEXTS = ("dataset", "path", "label", "previous", "who", "model", "suggestion")
_EXAMPLE = "2026-05-01T07:30:00+00:00"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the label log: who said what of which item or class, and when.

    Parameters
    ----------
    kind
        Of an item: ``"label"``, ``"skip"``, ``"unsure"``, ``"clear"`` (unlabelled again). Of a
        class: ``"new_class"``, ``"rename_class"``, ``"merge_class"``. Of an event: ``"undo"``.
    dataset
        Name of the dataset.
    path
        The item's path relative to the dataset's folder.
    content_id
        (32,) bytes, the SHA-256 of the item's bytes, or None where it is not known.
    label
        The class that the item belongs to; the name of the new class; the name that `previous`
        is renamed to or merged into.
    who
        The person or program, or None if unknown.
    at
        When, in ISO 8601 with an offset; the log keeps it in UTC, and fills in the time of
        writing where it is None.
    round
        Of the active-learning loop.
    model, suggestion
        The model that suggested a label, and that label.
    previous
        The class that is renamed, or merged into `label`.
    undoes
        The `id` of the event that is undone.
    id
        The place in the log, from 1; None until it is appended.

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


def checked(event: Event) -> Event:
    """Return the event as the log keeps it: complete, its time in UTC."""
    if event.kind not in KINDS:
        raise UnknownNameError("kind of event", event.kind, KINDS)
    if event.id is not None:
        raise LabelError(
            f"the event {event.kind!r} is event {event.id} of a log already: append a new one, "
            "with id=None."
        )
    _check_fields(event)
    _check_texts(event)
    if event.content_id is not None and len(event.content_id) != 32:
        raise LabelError(
            f"the content id of {event.path!r} has {len(event.content_id)} bytes: give the 32 of "
            "its SHA-256, or None."
        )
    return replace(event, at=_utc(event.at))


def _check_fields(event: Event) -> None:
    """Refuse an event that lacks what its kind needs, or says what its kind cannot."""
    needed = _NEEDS[event.kind]
    for field in ("path", "label", "previous", "undoes"):
        given = getattr(event, field) is not None
        if given != (field in needed):
            verb = "takes no" if given else "needs a"
            filled = " and ".join(map(repr, needed))
            raise LabelError(f"an event {event.kind!r} {verb} {field!r}: it is given by {filled}.")
    if event.previous is not None and event.previous == event.label:
        raise LabelError(
            f"class {event.label!r} can be neither renamed to nor merged into itself: name another."
        )


def _check_texts(event: Event) -> None:
    """Refuse blank names, names that begin or end with a space, and what is not Unicode."""
    for field in _TEXTS:
        text = getattr(event, field)
        if text is None:
            continue
        if not text.strip():
            raise LabelError(f"the {field} of an event {event.kind!r} is blank: fill it in.")
        if field in ("label", "previous") and text != text.strip():
            raise LabelError(f"the class {text!r} begins or ends with a space: take it away.")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise LabelError(f"the {field} {text!r} is not valid Unicode: rename it.") from None


def _utc(at: str | None) -> str:
    """Return a time in UTC, to the microsecond, so that times sort as texts do."""
    if at is None:
        moment = datetime.now(UTC)
    else:
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            raise LabelError(f"the time {at!r} is not ISO 8601: write {_EXAMPLE!r}.") from None
        if moment.tzinfo is None:
            raise LabelError(f"the time {at!r} has no offset from UTC: write {_EXAMPLE!r}.")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
