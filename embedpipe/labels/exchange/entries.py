"""What is exchanged: a labelled item, and the unchecked entry of a file that it comes from."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...errors import FormatError
from ...tables import STATUSES
from ..resolver import ForeignPath
from .safe_paths import is_unicode, path_text, tidy_path

__all__ = ["Entry", "Labelled", "check_items", "path_as_id", "path_as_spelled", "validated"]

WITHOUT_LABEL = "without a label"


@dataclass(frozen=True, slots=True)
class Labelled:
    """One item with its label from a person, its prediction from a model, or both.

    Parameters
    ----------
    path
        The item's id: its path relative to the dataset's folder.
    label
        The name of its class; None if it has none, as every skipped item.
    status
        ``"label"``, ``"skip"``, or ``"unsure"`` (with a label or without).
    prediction
        The class that a model predicts.
    score
        The model's score for it: a finite number, usually a probability.
    who
        The person who labelled it.
    model
        Name of the model that predicts.

    Examples
    --------
    >>> Labelled("hats/1.jpg", "hat").is_sure
    True
    """

    path: str
    label: str | None = None
    status: str = "label"
    prediction: str | None = None
    score: float | None = None
    who: str | None = None
    model: str | None = None

    @property
    def is_sure(self) -> bool:
        """Whether it has a label that nobody doubts."""
        return self.label is not None and self.status == "label"

    @property
    def is_empty(self) -> bool:
        """Whether it has neither a label, a status nor a prediction: nothing to exchange."""
        return self.label is None and self.status == "label" and self.prediction is None


class Entry(NamedTuple):
    """What a file holds about one item, unchecked, and where.

    Parameters
    ----------
    where
        The file and the line, row or task, for messages.
    path
        A text, or a `ForeignPath` of a format that knows more about it.
    label, status, prediction, score, who, model
        As in `Labelled`; None or ``""`` where there is none.
    reason
        Why the item has no label, if it has none: it follows "3 entries" in a message.
    """

    where: str
    path: object
    label: object = None
    status: object = None
    prediction: object = None
    score: object = None
    who: object = None
    model: object = None
    reason: str = WITHOUT_LABEL


def check_items(items: Sequence[Labelled], existing: Container[str] = ()) -> None:
    """Refuse items that a reader would change, and paths twice; `existing` ids may be any paths."""
    seen: set[str] = set()
    for item in items:
        where = f"the item {item.path!r}"
        said = (item.label, item.status, item.prediction, item.score, item.who, item.model)
        read_path = path_as_spelled if item.path in existing else path_as_id
        again = validated(Entry(where, item.path, *said), read_path)
        if again != item:
            raise FormatError(
                f"{where} cannot be written as it stands: it would be read as {again!r}."
            )
        if item.path in seen:
            raise FormatError(f"{where} is there twice: keep one of the two.")
        seen.add(item.path)


def path_as_id(path: object) -> str:
    """Return the id of a path where no dataset is at hand."""
    if isinstance(path, ForeignPath):
        path = path.text if path.default is None else path.default
    return tidy_path(path)


def path_as_spelled(path: object) -> str:
    """Return a path as its file spells it."""
    return path_text(path.text if isinstance(path, ForeignPath) else path)


def validated(entry: Entry, read_path: Callable[[object], str]) -> Labelled:
    """Return the item of an entry, or raise the `FormatError` that names its place."""
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
