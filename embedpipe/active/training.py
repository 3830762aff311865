"""A head from labels, and what it says of every item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cache import Spec
from ..embedding import Embeddings, EmbedOptions
from ..errors import LabelError, UsageError
from ..heads import get_head, load_head, save_head
from .labelled import rows_of_labels

__all__ = ["Prediction", "check_spec", "predict", "train"]


@dataclass(frozen=True)
class Prediction:
    """What a head says of the items of a dataset.

    Attributes
    ----------
    ids
        The items, in the dataset's order.
    labels
        The most probable class of each: (n,).
    probabilities
        Shape (n, C), columns in the order of `classes`.
    classes
        Names of the classes: (C,).
    accuracy
        On the items whose label the dataset knows and the head was not trained on: those of its
        test split where it has one. None where there are none.
    """

    ids: tuple[str, ...]
    labels: NDArray[Any]
    probabilities: NDArray[Any]
    classes: NDArray[Any]
    accuracy: float | None


def train(
    embeddings: Embeddings,
    labels: Mapping[str, str],
    *,
    head: Any = "logistic",
    output: str | Path | None = None,
) -> tuple[Any, float | None]:
    """Fit a head to the labelled items.

    Parameters
    ----------
    embeddings
        Of the dataset.
    labels
        By item id.
    head
        A registered name, or an unfitted head.
    output
        If given, the head is saved there with what it needs to be used again.

    Returns
    -------
    head
        Fitted.
    accuracy : float or None
        As `Prediction.accuracy`: never on items it was fitted to.

    Raises
    ------
    LabelError
        If there are no labels, or one names an item that is not in the dataset.
    """
    if not labels:
        raise LabelError("there are no labels to train on: give at least one.")
    rows, known = rows_of_labels(embeddings, labels)
    if not len(rows):
        raise LabelError("none of the labelled items could be embedded: there is nothing to fit.")
    fitted = get_head(head) if isinstance(head, str) else head
    fitted.fit(embeddings.matrix[rows], known)
    trained_on = {embeddings.content_ids[row] for row in rows}
    if output is not None:
        metadata = {
            "spec_id": embeddings.spec.id,
            "spec": embeddings.spec.to_json(),
            "dataset": embeddings.dataset.name,
            "trained_on": sorted(content_id.hex() for content_id in trained_on),
        }
        try:
            save_head(fitted, output, metadata=metadata)
        except OSError as error:
            raise UsageError(f"cannot write {output}: {error.strerror or error}.") from error
    judged = _rows_to_judge(embeddings, trained_on)
    if not len(judged):
        return fitted, None
    return fitted, _accuracy(embeddings, judged, fitted.predict(embeddings.matrix[judged]))


def predict(embeddings: Embeddings, model: str | Path) -> Prediction:
    """Let a saved head predict every item of a dataset.

    Parameters
    ----------
    embeddings
        Of the dataset, from the same backbone as the head's.
    model
        A file that `train` wrote.

    Raises
    ------
    UsageError
        If the head was trained on vectors of another backbone, preprocessing or precision.
    """
    head, metadata = load_head(model)
    _check_spec(model, metadata, embeddings.spec)
    probabilities = head.predict_proba(embeddings.matrix)  # (n, C)
    labels = head.classes_[np.argmax(probabilities, axis=1)]  # (n,)
    trained_on = {bytes.fromhex(text) for text in metadata["trained_on"]}
    judged = _rows_to_judge(embeddings, trained_on)
    return Prediction(
        ids=tuple(item.id for item in embeddings.items),
        labels=labels,
        probabilities=probabilities,
        classes=head.classes_,
        accuracy=_accuracy(embeddings, judged, labels[judged]) if len(judged) else None,
    )


def check_spec(model: str | Path, options: EmbedOptions) -> None:
    """Refuse a saved head that does not fit what `embed` would give, before anything is embedded.

    Raises
    ------
    UsageError
        If the head was trained on vectors of another backbone, preprocessing or precision.
    """
    _, metadata = load_head(model)
    _check_spec(model, metadata, options.spec_of(options.open_backbone()))


def _check_spec(model: str | Path, metadata: Mapping[str, Any], spec: Spec) -> None:
    if metadata.get("spec_id") != spec.id:
        raise UsageError(
            f"{model} was trained on other vectors than these (spec "
            f"{str(metadata.get('spec_id'))[:12]}, these are {spec.id[:12]}): embed with the same "
            "--backbone and --precision."
        )


def _rows_to_judge(embeddings: Embeddings, trained_on: set[bytes]) -> NDArray[np.int64]:
    """Return the rows whose label is known and unseen: of the test split where there is one."""
    unseen = [
        row
        for row, (item, content_id) in enumerate(
            zip(embeddings.items, embeddings.content_ids, strict=True)
        )
        if item.label is not None and content_id not in trained_on
    ]
    test = [row for row in unseen if embeddings.items[row].split == "test"]
    return np.array(test or unseen, dtype=np.int64)


def _accuracy(embeddings: Embeddings, rows: NDArray[np.int64], predicted: NDArray[Any]) -> float:
    pairs = zip(rows, predicted, strict=True)
    return float(np.mean([embeddings.items[row].label == label for row, label in pairs]))
