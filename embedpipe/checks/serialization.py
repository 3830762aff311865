"""Check results as JSON types."""

from __future__ import annotations

from typing import Any

from ..embedding import Embeddings
from .dataset_check import CheckResult
from .duplicates import Rows

__all__ = ["as_dict"]


def as_dict(embeddings: Embeddings, checked: CheckResult) -> dict[str, Any]:
    """Return the results of `check` as JSON types, with items by id.

    Returns
    -------
    dict
        ``duplicates``, ``near_duplicates`` and ``leakage``: lists of groups. ``outliers`` and
        ``label_errors``: lists of items, the worst first. ``tiny``, ``blank`` and ``failed``: lists
        of items.
        ``labelled``: number of labels. ``judged``: number of labels that were checked.
        ``imbalance``: class counts. ``limits``: estimated thresholds. ``not_checked``: reasons for
        skipped checks. ``remarks``: remarks about single files.

    Examples
    --------
    >>> import embedpipe as ep
    >>> from embedpipe.checks import check
    >>> digits = ep.load_dataset("digits").subset("test")
    >>> embeddings = ep.embed(digits, backbone="toy", workspace=tmp)
    >>> found = as_dict(embeddings, check(embeddings))
    >>> found["items"], found["duplicates"], found["not_checked"]
    (397, [], {'leakage': 'the dataset has fewer than two splits'})
    """
    serializer = _Serializer(embeddings, checked)
    near = checked.near_duplicates
    return {
        "items": len(embeddings),
        "duplicates": [serializer.group(rows) for rows in checked.duplicates],
        "near_duplicates": [serializer.group(rows) for rows in near.groups],
        "leakage": [serializer.leak(rows) for rows in checked.leakage],
        "outliers": [
            serializer.item(row) | {"score": float(score)}
            for row, score in zip(checked.outliers.rows, checked.outliers.scores, strict=True)
        ],
        "label_errors": serializer.label_errors(),
        "imbalance": {
            "classes": checked.imbalance.counts,
            "ratio": checked.imbalance.ratio,
            "rare": list(checked.imbalance.rare),
            "missing": [
                {"split": split, "label": label} for split, label in checked.imbalance.missing
            ],
        },
        "tiny": [serializer.sized(row) for row in checked.tiny],
        "blank": [serializer.sized(row) for row in checked.blank],
        "failed": [
            {
                "id": failure.path,
                "path": embeddings.dataset.source.path(failure.path),
                "stage": failure.stage,
                "error": failure.error,
            }
            for failure in checked.failures
        ],
        "limits": {
            "near_duplicates": {"ratio": near.ratio_limit, "likeness": near.likeness_limit},
            "outliers": checked.outliers.threshold,
            "tiny": checked.tiny_side,
        },
        "not_checked": dict(checked.not_checked),
        "labelled": sum(label is not None for label in checked.labels),
        "judged": checked.label_errors.judged,
        "remarks": [remark._asdict() for remark in checked.remarks],
    }


class _Serializer:
    """Converts rows to JSON types."""

    def __init__(self, embeddings: Embeddings, checked: CheckResult) -> None:
        self._items, self._source = embeddings.items, embeddings.dataset.source
        self._checked = checked

    def item(self, row: int) -> dict[str, Any]:
        name = self._items[row].id
        return {"id": name, "path": self._source.path(name), "label": self._checked.labels[row]}

    def sized(self, row: int) -> dict[str, Any]:
        sizes = self._checked.sizes
        assert sizes is not None  # tiny and blank images have sizes
        width, height = sizes[row].tolist()
        return self.item(row) | {"width": width, "height": height}

    def group(self, rows: Rows) -> dict[str, Any]:
        labels = {self._checked.labels[row] for row in rows.tolist()} - {None}
        return {
            "items": [self._items[row].id for row in rows.tolist()],
            "labels": sorted(label for label in labels if label is not None),
        }

    def leak(self, rows: Rows) -> dict[str, Any]:
        return self.group(rows) | {"splits": [self._items[row].split for row in rows.tolist()]}

    def label_errors(self) -> list[dict[str, Any]]:
        found = self._checked.label_errors
        columns = (
            found.rows.tolist(),
            found.suggested.tolist(),
            found.given_probabilities.tolist(),
            found.suggested_probabilities.tolist(),
        )
        return [
            self.item(row)
            | {
                "suggested": suggested,
                "label_probability": given,
                "suggested_probability": other,
            }
            for row, suggested, given, other in zip(*columns, strict=True)
        ]
