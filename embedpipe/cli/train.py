"""Commands ``train`` and ``predict``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._options import DatasetOptions
from .._text import printable
from ..errors import UsageError
from .class_names import ClassNames, prior_of, read_class_names
from .label_log import GivenLabels, with_corrections
from .options import (
    DatasetWithLabels,
    Embed,
    EmbedArguments,
    Head,
    Images,
    LabelSource,
)
from .session import Session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..active import Prediction
    from ..embedding import Embeddings

__all__ = ["MinConfidence", "format_left_out", "predict", "predicted_by", "train"]

ORDERS = ("path", "confidence")

MinConfidence = Annotated[
    float | None,
    typer.Option(
        help="Leave out predictions with a lower confidence, a number from 0 to 1",
        min=0,
        max=1,
        show_default=False,
    ),
]


def train(
    session: Session,
    data: DatasetWithLabels,
    output: Annotated[Path, typer.Option(help="File for the trained model", show_default=False)],
    embed_options: EmbedArguments,
    labels: LabelSource,
    classes: ClassNames = None,
    head: Head = "auto",
    seed: Annotated[int, typer.Option(help="Random seed", min=0)] = 0,
) -> None:
    """Train a model on labels.

    With the default head, the model also learns from the images without a label, where held-out
    labels show that this helps. Images of the test and validation splits are not used for this.

    The expected accuracy is an estimate for the images without a given label. It uses the given
    labels only.

    The accuracy is measured on images that have a label in the dataset and were not used for
    training. If some of these images are in the test split, only the test images are used. The
    accuracy is null if the given labels and the dataset's classes have no name in common. Images of
    classes without given labels count as wrong.
    """
    from ..active import train_head
    from ..heads import get_head

    chosen = get_head(head)  # an unknown name is an error before the embedding
    names = read_class_names(classes, embed_options)
    if names and not getattr(chosen, "uses_prior", False):
        raise UsageError(
            f"the head {head!r} does not use the names of classes: leave out --classes, or use "
            "--head auto."
        )
    given = GivenLabels(session, labels)
    dataset = session.load(data, uses_classes=True)
    given.check_log(dataset)
    embeddings = session.embed(dataset, embed_options)
    known = given.for_training(embeddings)
    started = time.monotonic()
    trained = train_head(
        with_corrections(session, embeddings),
        known.labels,
        head=head,
        seed=seed,
        output=output,
        prior=prior_of(session, embeddings, names),
    )
    fitted, accuracy, expected = trained.head, trained.accuracy, trained.expected
    seconds = time.monotonic() - started
    result = {
        "accuracy": accuracy.value,
        **known.facts(),
        "classes": [str(name) for name in fitted.classes_],
        "output": str(output),
        "seconds": round(seconds, 4),
        "judged": accuracy.judged,
        "accuracy_note": accuracy.note,
        "expected_accuracy": expected.value,
        "expected_accuracy_ci": expected.interval,
        "choice": getattr(fitted, "choice_", None),
    }
    text = (
        f"{output}: {known}, {len(fitted.classes_)} classes, "
        f"{_accuracy_text(accuracy.value, accuracy.note)}"
    )
    if result["choice"] is not None:
        text += f"\nthe model {result['choice']}"
    if expected.value is not None:
        text += f"\n{expected} on the images without a label"
    session.finish(result, text)


def predict(
    session: Session,
    data: Images,
    embed_options: EmbedArguments,
    model: Annotated[
        Path | None, typer.Option(help="Model file written by `train`", show_default=False)
    ] = None,
    classes: ClassNames = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File for the predictions: .csv, .jsonl or .parquet [default: print them]",
            show_default=False,
        ),
    ] = None,
    min_confidence: MinConfidence = None,
    sort: Annotated[
        str, typer.Option(help="Order of the images: path, or confidence with the highest first")
    ] = "path",
) -> None:
    """Predict the class of every image.

    Writes path, label, confidence and the probability of each class. Without --output, prints
    path, label and confidence.

    With --classes instead of --model, the classes are predicted from their names, without any
    label (zero-shot). This needs a backbone with a text tower, such as clip_b32.
    """
    from ..labels import table_format

    if output is not None:
        table_format(output, UsageError)
    if sort not in ORDERS:
        raise UsageError(f"--sort {sort}: give {' or '.join(ORDERS)}.")
    names = read_class_names(classes, embed_options)
    if (model is None) == (not names):
        raise UsageError("give either --model FILE or --classes NAME,NAME.")
    if model is not None:
        embeddings, prediction = predicted_by(
            session, data, model, embed_options, uses_classes=True
        )
    else:
        embeddings, prediction = _from_names(session, data, names, embed_options)
    rows = _shown_rows(prediction, min_confidence, sort)
    left_out = len(prediction.ids) - len(rows)
    result: dict[str, Any] = {
        "accuracy": prediction.accuracy,
        "items": len(rows),
        "left_out": left_out,
        "output": None if output is None else str(output),
        "judged": prediction.judged,
        "accuracy_note": prediction.note,
        "zero_shot": model is None,
    }
    below = format_left_out(left_out, min_confidence)
    if output is None:
        if below:
            session.remark(f"{below}.")
        shown = result["predictions"] = _predictions(embeddings, prediction, rows)
        lines = [
            f"{printable(row['id'])}\t{printable(row['label'])}\t{row['confidence']:.4f}"
            for row in shown
        ]
        session.finish(result, "\n".join(lines))
        return
    _write(output, prediction, rows, zero_shot=model is None)
    accuracy = _accuracy_text(prediction.accuracy, prediction.note)
    text = ", ".join(filter(None, [f"{len(rows)} items", below, accuracy]))
    session.finish(result, f"{printable(str(output))}: {text}")


def format_left_out(count: int, min_confidence: float | None) -> str:
    """Return a clause about predictions below the limit; blank without any."""
    if not count:
        return ""
    noun = "image" if count == 1 else "images"
    return f"{count:,} {noun} with a confidence below {min_confidence} left out"


def predicted_by(
    session: Session,
    data: DatasetOptions,
    model: Path,
    embed_options: Embed,
    *,
    uses_classes: bool,
) -> tuple[Embeddings, Prediction]:
    """Embed a dataset as for training, and predict its images with a saved model."""
    from ..active import predict as predict_items
    from ..models import ModelFile

    embed_options = ModelFile.read(model).embed_options(embed_options, session.given)
    embeddings = session.embed(data, embed_options, uses_classes=uses_classes)
    return embeddings, predict_items(with_corrections(session, embeddings), model)


def _from_names(
    session: Session, data: DatasetOptions, names: Sequence[str], embed_options: Embed
) -> tuple[Embeddings, Prediction]:
    """Embed a dataset, and predict its images from the names of classes."""
    from ..active import predict as predict_items

    embeddings = session.embed(data, embed_options, uses_classes=True)
    prior = prior_of(session, embeddings, names)
    assert prior is not None
    return embeddings, predict_items(with_corrections(session, embeddings), prior)


def _shown_rows(
    prediction: Prediction, min_confidence: float | None, sort: str
) -> NDArray[np.int64]:
    """Return the rows of sufficient confidence, in the order of the output."""
    import numpy as np

    confidences = prediction.confidences  # (n,)
    rows = np.flatnonzero(confidences >= (min_confidence or 0.0))
    if sort == "confidence":
        rows = rows[np.argsort(-confidences[rows], kind="stable")]
    return rows


def _predictions(
    embeddings: Embeddings, prediction: Prediction, rows: NDArray[np.int64]
) -> list[dict[str, Any]]:
    path, confidences = embeddings.dataset.source.path, prediction.confidences
    return [
        {
            "id": prediction.ids[row],
            "path": path(prediction.ids[row]),
            "label": str(prediction.labels[row]),
            "confidence": float(confidences[row]),
        }
        for row in rows.tolist()
    ]


def _accuracy_text(accuracy: float | None, note: str) -> str:
    return f"no accuracy: {note}" if accuracy is None else f"accuracy {accuracy:.4f} {note}"


def _write(
    output: Path, prediction: Prediction, rows: NDArray[np.int64], *, zero_shot: bool
) -> None:
    from ..labels import write_table

    columns: dict[str, Any] = {
        "path": [prediction.ids[row] for row in rows.tolist()],
        "label": [str(label) for label in prediction.labels[rows]],
        "confidence": prediction.confidences[rows],
    }
    for column, name in enumerate(prediction.classes):
        columns[f"probability_{name}"] = prediction.probabilities[rows, column]
    if zero_shot:
        columns["source"] = ["zero-shot"] * len(rows)
    write_table(columns, output)
