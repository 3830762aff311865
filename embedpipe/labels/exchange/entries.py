"""From what stands in a file to what was said: every entry is checked, or none is taken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...errors import FormatError
from ...tables import STATUSES
from .labelled import Labelled
from .paths import is_unicode, tidy_path

__all__ = ["Entry", "check_items", "collect"]


class Entry(NamedTuple):
    """What a file says of one item, as it stands there, and where it stands."""

    where: str
    path: object
    label: object = None
    status: object = None
    prediction: object = None
    score: object = None
    who: object = None
    model: object = None


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
        item = _checked(entry)
        if item.says_nothing:
            continue
        before = found.setdefault(item.path, item)
        if before != item:
            raise FormatError(
                f"{entry.where}: {item.path!r} is {_told(item)}, but {_told(before)} before. "
                "Keep one of the two."
            )
    return list(found.values())


def check_items(items: Sequence[Labelled]) -> None:
    """Refuse items that would not be read again as they are.

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
        again = _checked(entry)
        if again != item:
            raise FormatError(
                f"{where} cannot be written as it stands: it would be read as {again!r}."
            )
        if item.path in seen:
            raise FormatError(f"{where} is there twice: keep one of the two.")
        seen.add(item.path)


def _checked(entry: Entry) -> Labelled:
    try:
        item = Labelled(
            tidy_path(entry.path),
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
