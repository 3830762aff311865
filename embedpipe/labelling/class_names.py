"""Names of classes: typing errors, and the names after changes of classes."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ..labels import Event

__all__ = ["current_names", "similar_class"]

LENGTHS = (4, 8)
"""Minimum lengths of names, in characters, that may differ by one edit and by two edits."""


def current_names(
    names: Sequence[str], events: Sequence[Event], classes: Sequence[str]
) -> dict[str, str | None]:
    """Return the name of each class after events of its dataset; None for a removed class.

    `classes` are those after the events. A class that is created again under its first name has
    this name again.

    Examples
    --------
    >>> events = [
    ...     Event("rename_class", "shop", previous="cap", label="hat", id=1),
    ...     Event("delete_class", "shop", previous="shoe", id=2),
    ... ]
    >>> current_names(["cap", "shirt", "shoe"], events, ["hat", "shirt"])
    {'cap': 'hat', 'shirt': 'shirt', 'shoe': None}
    """
    found: dict[str, str | None] = {name: name for name in names}
    undone = {event.undoes for event in events}
    uncreated = {
        event.label
        for event in events
        if event.kind == "new_class" and event.id in undone and event.label not in classes
    }
    for event in events:
        if event.id in undone:
            continue
        if event.kind in ("label", "accept", "new_class"):
            if event.label is not None and event.label in found:
                found[event.label] = event.label
        elif event.kind in ("rename_class", "merge_class", "delete_class"):
            for name, now in found.items():
                if now is not None and now == event.previous:
                    found[name] = event.label
    return {name: None if now in uncreated else now for name, now in found.items()}


def similar_class(name: str, classes: Sequence[str]) -> str | None:
    """Return the class of which a new name may be a misspelling, or None.

    Case and Unicode forms do not count. An edit inserts, removes or replaces a character, or swaps
    two neighbours. Names that differ in digits only, such as ``row 1`` and ``row 2``, are not
    similar. A class with the same letters and digits is nearer than all others.

    Examples
    --------
    >>> similar_class("shrit", ["dress", "shirt"])
    'shirt'
    >>> similar_class("tshirt", ["shirt", "t-shirt"])
    't-shirt'
    >>> similar_class("cap", ["hat", "cat"]), similar_class("row 2", ["row 1"])
    (None, None)
    """
    wanted = _folded(name)
    known = {_folded(each): each for each in reversed(classes)}
    if wanted in known:
        return known[wanted]
    most = sum(len(wanted) >= length for length in LENGTHS)
    found = [
        (_joined(text) != _joined(wanted), edits, classes.index(each))
        for text, each in known.items()
        if _without_digits(text) != _without_digits(wanted)
        and (edits := _edits(wanted, text, most)) <= most
    ]
    return classes[min(found)[2]] if found else None


def _edits(one: str, other: str, most: int) -> int:
    """Return the number of edits between two texts, or a number above `most`."""
    # The restricted Damerau-Levenshtein distance, by rows of the table of prefixes.
    if abs(len(one) - len(other)) > most:
        return most + 1
    before, above = [0] * (len(other) + 1), list(range(len(other) + 1))
    for row, left in enumerate(one, start=1):
        line = [row]
        for column, right in enumerate(other, start=1):
            edits = min(above[column] + 1, line[-1] + 1, above[column - 1] + (left != right))
            swapped = row > 1 and column > 1 and (left, right) == (other[column - 2], one[row - 2])
            line.append(min(edits, before[column - 2] + 1) if swapped else edits)
        before, above = above, line
    return above[-1]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold().strip()


def _joined(name: str) -> str:
    return "".join(letter for letter in name if letter.isalnum())


def _without_digits(name: str) -> str:
    return "".join(letter for letter in name if not letter.isdigit())
