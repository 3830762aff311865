"""All checks of a dataset at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .._html import result_html
from ..active.selection import index_of
from ..cache import Failure
from ..embedding import Embeddings, Remark
from ..errors import UsageError
from ..index import check_kind
from ..labels import rows_for
from .duplicates import (
    NearDuplicates,
    Rows,
    exact_duplicates,
    first_of_content,
    leaking,
    near_duplicates,
)
from .image_stats import FileProperties, ImageStats, Progress, blank_rows, image_stats, tiny_rows
from .imbalance import Imbalance, class_imbalance
from .label_errors import LabelErrors, find_label_errors, why_not_judged
from .outliers import Outliers, find_outliers

__all__ = ["CheckResult", "check"]

EXACT_UP_TO = 100_000
"""Maximum number of items for which the kind ``"auto"`` is an exact index."""


@dataclass(frozen=True)
class CheckResult:
    """The results of all checks. All rows are rows of the embeddings.

    Attributes
    ----------
    labels
        The checked label of each of the n items, or None.
    duplicates
        Groups of rows with the same file content.
    near_duplicates
        Groups of images that look the same.
    leakage
        Groups of duplicates in more than one split; rows without a split are left out.
    outliers
        Unusual items.
    label_errors
        Labels that are likely wrong.
    imbalance
        Class counts and rare classes.
    tiny, blank
        Rows of very small images, and of images of one colour.
    tiny_side
        Limit in pixels of the shorter side of a tiny image; None if no image was read.
    sizes
        (n, 2) int32 width and height, upright; None if no image was read.
    files
        Bytes, format, mode and orientation of each file; None if no image was read.
    failures
        Items that could not be embedded or read.
    not_checked
        Reasons for skipped checks, by name of the check.
    remarks
        Remarks about single files, such as damaged metadata.
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
    files: FileProperties | None = None

    def _repr_html_(self) -> str:
        errors = self.label_errors
        grouped = {
            "exact duplicates": self.duplicates,
            "near duplicates": self.near_duplicates.groups,
            "duplicates in several splits": self.leakage,
        }
        rows: list[tuple[str, int, str]] = [
            (name, sum(len(rows) for rows in groups), f"in {len(groups):,} groups")
            for name, groups in grouped.items()
        ]
        rows += [
            ("unusual images", len(self.outliers.rows), ""),
            ("labels that are likely wrong", len(errors.rows), f"of {errors.judged:,} checked"),
            ("very small images", len(self.tiny), ""),
            ("images of one colour", len(self.blank), ""),
            ("images that cannot be read", len(self.failures), ""),
            ("rare classes", len(self.imbalance.rare), ", ".join(self.imbalance.rare)),
        ]
        facts = [(f"not checked: {name}", reason) for name, reason in self.not_checked.items()]
        title = f"Check of {len(self.labels):,} images"
        return result_html(title, facts, ["finding", "images", ""], rows)

    @property
    def copies(self) -> tuple[Rows, ...]:
        """Groups of exact and near duplicates, sorted by their lowest row."""
        return _copies(self.duplicates, self.near_duplicates)


def check(
    embeddings: Embeddings,
    *,
    labels: Mapping[str, str] | None = None,
    pixels: bool = True,
    index: str = "auto",
    progress: Progress | None = None,
) -> CheckResult:
    """Find duplicates, outliers, label errors, and tiny, blank or unreadable images.

    Parameters
    ----------
    embeddings
        The dataset's embeddings.
    labels
        Labels by item id; by default the labels of the dataset.
    pixels
        Whether to read each image, to find tiny and blank images and to compare near duplicates. If
        false, near duplicates are found by vectors alone.
    index
        ``"exact"``, ``"ivf"``, ``"hnsw"``, or ``"auto"`` (exact up to 100,000 items, ivf above).
    progress
        Function that takes the stage (``"look"`` or ``"neighbours"``), the number of finished
        items, and the total number.

    Notes
    -----
    The check needs less than 2 kB of memory per item, 600 bytes more with `pixels`, and two copies
    of the labelled vectors. An exact index has at most 250,000 items.

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
    item_index = index_of(embeddings, np.arange(len(embeddings)), kind)
    if progress:
        report = progress
        item_index.neighbours(1, lambda done, total: report("neighbours", done, total))
    duplicates = exact_duplicates(embeddings.content_ids)
    near = near_duplicates(item_index, first, stats)
    splits = [item.split for item in embeddings.items]
    labelled = np.array([row for row, label in enumerate(known) if label is not None], np.int64)
    errors = find_label_errors(
        embeddings.matrix, labelled, [known[row] for row in labelled.tolist()]
    )
    empty = np.empty(0, np.int64)
    tiny, side = (empty, None) if stats is None else tiny_rows(stats)
    return CheckResult(
        labels=known,
        duplicates=duplicates,
        near_duplicates=near,
        leakage=leaking(_copies(duplicates, near), splits),
        outliers=find_outliers(item_index),
        label_errors=errors,
        imbalance=class_imbalance(known, splits),
        tiny=tiny,
        blank=empty if stats is None else blank_rows(stats),
        tiny_side=side,
        sizes=None if stats is None else stats.sizes,
        failures=(*embeddings.failures, *(() if stats is None else stats.failures)),
        not_checked=_not_checked(known, errors.judged, splits, stats),
        remarks=() if stats is None else stats.remarks,
        files=None if stats is None else stats.files,
    )


def _kind_of(index: str, n: int) -> str:
    if index == "auto":
        return "exact" if n <= EXACT_UP_TO else "ivf"
    try:
        check_kind(index)
    except UsageError:
        raise UsageError(
            f"unknown kind of index {index!r}; expected auto, exact, ivf or hnsw."
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
    """Return all groups; groups of near duplicates already include their exact duplicates."""
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
        found["leakage"] = "the dataset has fewer than two splits"
    if stats is None:
        found["tiny"] = found["blank"] = "the images were not read"
    return found
