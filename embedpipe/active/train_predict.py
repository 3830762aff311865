"""A head from labels, and what it says of every item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._loops.fitting import run_head
from ..cache import Spec
from ..embedding import Embeddings, EmbedOptions
from ..embedding.embed import backbone_of, spec_of
from ..errors import LabelError, UsageError
from ..heads import load_head, save_head
from .selection import rows_of_labels

__all__ = ["Accuracy", "Prediction", "Trained", "check_spec", "predict", "train", "train_head"]


@dataclass(frozen=True)
class Accuracy:
    """Accuracy on the dataset's own labels, and the images that it covers.

    Attributes
    ----------
    value
        Share of the judged images whose class is predicted; None where nothing can be judged.
    judged
        Number of images that it covers.
    note
        Which images it covers, or why there is no accuracy.

    Notes
    -----
    Judged are the images with a label of the dataset that were not trained on: those of the test
    split where it has any. Images of a class that was not trained on count as wrong. If no judged
    image has a class of the head, labels and classes are about different things: the value is None.
    """

    value: float | None
    judged: int
    note: str


@dataclass(frozen=True)
class Trained:
    """A fitted head and its accuracy.

    Attributes
    ----------
    head
        Fitted.
    accuracy
        On images that it was not fitted to.
    """

    head: Any
    accuracy: Accuracy


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
        test split where it has one. None where there are none, and where none of them has a class
        of the head.
    judged
        Number of items that the accuracy covers.
    note
        Which items the accuracy covers, or why there is none.
    """

    ids: tuple[str, ...]
    labels: NDArray[Any]
    probabilities: NDArray[Any]
    classes: NDArray[Any]
    accuracy: float | None
    judged: int
    note: str


def train(
    embeddings: Embeddings,
    labels: Mapping[str, str],
    *,
    head: Any = "logistic",
    seed: int = 0,
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
        A registered name with options, or an unfitted head, which stays as it is.
    seed
        A head without a ``seed`` or ``random_state`` of its own takes it.
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
    trained = train_head(embeddings, labels, head=head, seed=seed, output=output)
    return trained.head, trained.accuracy.value


def train_head(
    embeddings: Embeddings,
    labels: Mapping[str, str],
    *,
    head: Any = "logistic",
    seed: int = 0,
    output: str | Path | None = None,
) -> Trained:
    """Do what `train` does, and say which images the accuracy covers."""
    if not labels:
        raise LabelError("there are no labels to train on: give at least one.")
    rows, known = rows_of_labels(embeddings, labels)
    if not len(rows):
        raise LabelError("none of the labelled items could be embedded: there is nothing to fit.")
    fitted = run_head(head, seed)
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
    accuracy = _accuracy(
        embeddings,
        fitted.classes_,
        trained_on,
        lambda rows: fitted.predict(embeddings.matrix[rows]),
    )
    return Trained(fitted, accuracy)


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
    accuracy = _accuracy(embeddings, head.classes_, trained_on, lambda rows: labels[rows])
    return Prediction(
        ids=tuple(item.id for item in embeddings.items),
        labels=labels,
        probabilities=probabilities,
        classes=head.classes_,
        accuracy=accuracy.value,
        judged=accuracy.judged,
        note=accuracy.note,
    )


def check_spec(model: str | Path, options: EmbedOptions) -> EmbedOptions:
    """Return how to embed for a saved head: with precision ``"auto"``, in the head's precision.

    Raises
    ------
    UsageError
        If the head was trained on vectors of another backbone, preprocessing or precision.
    """
    _, metadata = load_head(model)
    if options.precision == "auto" and "spec" in metadata:
        options = replace(options, precision=Spec.from_json(metadata["spec"]).precision)
    _check_spec(model, metadata, spec_of(options, backbone_of(options)))
    return options


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


def _accuracy(
    embeddings: Embeddings,
    classes: NDArray[Any],
    trained_on: set[bytes],
    predicted: Callable[[NDArray[np.int64]], NDArray[Any]],
) -> Accuracy:
    """Compare predictions with the dataset's labels, where the two are about the same classes."""
    rows = _rows_to_judge(embeddings, trained_on)
    if not len(rows):
        return Accuracy(None, 0, "no image outside of the training labels has a label")
    known = {str(name) for name in classes.tolist()}
    truth = np.array([embeddings.items[row].label for row in rows], dtype=np.str_)  # (r,)
    strange = {label for label in truth.tolist() if label not in known}
    learned = ~np.isin(truth, sorted(strange))  # (r,)
    if not learned.any():
        return Accuracy(None, 0, _nothing_shared(known, strange))
    split = embeddings.items[rows[0]].split == "test"
    note = f"on {len(rows):,} images {'of the test split' if split else 'not trained on'}"
    if strange:
        note += (
            f"; {int((~learned).sum()):,} are of classes that were not trained on "
            f"({_some(strange)}) and count as wrong"
        )
    right = predicted(rows).astype(np.str_) == truth
    return Accuracy(float(right.mean()), len(rows), note)


def _nothing_shared(known: set[str], strange: set[str]) -> str:
    note = (
        f"the labels ({_some(known)}) and the dataset's classes ({_some(strange)}) have no name in "
        "common"
    )
    folded = {name.casefold() for name in known}
    cased = {name for name in strange if name.casefold() in folded}
    return f"{note}; they differ only by case: {_some(cased)}" if cased else note


def _some(names: set[str]) -> str:
    """Return the first few names."""
    listed = sorted(names)
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more
