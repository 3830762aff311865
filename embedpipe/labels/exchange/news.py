"""What a file says that the label log does not say already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from ..log_current import Matched
from ..log_event import Event
from .labelled import Labelled

__all__ = ["news"]


def news(
    items: Iterable[Labelled],
    dataset: str,
    content: Mapping[str, bytes | None],
    known: Matched,
    *,
    who: str | None = None,
    default: str | None = None,
) -> list[Event]:
    """Return an event for each item of which the log does not say the same already.

    All are of one time, so that they are undone as one act.

    Parameters
    ----------
    items
        From `Format.read`; those that say nothing are passed over.
    dataset
        Its name in the log.
    content
        The content id of each item by its path.
    known
        What the log says of them, from `LabelLog.current_for`.
    who
        Who said it; None for whom the file names.
    default
        Who said it, where the file names nobody.

    Examples
    --------
    >>> items = [Labelled("1.jpg", "hat"), Labelled("2.jpg", None, "skip"), Labelled("3.jpg", None)]
    >>> content = {"1.jpg": None, "2.jpg": None, "3.jpg": None}
    >>> found = news(items, "shop", content, Matched({}, {}, {}, {}), default="ann")
    >>> [(event.kind, event.path, event.label, event.who) for event in found]
    [('label', '1.jpg', 'hat', 'ann'), ('skip', '2.jpg', None, 'ann')]
    """
    at = datetime.now(UTC).isoformat()
    found = []
    for item in items:
        label = item.label if item.status == "label" else None
        now = known.current.get(item.path)
        said = now is not None and (now.kind, now.label) == (item.status, label)
        if said or (item.status == "label" and label is None):
            continue
        suggestion, model = _suggested(item, label)
        event = Event(
            item.status,
            dataset,
            item.path,
            content[item.path],
            label,
            who=who or item.who or default,
            at=at,
            model=model,
            suggestion=suggestion,
        )
        found.append(event)
    return found


def _suggested(item: Labelled, label: str | None) -> tuple[str | None, str | None]:
    """Return what was suggested for an item, and the model that did so."""
    if label is None and item.label is not None:
        return item.label, None  # what an unsure person leant to is no label
    return item.prediction, item.model
