"""Messages about paths of a file that match no item of a dataset, or several items."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import takewhile

__all__ = [
    "Counted",
    "count",
    "explain_ambiguous",
    "explain_unknown",
    "format_counts",
    "format_rewritten",
]

NAMED = 3
"""Maximum paths of each kind that a message lists."""


@dataclass
class Counted:
    """Number of entries of one kind, with the first entry as an example."""

    count: int
    example: str


def count(kinds: dict[str, Counted], kind: str, example: str) -> None:
    """Count one more entry of a kind."""
    if kind in kinds:
        kinds[kind].count += 1
    else:
        kinds[kind] = Counted(1, example)


def format_counts(kinds: Mapping[str, Counted]) -> str:
    """Return counts as text: ``2 without a label ('1.jpg')``."""
    return ", ".join(f"{one.count} {kind} ({one.example})" for kind, one in kinds.items())


def format_rewritten(kinds: Mapping[str, Counted]) -> str:
    """Return a clause about rewritten paths; blank if no path was rewritten."""
    number = sum(one.count for one in kinds.values())
    if not number:
        return ""
    return f"{number} path{'s' if number > 1 else ''} rewritten: {format_counts(kinds)}"


def explain_ambiguous(ambiguous: Mapping[str, Sequence[str]], n_paths: int, noun: str) -> str:
    """Return the message about paths that match several items."""
    named = [
        f"{path!r} ({', '.join(map(repr, items[:NAMED]))}{', ...' if items[NAMED:] else ''})"
        for path, items in list(ambiguous.items())[:NAMED]
    ]
    return (
        f"{len(ambiguous)} of {n_paths} {noun} {_verb(ambiguous, 'matches', 'match')} several "
        f"images: {_listed(named, len(ambiguous))}. Write one of the paths in brackets."
    )


def explain_unknown(unknown: Sequence[str], n_paths: int, ids: Sequence[str], noun: str) -> str:
    """Return the message about unknown paths, with similar items and an example of an id."""
    if not ids:
        return f"none of the {n_paths} {noun} is in the dataset, which has no images."
    by_name = _ItemsByName(ids)
    named = [f"{path!r}{_hint(path, by_name.nearest(path))}" for path in unknown[:NAMED]]
    return (
        f"{len(unknown)} of {n_paths} {noun} {_verb(unknown, 'is', 'are')} not in the "
        f"dataset: {_listed(named, len(unknown))}. "
        f"Paths must be relative to the dataset's folder, such as {ids[0]!r}."
    )


def _listed(named: Sequence[str], count: int) -> str:
    more = count - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _verb(things: Sized, one: str, several: str) -> str:
    return one if len(things) == 1 else several


def _hint(path: str, item: str | None) -> str:
    """Return a hint about an unknown path and the most similar item, in brackets."""
    if item is None:
        outside = ".." in path.replace("\\", "/").split("/")
        return " (outside the dataset's folder)" if outside else ""
    if _normal(path) == _normal(item):
        return f" (did you mean {item!r}? The two differ only in their Unicode form)"
    return f" (did you mean {item!r}?)"


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


class _ItemsByName:
    """Items by file name, ignoring case."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for item in ids:
            self._by_name[_parts(item)[-1]].append(item)

    def nearest(self, path: str) -> str | None:
        """Return the item whose last folders match the path best; None for a tie or no match."""
        candidates = self._by_name.get(_parts(path)[-1], [])
        ranked = sorted(candidates, key=lambda item: -_agreement(path, item))
        if not ranked:
            return None
        if len(ranked) > 1 and _agreement(path, ranked[0]) == _agreement(path, ranked[1]):
            return None
        return ranked[0]


def _parts(path: str) -> list[str]:
    return _normal(path).replace("\\", "/").lower().split("/")


def _agreement(first: str, second: str) -> int:
    """Return the number of equal parts at the end of two paths."""
    pairs = zip(reversed(_parts(first)), reversed(_parts(second)), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
