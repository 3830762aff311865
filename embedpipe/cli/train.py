"""Commands ``train`` and ``predict``."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._options import DatasetOptions
from .._text import printable
from .label_log import labels_of_items, labels_of_log
from .options import EmbedArguments, Head, Images
from .session import Session

if TYPE_CHECKING:
    from ..active import Prediction
    from ..embedding import Embeddings

__all__ = ["predict", "train"]


def train(
    session: Session,
    data: DatasetOptions,
    output: Annotated[Path, typer.Option(help="File for the trained model", show_default=False)],
    embed_options: EmbedArguments,
    head: Head = "logistic",
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Labels: .csv, .jsonl or .parquet with the columns path and label [default: the "
            "label log of the workspace]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed", min=0)] = 0,
) -> None:
    """Train a model on labels.

    The expected accuracy is an estimate for the images without a given label. It uses the given
    labels only.

    The accuracy is measured on images that have a label in the dataset and were not used for
    training. If some of these images are in the test split, only the test images are used. The
    accuracy is null if the given labels and the dataset's classes have no name in common. Images of
    classes without given labels count as wrong.
    """
    from ..active import train_head
    from ..heads import get_head
    from ..labels import read_labels

    get_head(head)  # an unknown name is an error before the embedding
    known = None if labels is None else read_labels(labels)
    embeddings = session.embed(data, embed_options)
    if known is None:
        known = labels_of_log(session, embeddings)
    else:
        known = labels_of_items(session, embeddings.dataset, known)
    started = time.monotonic()
    trained = train_head(embeddings, known, head=head, seed=seed, output=output)
    fitted, accuracy, expected = trained.head, trained.accuracy, trained.expected
    seconds = time.monotonic() - started
    result = {
        "accuracy": accuracy.value,
        "labelled": len(known),
        "classes": [str(name) for name in fitted.classes_],
        "output": str(output),
        "seconds": round(seconds, 4),
        "judged": accuracy.judged,
        "accuracy_note": accuracy.note,
        "expected_accuracy": expected.value,
        "expected_accuracy_ci": expected.interval,
    }
    text = (
        f"{output}: {len(known)} labels, {len(fitted.classes_)} classes, "
        f"{_accuracy_text(accuracy.value, accuracy.note)}"
    )
    if expected.value is not None:
        text += f"\n{expected} on the images without a label"
    session.finish(result, text)


def predict(
    session: Session,
    data: Images,
    model: Annotated[Path, typer.Option(help="Model file written by `train`", show_default=False)],
    embed_options: EmbedArguments,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File for the predictions: .csv, .jsonl or .parquet [default: print them]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Predict the class of every image.

    Writes path, label, confidence and the probability of each class. Without --output, prints
    path, label and confidence.
    """
    from ..active import check_spec
    from ..active import predict as predict_items
    from ..labels import table_format

    if output is not None:
        table_format(output)
    embed_options = replace(embed_options, precision=check_spec(model, embed_options).precision)
    embeddings = session.embed(data, embed_options)
    prediction = predict_items(embeddings, model)
    result: dict[str, Any] = {
        "accuracy": prediction.accuracy,
        "items": len(prediction.ids),
        "output": None if output is None else str(output),
        "judged": prediction.judged,
        "accuracy_note": prediction.note,
    }
    if output is None:
        rows = result["predictions"] = _predictions(embeddings, prediction)
        lines = [
            f"{printable(row['id'])}\t{printable(row['label'])}\t{row['confidence']:.4f}"
            for row in rows
        ]
        session.finish(result, "\n".join(lines))
        return
    _write(output, prediction)
    accuracy = _accuracy_text(prediction.accuracy, prediction.note)
    session.finish(result, f"{printable(str(output))}: {len(prediction.ids)} items, {accuracy}")


def _predictions(embeddings: Embeddings, prediction: Prediction) -> list[dict[str, Any]]:
    best = prediction.probabilities.max(axis=1)  # (n,)
    return [
        {
            "id": item,
            "path": embeddings.dataset.source.path(item),
            "label": str(label),
            "confidence": float(confidence),
        }
        for item, label, confidence in zip(prediction.ids, prediction.labels, best, strict=True)
    ]


def _accuracy_text(accuracy: float | None, note: str) -> str:
    return f"no accuracy: {note}" if accuracy is None else f"accuracy {accuracy:.4f} {note}"


def _write(output: Path, prediction: Prediction) -> None:
    from ..labels import write_table

    columns: dict[str, Any] = {
        "path": list(prediction.ids),
        "label": [str(label) for label in prediction.labels],
        "confidence": prediction.probabilities.max(axis=1),
    }
    for column, name in enumerate(prediction.classes):
        columns[f"probability_{name}"] = prediction.probabilities[:, column]
    write_table(columns, output)
