"""Matching labels to the items of a dataset, and messages about paths without an item."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from ..errors import LabelError
from ..tables import missing
from .resolver import PathResolver

__all__ = [
    "Counted",
    "count",
    "explain_unmatched",
    "format_counts",
    "format_rewritten",
    "resolve_labels",
    "rows_for",
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


def rows_for(
    labels: Mapping[str, str], ids: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Return the rows of `ids` that have a label, ascending, and the labels of these rows.

    `LabelError` is raised if a labelled path is not in `ids`, or a label is missing.

    Examples
    --------
    >>> rows, labels = rows_for({"c.jpg": "hat", "a.jpg": "shoe"}, ["a.jpg", "b.jpg", "c.jpg"])
    >>> rows.tolist(), labels.tolist()
    ([0, 2], ['shoe', 'hat'])
    """
    row_of = {item: row for row, item in enumerate(ids)}
    unknown = [path for path in labels if path not in row_of]
    if unknown:
        text = _explain_unknown(unknown, len(labels), ids)
        raise LabelError(f"{text} Remove the rows of deleted images." if len(ids) else text)
    absent = missing(list(labels.values()))
    if absent.any():
        path, label = list(labels.items())[int(absent.argmax())]
        raise LabelError(f"the label of {path!r} is {label!r}. Leave out items without a label.")
    pairs = sorted((row_of[path], label) for path, label in labels.items())
    rows = np.array([row for row, _ in pairs], dtype=np.int64)
    return rows, np.array([label for _, label in pairs], dtype=np.str_)


def resolve_labels(
    labels: Mapping[str, str], resolver: PathResolver
) -> tuple[dict[str, str], dict[str, Counted]]:
    """Return labels by item id, and counts of rewritten paths.

    A path that matches no item or several items is not changed; `rows_for` refuses it. `LabelError`
    is raised if two paths with different labels belong to one item.

    Examples
    --------
    >>> resolve_labels({"a%20b.jpg": "hat"}, PathResolver(["a b.jpg"]))[0]
    {'a b.jpg': 'hat'}
    """
    found: dict[str, str] = {}
    rewritten: dict[str, Counted] = {}
    for path, label in labels.items():
        resolved = resolver.resolve(path)
        item = path if resolved.id is None else resolved.id
        if resolved.steps:
            count(rewritten, " and ".join(resolved.steps), f"{path!r} is {item!r}")
        if found.setdefault(item, label) != label:
            raise LabelError(
                f"{path!r} is the item {item!r}, which is labelled {label!r} and {found[item]!r}. "
                "Keep one of the two."
            )
    return found, rewritten


def explain_unmatched(
    unknown: Sequence[str],
    ambiguous: Mapping[str, Sequence[str]],
    n_labels: int,
    ids: Sequence[str],
) -> str:
    """Return the message about paths that match no item, and paths that match several."""
    sentences = []
    if unknown:
        sentences.append(_explain_unknown(unknown, n_labels, ids))
    if ambiguous:
        named = [
            f"{path!r} ({', '.join(map(repr, items[:NAMED]))}{', ...' if items[NAMED:] else ''})"
            for path, items in list(ambiguous.items())[:NAMED]
        ]
        sentences.append(
            f"{len(ambiguous)} of {n_labels} labelled paths "
            f"{_verb(ambiguous, 'matches', 'match')} several images: "
            f"{_listed(named, len(ambiguous))}. Write one of the paths in brackets."
        )
    return f"{' '.join(sentences)} Nothing was imported."


def _explain_unknown(unknown: Sequence[str], n_labels: int, ids: Sequence[str]) -> str:
    """Return the message about unknown paths, with similar items and an example of an id."""
    if not ids:
        return f"none of the {n_labels} labelled paths is in the dataset, which has no images."
    by_name = _ItemsByName(ids)
    named = [f"{path!r}{_hint(path, by_name.nearest(path))}" for path in unknown[:NAMED]]
    return (
        f"{len(unknown)} of {n_labels} labelled paths {_verb(unknown, 'is', 'are')} not in the "
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
