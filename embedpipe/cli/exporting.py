"""Command ``labels export``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from .label_log import content_of, logged
from .options import DatasetChoice, EmbedChoice
from .session import Session

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..labels import Current
    from ..labels.exchange import Format, Labelled

__all__ = ["FORMATS", "FormatName", "export"]

FORMATS = (
    "csv, jsonl, parquet, imagefolder, huggingface, lightly, lightly-predictions, label-studio, "
    "fiftyone or cvat"
)

FormatName = Annotated[str, typer.Option("--format", "-f", help=FORMATS, show_default=False)]

_LISTING = ("fiftyone", "label-studio", "lightly")
"""Formats in which an item without a label has a place."""


def export(
    session: Session,
    where: DatasetChoice,
    form: FormatName,
    output: Annotated[Path, typer.Option(help="The file or folder to write", show_default=False)],
    how: EmbedChoice,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="What `predict` wrote, for the formats that hold predictions", show_default=False
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Also items without a label: tasks of label-studio, _unlabeled/ of fiftyone",
        ),
    ] = False,
    link: Annotated[
        bool,
        typer.Option("--link", help="Symbolic links to the images of a folder, not copies"),
    ] = False,
    image_url: Annotated[
        str | None,
        typer.Option(
            help="What comes before the path in the address of an image, for label-studio "
            "[default: /data/local-files/?d=FOLDER/]",
            show_default=False,
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="A class to choose from in label-studio, beside those of the log; may be repeated",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the labels of the label log in a format of another program.

    Labels follow files that were moved or renamed; a file that was edited since has none. The
    backbone matters to lightly alone, which holds the vectors of all items.
    """
    from ..labels.exchange import formats

    format_ = formats[form]
    _check_export(format_, everything, link, image_url, classes or ())
    guesses = _read_predictions(predictions) if predictions else {}
    options: dict[str, Any] = {}
    if form == "lightly":
        embeddings = session.embed(where, how)
        dataset, options["embeddings"] = embeddings.dataset, embeddings.matrix
        ids = [item.id for item in embeddings.items]
        content: Mapping[str, bytes | None] = dict(zip(ids, embeddings.content_ids, strict=True))
    else:
        dataset = session.load(where)
        content = content_of(session, dataset)
    whole = everything or form == "lightly"
    said = logged(session, dataset.name, content, required=not (whole or guesses))
    items = [_labelled(path, said.get(path), guesses.get(path)) for path in content]
    if not whole:
        items = [item for item in items if not item.says_nothing]
    if form == "label-studio":
        options = _options_of_tasks(session, dataset, classes or (), image_url)
    if link:
        options["link_to"] = _linked(dataset)
    open_image = None if link else dataset.source.read_one
    format_.write(output, items, open_image, existing=content, **options)
    held = [item for item in items if _holds(format_, item)]
    missing = Counter(item.status for item in items if not _holds(format_, item))
    text = f"{output}: {len(held)} items"
    for status in ("skip", "unsure"):
        text += f"; {missing[status]} {status} left out" if missing[status] else ""
    session.finish({"items": len(held), "output": str(output)}, text)


def _check_export(
    format_: Format, everything: bool, link: bool, image_url: str | None, classes: Sequence[str]
) -> None:
    """Refuse options that the format cannot heed."""
    name = format_.name
    if everything and name not in _LISTING:
        raise UsageError(
            f"--all: the format {name} has no place for items without a label; "
            f"{', '.join(_LISTING)} have."
        )
    if link and "link_to" not in format_.options:
        raise UsageError(f"--link: the format {name} cannot hold links to images.")
    if image_url and "image_url" not in format_.options:
        raise UsageError(f"--image-url: the format {name} holds no addresses of images.")
    if classes and "classes" not in format_.options:
        raise UsageError(f"--class: the format {name} holds no classes beside those of its items.")


def _read_predictions(path: Path) -> dict[str, Labelled]:
    """Return what a model predicts, by path, from a table that `predict` wrote."""
    from ..labels.exchange.entries import Entry, collect
    from ..labels.exchange.rows import table_rows

    rows = table_rows(path, ("path", "label", "confidence"), predictions=True)
    entries = (
        Entry(where, row["path"], prediction=row["label"], score=row["confidence"])
        for where, row in rows
    )
    return {item.path: item for item in collect(entries)}


def _labelled(path: str, now: Current | None, guess: Labelled | None) -> Labelled:
    from ..labels.exchange import Labelled

    prediction, score = (guess.prediction, guess.score) if guess else (None, None)
    if now is None:
        return Labelled(path, prediction=prediction, score=score)
    return Labelled(path, now.label, now.kind, prediction, score, now.by)


def _options_of_tasks(
    session: Session, dataset: Dataset, classes: Sequence[str], image_url: str | None
) -> dict[str, Any]:
    """Return the options of label-studio, having said how it comes to show the images."""
    from ..labels import LabelLog
    from ..labels.exchange import local_files_url, serving

    options: dict[str, Any] = {"classes": list(classes)}
    if session.workspace.labels.exists():
        with LabelLog(session.workspace.labels) as log:
            options["classes"] += log.classes(dataset.name)
    folder = dataset.source.folder
    if image_url is None and folder is not None:
        session.remark(serving(folder))
        image_url = local_files_url(folder)
    elif image_url is None:
        session.remark(
            f"The images of {dataset.name!r} are not files in a folder, of which Label Studio can "
            "show them: unpack them, and say with --image-url what comes before their paths."
        )
    return options | ({"image_url": image_url} if image_url else {})


def _linked(dataset: Dataset) -> Path:
    """Return the folder that links lead to."""
    folder = dataset.source.folder
    if folder is None:
        raise UsageError(
            f"--link: the images of {dataset.name!r} are not files in a folder; leave it out."
        )
    return folder


def _holds(format_: Format, item: Labelled) -> bool:
    """Return whether anything of the item is in an export."""
    return (
        item.is_sure
        or format_.name in _LISTING
        or item.status in format_.carries
        or (item.prediction is not None and "prediction" in format_.carries)
    )
