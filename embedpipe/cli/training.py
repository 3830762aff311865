"""Commands ``train`` and ``predict``."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .label_log import labels_of_log
from .options import DatasetChoice, EmbedChoice, HeadChoice
from .session import Session, command

if TYPE_CHECKING:
    from ..active import Prediction

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    command(app, "train")(train)
    command(app, "predict")(predict)


def train(
    session: Session,
    where: DatasetChoice,
    output: Annotated[Path, typer.Option(help="File for the trained head", show_default=False)],
    how: EmbedChoice,
    head: HeadChoice,
    labels: Annotated[
        Path | None,
        typer.Option(
            help=".csv, .jsonl or .parquet with the columns path and label [default: the label "
            "log of the workspace]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Fit a head to labels.

    The accuracy, where the dataset knows the labels, is that on items it was not fitted to.
    """
    from ..active import train as fit
    from ..heads import get_head
    from ..labels import read_labels

    get_head(head.head)  # what is misspelt is said before anything is embedded
    known = None if labels is None else read_labels(labels)
    embeddings = session.embed(where, how)
    if known is None:
        known = labels_of_log(session, embeddings)
    started = time.monotonic()
    fitted, accuracy = fit(embeddings, known, head=head.head, output=output)
    seconds = time.monotonic() - started
    result = {
        "accuracy": accuracy,
        "labelled": len(known),
        "classes": [str(name) for name in fitted.classes_],
        "output": str(output),
        "seconds": round(seconds, 4),
    }
    text = f"{output}: {len(known)} labels, {len(fitted.classes_)} classes{_known(accuracy)}"
    session.finish(result, text)


def predict(
    session: Session,
    where: DatasetChoice,
    model: Annotated[Path, typer.Option(help="What `train` wrote", show_default=False)],
    output: Annotated[
        Path,
        typer.Option(help="File for the predictions: .csv, .jsonl or .parquet", show_default=False),
    ],
    how: EmbedChoice,
) -> None:
    """Predict the class of every item.

    Writes path, label, confidence and the probability of each class.
    """
    from ..active import check_spec
    from ..active import predict as predict_items
    from ..embedding import EmbedOptions
    from ..labels import table_format

    table_format(output)
    check_spec(model, EmbedOptions(**asdict(how)))
    embeddings = session.embed(where, how)
    prediction = predict_items(embeddings, model)
    _write(output, prediction)
    result = {
        "accuracy": prediction.accuracy,
        "items": len(prediction.ids),
        "output": str(output),
    }
    session.finish(result, f"{output}: {len(prediction.ids)} items{_known(prediction.accuracy)}")


def _known(accuracy: float | None) -> str:
    return "" if accuracy is None else f", accuracy {accuracy:.4f} on items not trained on"


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
