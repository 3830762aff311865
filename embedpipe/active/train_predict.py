"""Training a head on labels, and predicting all items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._html import MAX_ROWS, result_html
from .._loops.fitting import Batch, Trainer, run_head
from ..embedding import Embeddings
from ..errors import LabelError, UsageError
from ..heads import AutoHead, ZeroShotPrior, save_head
from ..models import ModelFile, metadata_of
from .expected import ExpectedAccuracy, expected_of_candidates
from .selection import rows_of_labels

__all__ = ["Accuracy", "Prediction", "Trained", "predict", "train", "train_head"]


@dataclass(frozen=True)
class Accuracy:
    """Accuracy on the labels of the dataset.

    Test images are the labelled images of the test split, or all labelled images if there is no
    test split. Images that the head was trained on are left out. Images of a class that was not
    trained on count as wrong. If no test image has a class of the head, the value is None.

    Attributes
    ----------
    value
        Share of the test images with the right prediction; None without test images.
    judged
        Number of test images.
    note
        Which test images were used, or the reason for a missing accuracy.
    """

    value: float | None
    judged: int
    note: str


@dataclass(frozen=True)
class Trained:
    """A fitted head, its measured accuracy, and its expected accuracy.

    `accuracy` is measured with the dataset's own labels, which are used for nothing else.
    `expected` is an estimate for the images without a given label.
    """

    head: Any
    accuracy: Accuracy
    expected: ExpectedAccuracy


@dataclass(frozen=True)
class Prediction:
    """The predictions of a head for the items of a dataset.

    Attributes
    ----------
    ids
        Item ids in the order of the dataset.
    labels
        (n,) most probable classes.
    probabilities
        (n, C) probabilities, columns in the order of `classes`.
    classes
        (C,) names of the classes.
    accuracy, judged, note
        See `Accuracy`.
    """

    ids: tuple[str, ...]
    labels: NDArray[Any]
    probabilities: NDArray[Any]
    classes: NDArray[Any]
    accuracy: float | None
    judged: int
    note: str

    @property
    def confidences(self) -> NDArray[Any]:
        """(n,) probabilities of the predicted classes."""
        return np.asarray(self.probabilities.max(axis=1))

    def __repr__(self) -> str:
        return f"Prediction({len(self.ids)} images, {len(self.classes)} classes)"

    def _repr_html_(self) -> str:
        facts = [
            ("classes", len(self.classes)),
            ("accuracy", self.accuracy),
            ("note", self.note or None),
        ]
        labels = map(str, self.labels[:MAX_ROWS].tolist())
        confidences = self.probabilities[:MAX_ROWS].max(axis=1).tolist()
        rows = zip(self.ids, labels, confidences, strict=False)
        title = f"Predictions for {len(self.ids):,} images"
        return result_html(
            title, facts, ["image", "label", "probability"], rows, n_rows=len(self.ids)
        )


def train(
    embeddings: Embeddings,
    labels: Mapping[str, str],
    *,
    head: Any = "auto",
    seed: int = 0,
    output: str | Path | None = None,
    prior: ZeroShotPrior | None = None,
) -> tuple[Any, float | None]:
    """Return a head fitted to labels, and its accuracy, which is None without test images.

    Parameters
    ----------
    embeddings
        Embeddings of the dataset.
    labels
        Labels by item id.
    head
        A spec string, or an unfitted head, which is not changed.
    seed
        Seed of a head without its own ``seed`` or ``random_state``.
    output
        File to save the head to; by default the head is not saved.
    prior
        Vectors of class names, for heads that use them, such as `AutoHead`; see `zero_shot_prior`.

    Raises
    ------
    LabelError
        If there are no labels, or a label's id is not in the dataset.
    """
    trained = train_head(embeddings, labels, head=head, seed=seed, output=output, prior=prior)
    return trained.head, trained.accuracy.value


def train_head(
    embeddings: Embeddings,
    labels: Mapping[str, str],
    *,
    head: Any = "auto",
    seed: int = 0,
    output: str | Path | None = None,
    prior: ZeroShotPrior | None = None,
) -> Trained:
    """Return a head fitted as in `train`, with its `Accuracy` and its expected accuracy."""
    if not labels:
        raise LabelError("there are no labels to train the model on: give at least one.")
    rows, known = rows_of_labels(embeddings, labels)
    if not len(rows):
        raise LabelError(
            "none of the labelled images could be read, so the model cannot be trained."
        )
    batch = Batch(rows, known)
    fitted = _fitted(embeddings, run_head(head, seed), batch, seed, prior)
    trained_on = {embeddings.content_ids[row] for row in rows}
    if output is not None:
        try:
            save_head(fitted, output, metadata=metadata_of(embeddings, trained_on))
        except OSError as error:
            raise UsageError(f"cannot write {output}: {error.strerror or error}.") from error
    accuracy = _accuracy(
        embeddings,
        fitted.classes_,
        trained_on,
        lambda rows: fitted.predict(embeddings.matrix[rows]),
    )
    every_row = np.arange(len(embeddings.items), dtype=np.int64)
    trainer = Trainer(fitted, embeddings.matrix, every_row, known[:0], seed=seed)
    expected = expected_of_candidates(trainer, fitted, trainer.held_out(fitted, batch), batch)
    return Trained(fitted, accuracy, expected)


def _fitted(
    embeddings: Embeddings, head: Any, batch: Batch, seed: int, prior: ZeroShotPrior | None
) -> Any:
    """Fit `head`; a semi-supervised head also receives the rows outside the test split."""
    splits = np.array([item.split or "" for item in embeddings.items])
    pool = np.flatnonzero(~np.isin(splits, ["test", "validation"]))
    trainer = Trainer(head, embeddings.matrix, pool, batch.labels[:0], seed=seed, prior=prior)
    return trainer.fit(head, batch)


def predict(embeddings: Embeddings, model: str | Path | ZeroShotPrior) -> Prediction:
    """Predict every item of a dataset with a head that `train` saved, or from class names.

    `model` is the file of the head, or the vectors of class names from `zero_shot_prior`.

    Raises
    ------
    UsageError
        If the head was trained with another backbone, preprocessing or precision.
    """
    if isinstance(model, ZeroShotPrior):
        head, trained_on = AutoHead.from_prior(model), set[bytes]()
    else:
        file = ModelFile.read(model)
        file.check_spec(embeddings.spec)
        head, trained_on = file.head, file.trained_on
    probabilities = head.predict_proba(embeddings.matrix)  # (n, C)
    labels = head.classes_[np.argmax(probabilities, axis=1)]  # (n,)
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


def _test_rows(embeddings: Embeddings, trained_on: set[bytes]) -> NDArray[np.int64]:
    """Return the labelled rows that were not trained on: those of the test split, or else all."""
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
    """Return the accuracy on the dataset's labels; its value is None without a common class."""
    rows = _test_rows(embeddings, trained_on)
    if not len(rows):
        return Accuracy(
            None,
            0,
            "the dataset has no labels of its own (class folders or a manifest) for images that "
            "were not used for training",
        )
    known = {str(name) for name in classes.tolist()}
    truth = np.array([embeddings.items[row].label for row in rows], dtype=np.str_)  # (r,)
    unlearned = {label for label in truth.tolist() if label not in known}
    learned = ~np.isin(truth, sorted(unlearned))  # (r,)
    if not learned.any():
        return Accuracy(None, 0, _nothing_shared(known, unlearned))
    split = embeddings.items[rows[0]].split == "test"
    note = f"on {len(rows):,} images {'of the test split' if split else 'not used for training'}"
    if unlearned:
        note += (
            f"; {int((~learned).sum()):,} of them have classes without training labels "
            f"({_some(unlearned)}) and count as wrong"
        )
    right = predicted(rows).astype(np.str_) == truth
    return Accuracy(float(right.mean()), len(rows), note)


def _nothing_shared(known: set[str], unlearned: set[str]) -> str:
    note = (
        f"the labels ({_some(known)}) and the dataset's classes ({_some(unlearned)}) have no name "
        "in common"
    )
    folded = {name.casefold() for name in known}
    cased = {name for name in unlearned if name.casefold() in folded}
    return f"{note}; these differ only in case: {_some(cased)}" if cased else note


def _some(names: set[str]) -> str:
    """Return three names, and the number of further names, as text."""
    listed = sorted(names)
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more
