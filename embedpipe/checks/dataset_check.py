"""`check`: all checks of a dataset at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..active.selection import index_of
from ..cache import Failure
from ..embedding import Embeddings, Remark
from ..errors import UsageError
from ..index import check_kind
from ..labels import rows_for
from .duplicates import Rows, exact_duplicates, first_of_content, leaking
from .image_stats import ImageStats, Progress, blank_rows, image_stats, tiny_rows
from .imbalance import Imbalance, class_imbalance
from .label_errors import LabelErrors, find_label_errors, why_not_judged
from .near_duplicates import NearDuplicates, near_duplicates
from .outliers import Outliers, find_outliers

__all__ = ["Checked", "check"]

EXACT_UP_TO = 100_000
"""Of more items, neighbours are found by an approximate index unless told otherwise."""


@dataclass(frozen=True)
class Checked:
    """What was found; rows are those of the embeddings.

    Attributes
    ----------
    labels
        (n,) the label of each item that was checked, or None.
    duplicates
        Groups of rows whose files have the same bytes.
    near_duplicates
        Groups of pictures that are the same but for their files.
    leakage
        Groups of either kind with items in more than one split; rows without a split are left out.
    outliers
        Items that are far from everything else.
    label_errors
        Labels that are likely wrong.
    imbalance
        How evenly the classes are represented.
    tiny, blank
        Rows of images with few pixels, and with nothing on them.
    tiny_side
        The shorter side, in pixels, below which an image is tiny; None if none was looked at.
    sizes
        (n, 2) int32 width and height, or None if no image was looked at.
    failures
        Items that have no vector, or could not be read now, and why.
    not_checked
        What was not checked, and why.
    remarks
        Files whose range of values was guessed, or whose metadata are damaged.
    """

    labels: tuple[str | None, ...]
    duplicates: tuple[Rows, ...]
    near_duplicates: NearDuplicates
    leakage: tuple[Rows, ...]
    outliers: Outliers
    label_errors: LabelErrors
    imbalance: Imbalance
    tiny: Rows
    blank: Rows
    tiny_side: float | None
    sizes: np.ndarray | None
    failures: tuple[Failure, ...]
    not_checked: dict[str, str]
    remarks: tuple[Remark, ...] = ()

    @property
    def copies(self) -> tuple[Rows, ...]:
        """Groups of the same picture, whether of the same bytes or not, by their lowest row."""
        return _copies(self.duplicates, self.near_duplicates)


def check(
    embeddings: Embeddings,
    *,
    labels: Mapping[str, str] | None = None,
    pixels: bool = True,
    index: str = "auto",
    progress: Progress | None = None,
) -> Checked:
    """Look for copies, outliers, labels that are likely wrong, and images that do not serve.

    Nothing is changed or removed. The same on any number of threads.

    Parameters
    ----------
    embeddings
        Of the dataset.
    labels
        Label by item id, instead of those of the dataset.
    pixels
        Whether each image is read once more: to find tiny and blank ones, and to compare the
        pictures of what may be copies. Without, near duplicates are judged by vectors alone.
    index
        How neighbours are found: ``"exact"``, ``"ivf"``, ``"hnsw"``, or ``"auto"``: exact up to
        100,000 items, then ivf.
    progress
        Called with ``"look"`` and ``"neighbours"``.

    Returns
    -------
    Checked

    Raises
    ------
    UsageError
        If there is no such kind of index.
    LabelError
        If a label is of an item that is not there.
    SelectionError
        If the index is exact and there are more than 250,000 items.

    Notes
    -----
    Per item, less than 2 kB of memory for copies and outliers, 600 bytes more for pixels; beside
    these, fitting to the labels takes two copies of the labelled vectors.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.load_dataset("digits").subset("test")
    >>> embeddings = ep.embed(digits, backbone="toy", workspace=tmp)
    >>> checked = check(embeddings)
    >>> checked.duplicates, checked.blank.size, checked.imbalance.rare
    ((), 0, ())
    """
    kind = _kind_of(index, len(embeddings))
    ids = [item.id for item in embeddings.items]
    known = _labels_of(embeddings, ids, labels)
    first = first_of_content(embeddings.content_ids)
    stats = image_stats(embeddings.dataset.source, ids, first, progress) if pixels else None
    points = index_of(embeddings, np.arange(len(embeddings)), kind)
    if progress:
        tell = progress
        points.neighbours(1, lambda done, total: tell("neighbours", done, total))
    duplicates = exact_duplicates(embeddings.content_ids)
    near = near_duplicates(points, first, stats)
    splits = [item.split for item in embeddings.items]
    labelled = np.array([row for row, label in enumerate(known) if label is not None], np.int64)
    errors = find_label_errors(
        embeddings.matrix, labelled, [known[row] for row in labelled.tolist()]
    )
    empty = np.empty(0, np.int64)
    tiny, side = (empty, None) if stats is None else tiny_rows(stats)
    return Checked(
        labels=known,
        duplicates=duplicates,
        near_duplicates=near,
        leakage=leaking(_copies(duplicates, near), splits),
        outliers=find_outliers(points),
        label_errors=errors,
        imbalance=class_imbalance(known, splits),
        tiny=tiny,
        blank=empty if stats is None else blank_rows(stats),
        tiny_side=side,
        sizes=None if stats is None else stats.sizes,
        failures=(*embeddings.failures, *(() if stats is None else stats.failures)),
        not_checked=_not_checked(known, errors.judged, splits, stats),
        remarks=() if stats is None else stats.remarks,
    )


def _kind_of(index: str, n: int) -> str:
    if index == "auto":
        return "exact" if n <= EXACT_UP_TO else "ivf"
    try:
        check_kind(index)
    except UsageError:
        raise UsageError(
            f"unknown kind of index {index!r}: it is auto, exact, ivf or hnsw."
        ) from None
    return index


def _labels_of(
    embeddings: Embeddings, ids: list[str], labels: Mapping[str, str] | None
) -> tuple[str | None, ...]:
    if labels is None:
        return tuple(item.label for item in embeddings.items)
    known: list[str | None] = [None] * len(ids)
    failed = {failure.path for failure in embeddings.failures}
    rows, names = rows_for({k: v for k, v in labels.items() if k not in failed}, ids)
    for row, name in zip(rows.tolist(), names.tolist(), strict=True):
        known[row] = name
    return tuple(known)


def _copies(duplicates: tuple[Rows, ...], near: NearDuplicates) -> tuple[Rows, ...]:
    """Return groups of either kind: near duplicates hold the exact copies of their members."""
    inside = {row for rows in near.groups for row in rows.tolist()}
    alone = [rows for rows in duplicates if int(rows[0]) not in inside]
    return tuple(sorted([*near.groups, *alone], key=lambda rows: int(rows[0])))


def _not_checked(
    labels: tuple[str | None, ...], judged: int, splits: list[str | None], stats: ImageStats | None
) -> dict[str, str]:
    found = {}
    classes = {label for label in labels if label is not None}
    if not judged:
        found["label_errors"] = why_not_judged(len(classes))
    if not classes:
        found["imbalance"] = "there are no labels"
    if len({split for split in splits if split is not None}) < 2:
        found["leakage"] = "the dataset has no two splits"
    if stats is None:
        found["tiny"] = found["blank"] = "images were not looked at"
    return found
