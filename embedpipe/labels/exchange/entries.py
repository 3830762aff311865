"""Labelled items, and the unchecked file entries from which they are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...datasets.resolver import ForeignPath
from ...errors import FormatError
from ...tables import STATUSES
from ..log_state import Current
from .safe_paths import is_unicode, path_text, tidy_path

__all__ = [
    "KINDS_OF_STATUSES",
    "Entry",
    "Labelled",
    "check_items",
    "path_as_id",
    "path_as_written",
    "status_of",
    "validated",
]

WITHOUT_LABEL = "without a label"

KINDS_OF_STATUSES = {status: status for status in STATUSES} | {"accepted": "accept"}
"""Kind of the event for each status."""


def status_of(current: Current) -> str:
    """Return the status of a current label or mark, for an export."""
    return "accepted" if current.kind == "accept" else current.kind


@dataclass(frozen=True, slots=True)
class Labelled:
    """One item with its label, its prediction, or both.

    Parameters
    ----------
    path
        Path relative to the dataset's folder (the item's id).
    label
        Name of the class, or None.
    status
        ``"label"``, ``"accepted"`` (an accepted suggestion, in `label`), ``"skip"`` (without a
        label) or ``"unsure"``.
    prediction
        Class predicted by a model.
    score
        Score of the prediction, a finite number; usually a probability.
    who
        Name of the annotator.
    model
        Name of the model.

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
        """Whether the item has a label, or an accepted suggestion, that is not marked unsure."""
        return self.label is not None and self.status in ("label", "accepted")

    @property
    def is_only_predicted(self) -> bool:
        """Whether the item has a prediction, and neither a label nor a mark."""
        return self.label is None and self.status == "label" and self.prediction is not None

    @property
    def is_empty(self) -> bool:
        """Whether the item has no label, no mark and no prediction."""
        return self.label is None and self.status == "label" and self.prediction is None


class Entry(NamedTuple):
    """The unchecked content of a file about one item.

    Parameters
    ----------
    where
        The file and the line, row or task, for messages.
    path
        A string, or a `ForeignPath` with alternatives.
    label, status, prediction, score, who, model
        As in `Labelled`; None or ``""`` for a missing value.
    reason
        Reason for a missing label; in a message it follows a count ("3 without a label").
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
    """Refuse repeated paths, and items that a reader would change."""
    # Ids in `existing` may be any paths, including absolute paths.
    seen: set[str] = set()
    for item in items:
        where = f"the item {item.path!r}"
        values = (item.label, item.status, item.prediction, item.score, item.who, item.model)
        read_path = path_as_written if item.path in existing else path_as_id
        as_read = validated(Entry(where, item.path, *values), read_path)
        if as_read != item:
            raise FormatError(f"{where} would be read differently: as {as_read!r}.")
        if item.path in seen:
            raise FormatError(f"{where} occurs twice. Keep one of the two.")
        seen.add(item.path)


def path_as_id(path: object) -> str:
    """Return the id of a path if no dataset is given."""
    if isinstance(path, ForeignPath):
        path = path.text if path.default is None else path.default
    return tidy_path(path)


def path_as_written(path: object) -> str:
    """Return a path as written in its file."""
    return path_text(path.text if isinstance(path, ForeignPath) else path)


def validated(entry: Entry, read_path: Callable[[object], str]) -> Labelled:
    """Return the item of an entry, or raise a `FormatError` with the place of the entry."""
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
            raise ValueError(
                f"the status is skip, but there is a label, {item.label!r}. Remove one of the two"
            )
        if item.status == "accepted" and item.label is None:
            raise ValueError("the status is accepted, but there is no label. Add the label")
        if item.score is not None and item.prediction is None:
            raise ValueError(f"there is a score, {item.score}, but no prediction")
        if item.model is not None and item.prediction is None:
            raise ValueError(f"there is a model, {item.model!r}, but no prediction")
    except ValueError as error:
        raise FormatError(f"{entry.where}: {error}.") from None
    return item


def _text(field: str, value: object) -> str | None:
    """Return a value as text without surrounding spaces, or None if it is blank."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"the {field} is {value!r}; expected text or a whole number")
    text = str(value).strip()
    if not is_unicode(text) or "\0" in text:
        raise ValueError(f"the {field} {text!r} contains invalid characters")
    return text or None


def _status(value: object) -> str:
    if value is None or value == "":
        return "label"
    if not isinstance(value, str) or value not in STATUSES:
        raise ValueError(f"the status is {value!r}; expected {', '.join(STATUSES)} or blank")
    return value


def _score(value: object) -> float | None:
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        score = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"the score is {value!r}; expected a number") from None
    if not math.isfinite(score):
        raise ValueError(f"the score is {value!r}; expected a finite number")
    return score
