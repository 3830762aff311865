"""From what stands in a file to what was said: every entry is checked, or none is taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ...errors import FormatError, UnmatchedError
from ...tables import STATUSES
from ..counts import Counted, count, listed, told_rewritten
from ..matching import explain_unmatched
from ..resolver import PathResolver, Spelling
from .labelled import Labelled
from .paths import is_unicode, path_text, tidy_path

__all__ = ["Counted", "Entry", "Reading", "check_items", "collect", "collect_for"]

PREDICTED = "with a prediction only"
UNLABELLED = "without a label"
REPEATED = "that repeat an earlier entry"
UNKNOWN = "not in the dataset"
AMBIGUOUS = "that fit several items"


class Entry(NamedTuple):
    """What a file says of one item, as it stands there, and where it stands."""

    where: str
    path: object
    """A text, or a `Spelling` of a format that knows more about it."""

    label: object = None
    status: object = None
    prediction: object = None
    score: object = None
    who: object = None
    model: object = None
    reason: str = UNLABELLED
    """Why it has no label, if it has none: it follows "3 entries"."""


@dataclass
class Reading:
    """What a file says of the items of a dataset, and what became of each of its entries.

    Parameters
    ----------
    items
        What is taken: labels, skips and unsure answers, one for each item.
    entries
        Number of entries that were read: rows, tasks, or images in a tree.
    left_out
        Entries that were not taken, by reason.
    rewritten
        Paths that are not written as the ids of the dataset, by how they were rewritten.
    notes
        Sentences about how the file was read.
    """

    items: list[Labelled] = field(default_factory=list)
    entries: int = 0
    left_out: dict[str, Counted] = field(default_factory=dict)
    rewritten: dict[str, Counted] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def unknown(self) -> int:
        """Number of entries whose path is not, or not clearly, that of an item."""
        kinds = (self.left_out.get(UNKNOWN), self.left_out.get(AMBIGUOUS))
        return sum(kind.count for kind in kinds if kind)

    @property
    def taken(self) -> int:
        """Number of entries that are taken."""
        return self.entries - sum(counted.count for counted in self.left_out.values())

    def told(self) -> str:
        """Return a clause: how many entries were read, taken and left out, and why."""
        text = f"{self.entries} {'entry' if self.entries == 1 else 'entries'} read, "
        text += f"{self.taken} taken"
        if self.left_out:
            text += f", {self.entries - self.taken} left out: {listed(self.left_out)}"
        return text

    def told_rewritten(self) -> str:
        """Return a clause: how many paths were rewritten, and how; blank if none was."""
        return told_rewritten(self.rewritten)


def collect(entries: Iterable[Entry]) -> list[Labelled]:
    """Return what the entries say, one `Labelled` for each path, in their order.

    Entries that say nothing are left out.

    Raises
    ------
    FormatError
        At the first entry that cannot be meant, or says of a path other than before.
    """
    found: dict[str, Labelled] = {}
    for entry in entries:
        item = _checked(entry, _tidied)
        if not item.says_nothing:
            _add(found, entry.where, item)
    return list(found.values())


def collect_for(
    entries: Iterable[Entry],
    resolver: PathResolver,
    *,
    skip_unknown: bool = False,
    notes: Sequence[str] = (),
) -> Reading:
    """Return what the entries say of the items of a dataset: labels, skips and unsure answers.

    Parameters
    ----------
    entries
        The entries of a file.
    resolver
        Finds the items that their paths stand for.
    skip_unknown
        Leave out paths for which no item, or no single one, is found.
    notes
        Sentences about how the file is read, which may grow while it is.

    Raises
    ------
    FormatError
        At the first entry that cannot be meant, or says of an item other than before.
    UnmatchedError
        If a path is that of no item, or of several, and they are not skipped.
    """
    reading = Reading()
    found: dict[str, Labelled] = {}
    strangers: list[str] = []
    doubtful: dict[str, tuple[str, ...]] = {}
    answers = 0
    for entry in entries:
        reading.entries += 1
        item = _checked(entry, _spelled)  # its path is the one that is spelled
        if item.label is None and item.status == "label":
            reason = PREDICTED if item.prediction is not None else entry.reason
            count(reading.left_out, reason, repr(item.path))
            continue
        answers += 1
        resolved = resolver.resolve(entry.path if isinstance(entry.path, Spelling) else item.path)
        if resolved.id is None:
            kind = AMBIGUOUS if resolved.candidates else UNKNOWN
            count(reading.left_out, kind, repr(item.path))
            if resolved.candidates:
                doubtful[item.path] = resolved.candidates
            else:
                strangers.append(item.path)
            continue
        if resolved.steps:
            example = f"{item.path!r} is {resolved.id!r}"
            count(reading.rewritten, " and ".join(resolved.steps), example)
        if not _add(found, entry.where, replace(item, path=resolved.id)):
            count(reading.left_out, REPEATED, repr(resolved.id))
    if reading.unknown and not skip_unknown:
        text = explain_unmatched(strangers, doubtful, answers, list(resolver.ids))
        raise UnmatchedError(" ".join([text, *notes]), matched=bool(found))
    reading.items = list(found.values())
    reading.notes = list(notes)
    return reading


def _add(found: dict[str, Labelled], where: str, item: Labelled) -> bool:
    """Keep an item unless the same was said before; two people may agree."""
    before = found.setdefault(item.path, item)
    if before is item:
        return True
    if replace(before, who=item.who) != item:
        raise FormatError(
            f"{where}: {item.path!r} is {_told(item)}, but {_told(before)} before. "
            "Keep one of the two."
        )
    return False


def check_items(items: Sequence[Labelled], existing: Container[str] = ()) -> None:
    """Refuse items that would not be read again as they are.

    Parameters
    ----------
    items
        The items.
    existing
        Ids of a dataset, which may be any paths.

    Raises
    ------
    FormatError
        At the first such item, or path that comes twice.
    """
    seen: set[str] = set()
    for item in items:
        where = f"the item {item.path!r}"
        said = (item.label, item.status, item.prediction, item.score, item.who, item.model)
        entry = Entry(where, item.path, *said)
        again = _checked(entry, _spelled if item.path in existing else _tidied)
        if again != item:
            raise FormatError(
                f"{where} cannot be written as it stands: it would be read as {again!r}."
            )
        if item.path in seen:
            raise FormatError(f"{where} is there twice: keep one of the two.")
        seen.add(item.path)


def _tidied(path: object) -> str:
    """Return the id that a path stands for where no dataset is at hand."""
    if isinstance(path, Spelling):
        path = path.text if path.default is None else path.default
    return tidy_path(path)


def _spelled(path: object) -> str:
    """Return a path as it is spelled."""
    return path_text(path.text if isinstance(path, Spelling) else path)


def _checked(entry: Entry, read_path: Callable[[object], str]) -> Labelled:
    try:
        item = Labelled(
            read_path(entry.path),
            _text("label", entry.label),
            _status(entry.status),
            _text("prediction", entry.prediction),
            _score(entry.score),
            _text("name of the person", entry.who),
            _text("name of the model", entry.model),
        )
        if item.status == "skip" and item.label is not None:
            raise ValueError(f"it is skipped, and labelled {item.label!r}: keep one of the two")
        if item.score is not None and item.prediction is None:
            raise ValueError(f"it has the score {item.score} without a prediction")
        if item.model is not None and item.prediction is None:
            raise ValueError(f"it names the model {item.model!r} without a prediction")
    except ValueError as error:
        raise FormatError(f"{entry.where}: {error}.") from None
    return item


def _text(what: str, value: object) -> str | None:
    """Return a name as text without spaces around it, None if it is blank."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"the {what} {value!r} is neither a text nor a whole number")
    text = str(value).strip()
    if not is_unicode(text) or "\0" in text:
        raise ValueError(f"the {what} {text!r} holds characters that no text has")
    return text or None


def _status(value: object) -> str:
    if value is None or value == "":
        return "label"
    if not isinstance(value, str) or value not in STATUSES:
        raise ValueError(f"the status is {value!r}; it must be {', '.join(STATUSES)} or blank")
    return value


def _score(value: object) -> float | None:
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        score = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"the score {value!r} is not a number") from None
    if not math.isfinite(score):
        raise ValueError(f"the score {value!r} is not a finite number")
    return score


def _told(item: Labelled) -> str:
    """Say in a few words what was said of an item."""
    told = f"labelled {item.label!r}" if item.label is not None else "not labelled"
    if item.status != "label":
        told = f"{item.status} and {told}"
    if item.prediction is not None:
        told += f" (predicted {item.prediction!r}, score {item.score})"
    return f"{told} by {item.who!r}" if item.who is not None else told
