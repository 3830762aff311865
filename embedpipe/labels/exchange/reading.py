"""Collecting the entries of a file as items, and the events of an import."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ...datasets.path_messages import Counted, count, format_counts, format_rewritten
from ...datasets.resolver import ForeignPath, PathResolver
from ...errors import FormatError, UnmatchedError
from ..log_event import Event
from ..log_state import Matched
from ..matching import explain_unmatched
from .entries import (
    KINDS_OF_STATUSES,
    Entry,
    Labelled,
    path_as_id,
    path_as_written,
    validated,
)

__all__ = ["Reading", "collect", "collect_for", "new_events"]

# Reasons for leaving an entry out. In a message, a reason follows a count.
PREDICTION_ONLY = "with only a prediction"
REPEATED = "that repeat an earlier entry"
UNKNOWN = "not in the dataset"
AMBIGUOUS = "that match several images"

UNKNOWN_MODEL = "unknown"
"""Model of an imported accepted suggestion whose file does not name the model."""


@dataclass
class Reading:
    """The items that a file has for a dataset, and counts of its entries."""

    items: list[Labelled] = field(default_factory=list)  # labels and marks, one for each item
    entries: int = 0  # rows, tasks or images in the file
    left_out: dict[str, Counted] = field(default_factory=dict)  # left-out entries by reason
    rewritten: dict[str, Counted] = field(default_factory=dict)  # rewritten paths by steps
    notes: list[str] = field(default_factory=list)  # sentences about how the file was read

    @property
    def unknown(self) -> int:
        """Number of entries whose path matches no item or several items."""
        kinds = (self.left_out.get(UNKNOWN), self.left_out.get(AMBIGUOUS))
        return sum(kind.count for kind in kinds if kind)

    @property
    def taken(self) -> int:
        """Number of entries that were used."""
        return self.entries - sum(counted.count for counted in self.left_out.values())

    def summary(self) -> str:
        """Return a clause with the numbers of entries that were read, used and left out."""
        text = f"{self.entries} {'entry' if self.entries == 1 else 'entries'} read, "
        text += f"{self.taken} used"
        if self.left_out:
            text += f", {self.entries - self.taken} left out: {format_counts(self.left_out)}"
        return text

    def rewritten_summary(self) -> str:
        """Return a clause about rewritten paths; blank if no path was rewritten."""
        return format_rewritten(self.rewritten)


def collect(entries: Iterable[Entry]) -> list[Labelled]:
    """Return one item for each path of the entries, without empty items."""
    found: dict[str, Labelled] = {}
    for entry in entries:
        item = validated(entry, path_as_id)
        if not item.is_empty:
            _add(found, entry.where, item)
    return list(found.values())


def collect_for(
    entries: Iterable[Entry],
    resolver: PathResolver,
    *,
    skip_unknown: bool = False,
    notes: Sequence[str] = (),
) -> Reading:
    """Return the labels and marks of entries for the items of a dataset."""
    # `entries` may be a generator that appends to `notes`.
    reading = Reading()
    found: dict[str, Labelled] = {}
    unknown: list[str] = []
    ambiguous: dict[str, tuple[str, ...]] = {}
    n_labels = 0
    for entry in entries:
        reading.entries += 1
        item = validated(entry, path_as_written)
        if item.label is None and item.status == "label":
            reason = PREDICTION_ONLY if item.prediction is not None else entry.reason
            count(reading.left_out, reason, repr(item.path))
            continue
        n_labels += 1
        resolved = resolver.resolve(
            entry.path if isinstance(entry.path, ForeignPath) else item.path
        )
        if resolved.id is None:
            kind = AMBIGUOUS if resolved.candidates else UNKNOWN
            count(reading.left_out, kind, repr(item.path))
            if resolved.candidates:
                ambiguous[item.path] = resolved.candidates
            else:
                unknown.append(item.path)
            continue
        if resolved.steps:
            example = f"{item.path!r} is {resolved.id!r}"
            count(reading.rewritten, " and ".join(resolved.steps), example)
        if not _add(found, entry.where, replace(item, path=resolved.id)):
            count(reading.left_out, REPEATED, repr(resolved.id))
    if reading.unknown and not skip_unknown:
        text = explain_unmatched(unknown, ambiguous, n_labels, list(resolver.ids))
        raise UnmatchedError(" ".join([text, *notes]), matched=bool(found))
    reading.items = list(found.values())
    reading.notes = list(notes)
    return reading


def _add(found: dict[str, Labelled], where: str, item: Labelled) -> bool:
    """Add an item; return False if it repeats an earlier item, perhaps of another annotator."""
    earlier = found.setdefault(item.path, item)
    if earlier is item:
        return True
    if replace(earlier, who=item.who) != item:
        raise FormatError(
            f"{where}: {item.path!r} is {_description(item)} here, but {_description(earlier)} "
            "earlier in the file. Keep one of the two."
        )
    return False


def _description(item: Labelled) -> str:
    text = f"labelled {item.label!r}" if item.label is not None else "not labelled"
    if item.status != "label":
        text = f"{item.status} and {text}"
    if item.prediction is not None:
        text += f" (predicted {item.prediction!r}, score {item.score})"
    return f"{text} by {item.who!r}" if item.who is not None else text


def new_events(
    items: Iterable[Labelled],
    dataset: str,
    content: Mapping[str, bytes | None],
    known: Matched,
    *,
    who: str | None = None,
    default: str | None = None,
) -> list[Event]:
    """Return an event for each item whose label or mark differs from `known`.

    The annotator is `who`, or else the name in the file, or else `default`. `content` has the
    content ids by path. An accepted suggestion does not replace a label.

    Examples
    --------
    >>> items = [Labelled("1.jpg", "hat"), Labelled("2.jpg", None, "skip"), Labelled("3.jpg", None)]
    >>> content = {"1.jpg": None, "2.jpg": None, "3.jpg": None}
    >>> found = new_events(items, "shop", content, Matched({}, {}, {}, {}), default="ann")
    >>> [(event.kind, event.path, event.label, event.who) for event in found]
    [('label', '1.jpg', 'hat', 'ann'), ('skip', '2.jpg', None, 'ann')]
    """
    at = datetime.now(UTC).isoformat()
    found = []
    for item in items:
        label = item.label if item.is_sure else None
        kind = KINDS_OF_STATUSES[item.status]
        current = known.current.get(item.path)
        unchanged = current is not None and (current.kind, current.label) == (kind, label)
        if unchanged or (kind == "label" and label is None):
            continue
        if kind == "accept" and current is not None and current.kind == "label":
            continue
        suggestion, model = item.prediction, item.model
        if label is None and item.label is not None:  # an unsure label is only a suggestion
            suggestion, model = item.label, None
        if kind == "accept":
            suggestion, model = label, item.model or UNKNOWN_MODEL
        event = Event(
            kind,
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
