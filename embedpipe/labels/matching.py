"""Matching labels to the items of a dataset, and messages about paths without an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..datasets.path_messages import Counted, count, explain_ambiguous, explain_unknown
from ..datasets.resolver import PathResolver
from ..errors import LabelError
from ..tables import missing

__all__ = ["explain_unmatched", "resolve_labels", "rows_for"]

LABELLED = "labelled paths"


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
        text = explain_unknown(unknown, len(labels), ids, LABELLED)
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
        sentences.append(explain_unknown(unknown, n_labels, ids, LABELLED))
    if ambiguous:
        sentences.append(explain_ambiguous(ambiguous, n_labels, LABELLED))
    return f"{' '.join(sentences)} Nothing was imported."
