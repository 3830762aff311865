"""Labels meet a dataset: from item ids to rows of the matrix."""

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
"""Maximum paths of a kind that a message names; the others are counted."""


@dataclass
class Counted:
    """Number of things of one kind, and the first of them."""

    count: int
    example: str


def count(kinds: dict[str, Counted], kind: str, example: str) -> None:
    """Count one more thing of a kind."""
    if kind in kinds:
        kinds[kind].count += 1
    else:
        kinds[kind] = Counted(1, example)


def format_counts(kinds: Mapping[str, Counted]) -> str:
    """Return counts as a list in words."""
    return ", ".join(f"{one.count} {kind} ({one.example})" for kind, one in kinds.items())


def format_rewritten(kinds: Mapping[str, Counted]) -> str:
    """Return a clause: how many paths were rewritten, and how; blank if none was."""
    number = sum(one.count for one in kinds.values())
    if not number:
        return ""
    return f"{number} path{'s' if number > 1 else ''} rewritten: {format_counts(kinds)}"


def rows_for(
    labels: Mapping[str, str], ids: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Return the rows that are labelled, and their labels.

    Parameters
    ----------
    labels
        Label by item id, as `read_labels` gives them.
    ids
        The (n,) ids of the dataset's items; the position of an id is its row.

    Returns
    -------
    rows : ndarray
        (m,) int64, ascending.
    labels : ndarray
        (m,) strings, one for each row.

    Raises
    ------
    LabelError
        If a labelled path is not in the dataset, or a label is missing.

    Examples
    --------
    >>> rows, labels = rows_for({"c.jpg": "hat", "a.jpg": "shoe"}, ["a.jpg", "b.jpg", "c.jpg"])
    >>> rows.tolist(), labels.tolist()
    ([0, 2], ['shoe', 'hat'])
    """
    row_of = {item: row for row, item in enumerate(ids)}
    strangers = [path for path in labels if path not in row_of]
    if strangers:
        raise LabelError(_unknown(strangers, len(labels), ids))
    absent = missing(list(labels.values()))
    if absent.any():
        path, label = list(labels.items())[int(absent.argmax())]
        raise LabelError(f"the label of {path!r} is {label!r}: leave unlabelled items out.")
    pairs = sorted((row_of[path], label) for path, label in labels.items())
    rows = np.array([row for row, _ in pairs], dtype=np.int64)
    return rows, np.array([label for _, label in pairs], dtype=np.str_)


def resolve_labels(
    labels: Mapping[str, str], resolver: PathResolver
) -> tuple[dict[str, str], dict[str, Counted]]:
    """Return labels by the ids of items, and how paths were rewritten.

    A path that is that of no item, or of several, stays as it is: `rows_for` refuses it.

    Parameters
    ----------
    labels
        Label by path, as `read_labels` gives them.
    resolver
        Finds the items.

    Raises
    ------
    LabelError
        If two paths are those of one item, with two labels.

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
    strangers: Sequence[str],
    doubtful: Mapping[str, Sequence[str]],
    n_labels: int,
    ids: Sequence[str],
) -> str:
    """Return the message about paths that are not clearly those of items."""
    sentences = []
    if strangers:
        sentences.append(_unknown(strangers, n_labels, ids))
    if doubtful:
        named = [
            f"{path!r} ({', '.join(map(repr, items[:NAMED]))}{', ...' if items[NAMED:] else ''})"
            for path, items in list(doubtful.items())[:NAMED]
        ]
        fit = _verb(doubtful, "fits", "fit")
        sentences.append(
            f"{len(doubtful)} of {n_labels} labelled paths {fit} several items: "
            f"{_listed(named, len(doubtful))}. Write the ids of the items."
        )
    return f"{' '.join(sentences)} Nothing was imported."


def _unknown(strangers: Sequence[str], n_labels: int, ids: Sequence[str]) -> str:
    """Say which labelled paths are unknown, which items may be meant, and what an id is."""
    if not ids:
        return f"none of the {n_labels} labelled paths is in the dataset: it has no items."
    near = _Neighbours(ids)
    named = [f"{path!r}{_meant(path, near.nearest(path))}" for path in strangers[:NAMED]]
    return (
        f"{len(strangers)} of {n_labels} labelled paths {_verb(strangers, 'is', 'are')} not in the "
        f"dataset: {_listed(named, len(strangers))}. "
        f"An id is a path relative to the dataset's folder, such as {ids[0]!r}."
    )


def _listed(named: Sequence[str], count: int) -> str:
    more = count - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _verb(things: Sized, one: str, several: str) -> str:
    return one if len(things) == 1 else several


def _meant(path: str, item: str | None) -> str:
    """Say in brackets which item may be meant by an unknown path."""
    if item is None:
        return " (it leaves the folder)" if ".." in path.replace("\\", "/").split("/") else ""
    if _normal(path) == _normal(item):
        return f" (did you mean {item!r}? The two differ only in their Unicode form)"
    return f" (did you mean {item!r}?)"


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


class _Neighbours:
    """Items that share a base name, whatever its case and the slashes before it."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for item in ids:
            self._by_name[_parts(item)[-1]].append(item)

    def nearest(self, path: str) -> str | None:
        """Return the item whose last folders agree best with `path`; None if two do."""
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
    """Return how many parts two paths share, counted from the end."""
    pairs = zip(reversed(_parts(first)), reversed(_parts(second)), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
