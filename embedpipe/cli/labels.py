"""Commands ``labels import`` and ``labels export``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UnmatchedError, UsageError
from .label_finding import remember
from .label_log import classes_of_log, content_of, current_labels, login_name, require_labels
from .options import DatasetWithLabels, Embed, EmbedArguments
from .session import Session
from .train import MinConfidence, format_left_out, predicted_by

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..datasets.path_messages import Counted
    from ..labels import Current, Event, Format, Labelled

__all__ = ["export", "import_"]

BY_PREDICTION = "by_prediction"
"""Option of formats that sort images without a label by their predicted class."""

FormatName = Annotated[
    str,
    typer.Option(
        "--format",
        "-f",
        help="Registered name of the format, such as csv, imagefolder or label-studio (see "
        "`embedpipe list formats`)",
        show_default=False,
    ),
]


def import_(
    session: Session,
    data: DatasetWithLabels,
    file: Annotated[Path, typer.Argument(help="File or folder to import", show_default=False)],
    form: FormatName,
    who: Annotated[
        str | None,
        typer.Option(
            help="Name of the annotator [default: the name in the file, else your login name]",
            show_default=False,
        ),
    ] = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out paths that are not in the dataset")
    ] = False,
    strip_prefix: Annotated[
        str,
        typer.Option(
            help="Leading folders to remove from the paths of the file, such as data/photos",
            show_default=False,
        ),
    ] = "",
    control: Annotated[
        str | None,
        typer.Option(
            help="Name of the Label Studio control with the class [default: `choice`, or the only "
            "control]",
            show_default=False,
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="New class with a folder of this name, for formats in which not every folder is a "
            "class; may be repeated",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Import the labels of a file into the label log. After an error, no label is imported.

    Labels that are in the log already are not added again. Skips and unsure answers are imported;
    predictions are not. Paths that another program wrote are rewritten to paths of the dataset. The
    result contains the number of rewritten paths, and the reasons for entries that were left out.
    """
    from ..labels import LabelLog, PathResolver
    from ..labels.exchange import formats, new_events

    format_ = formats[form]
    if control is not None and "control" not in format_.read_options:
        raise UsageError(f"--control: the format {form} has no controls; leave the option out.")
    dataset = session.load(data)
    known = {*(classes or ()), *classes_of_log(session, dataset)}
    resolver = PathResolver.of(dataset, classes=known, strip_prefix=strip_prefix)
    options = {} if control is None else {"control": control}
    try:
        reading = format_.read_for(file, resolver, skip_unknown=skip_unknown, **options)
    except UnmatchedError as error:
        hint = (
            "--skip-unknown imports the other labels."
            if error.matched
            else "--strip-prefix removes leading folders from the paths of the file."
        )
        raise UnmatchedError(f"{error} {hint}", error.matched) from None
    events: list[Event] = []
    replaced = 0
    if reading.items:
        content = content_of(session, dataset)
        with LabelLog(session.workspace.labels) as log:
            remember(session, dataset, data)
            before = log.current_for(dataset.name, content)
            events = new_events(
                reading.items, dataset.name, content, before, who=who, default=login_name()
            )
            log.append(events)
        replaced = sum(
            event.path in before.current and before.current[event.path].kind != "clear"
            for event in events
        )
    unchanged = len(reading.items) - len(events)
    result = {
        "items": len(events),
        "unchanged": unchanged,
        "replaced": replaced,
        "unknown": reading.unknown,
        "entries": reading.entries,
        "taken": reading.taken,
        "left_out": _counted(reading.left_out),
        "rewritten": _counted(reading.rewritten),
        "notes": reading.notes,
        "output": str(session.workspace.labels),
    }
    text = f"{session.workspace.labels}: {len(events)} imported, {unchanged} unchanged"
    text += f"; {replaced} replace earlier labels" if replaced else ""
    text += f"; {reading.summary()}"
    lines = [text, *filter(None, [reading.rewritten_summary()]), *reading.notes]
    session.finish(result, "\n".join(lines))


def _counted(kinds: Mapping[str, Counted]) -> list[dict[str, Any]]:
    """Return counts of entries by kind for JSON."""
    return [{"what": kind, **asdict(counted)} for kind, counted in kinds.items()]


def export(
    session: Session,
    data: DatasetWithLabels,
    form: FormatName,
    output: Annotated[Path, typer.Option(help="File or folder to write", show_default=False)],
    embed_options: EmbedArguments,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Model of `train`, or output of `predict`: also export predictions. imagefolder "
            "sorts the images without a label by their predicted class",
            show_default=False,
        ),
    ] = None,
    min_confidence: MinConfidence = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Include items without a label, in the formats label-studio and fiftyone",
        ),
    ] = False,
    link: Annotated[
        bool,
        typer.Option("--link", help="Write symbolic links to the images instead of copies"),
    ] = False,
    image_url: Annotated[
        str | None,
        typer.Option(
            help="Prefix of the images' addresses, for label-studio [default: "
            "/data/local-files/?d=FOLDER/]",
            show_default=False,
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="Class that label-studio offers, besides the classes of the log; may be repeated",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Export the labels of the label log in a format of another program.

    Labels follow files that were moved or renamed; files that changed after labelling have no
    label. The backbone is used for the format lightly, which contains vectors, and for the
    predictions of a model.
    """
    from ..labels import formats

    format_ = formats[form]
    _check_export(format_, everything, link, image_url, classes or ())
    format_.check_path(output)  # before images are read
    if predictions is not None:
        _check_predictions(format_)
    elif min_confidence is not None:
        raise UsageError("--min-confidence needs --predictions.")
    found = _predictions(session, data, predictions, embed_options)
    limit = min_confidence or 0.0
    predicted = {path: each for path, each in found.items() if (each.score or 0.0) >= limit}
    options: dict[str, Any] = {}
    with_vectors = "embeddings" in format_.write_options
    with_unlabelled = everything or with_vectors
    required = not (with_unlabelled or predicted)
    dataset = session.load(data)
    if required:
        require_labels(session, dataset)
    if with_vectors:
        embeddings = session.embed(dataset, embed_options)
        options["embeddings"] = embeddings.matrix
        ids = [item.id for item in embeddings.items]
        content: Mapping[str, bytes | None] = dict(zip(ids, embeddings.content_ids, strict=True))
    else:
        content = content_of(session, dataset)
    current = current_labels(session, dataset.name, content, required=required)
    items = [_labelled(path, current.get(path), predicted.get(path)) for path in content]
    if not with_unlabelled:
        items = [item for item in items if not item.is_empty]
    if "classes" in format_.write_options:
        options["classes"] = [*(classes or ()), *classes_of_log(session, dataset)]
    if "image_url" in format_.write_options:
        options |= _address_of_images(session, dataset, image_url)
    if link:
        options["link_to"] = _linked(dataset)
    if predicted and BY_PREDICTION in format_.write_options:
        options[BY_PREDICTION] = True
    format_.write(
        output, items, None if link else dataset.source.read_one, existing=content, **options
    )
    exported = [item for item in items if _contains(format_, item)]
    missing = Counter(item.status for item in items if not _contains(format_, item))
    by_prediction = sum(item.is_only_predicted for item in exported)
    below = len(found.keys() - predicted.keys() - current.keys())
    text = f"{output}: {len(exported)} items{_parts(exported)}"
    for status in ("skip", "unsure"):
        text += f"; {missing[status]} {status} left out" if missing[status] else ""
    text += f"; {format_left_out(below, min_confidence)}" if below else ""
    result = {
        "items": len(exported),
        "predicted": by_prediction,
        "left_out": below,
        "output": str(output),
    }
    session.finish(result, text)


def _parts(exported: Sequence[Labelled]) -> str:
    """Return the numbers of exported items without a person's label, as text."""
    counts = {
        "only predicted": sum(item.is_only_predicted for item in exported),
        "accepted suggestions": sum(item.status == "accepted" for item in exported),
    }
    return "".join(f", {count} of them {kind}" for kind, count in counts.items() if count)


def _check_export(
    format_: Format, everything: bool, link: bool, image_url: str | None, classes: Sequence[str]
) -> None:
    """Refuse options that the format does not support."""
    from ..labels import formats

    name = format_.name
    if everything and not format_.holds_unlabelled:
        others = sorted(each for each in formats if formats[each].holds_unlabelled)
        raise UsageError(
            f"--all: the format {name} cannot contain items without a label; the formats "
            f"{', '.join(others)} can."
        )
    if link and "link_to" not in format_.write_options:
        raise UsageError(f"--link: the format {name} cannot contain links to images.")
    if image_url and "image_url" not in format_.write_options:
        raise UsageError(f"--image-url: the format {name} contains no addresses of images.")
    if classes and "classes" not in format_.write_options:
        raise UsageError(f"--class: the format {name} contains no list of classes.")


def _check_predictions(format_: Format) -> None:
    """Refuse predictions for a format that cannot contain them."""
    from ..labels import formats

    def holds(each: Format) -> bool:
        return "prediction" in each.carries or BY_PREDICTION in each.write_options

    if not holds(format_):
        others = sorted(name for name in formats if holds(formats[name]))
        raise UsageError(
            f"--predictions: the format {format_.name} cannot contain predictions; the formats "
            f"{', '.join(others)} can."
        )


def _predictions(
    session: Session, data: DatasetWithLabels, path: Path | None, embed_options: Embed
) -> dict[str, Labelled]:
    """Return the predictions of a model, or those of a table that `predict` wrote, by path."""
    from ..labels import Labelled
    from ..tables import SUFFIXES

    if path is None:
        return {}
    if path.suffix.lower() in SUFFIXES:
        return _read_predictions(path)
    _, found = predicted_by(session, data, path, embed_options, uses_classes=False)
    rows = zip(found.ids, found.labels.tolist(), found.confidences.tolist(), strict=True)
    return {
        item: Labelled(item, prediction=str(label), score=confidence)
        for item, label, confidence in rows
    }


def _read_predictions(path: Path) -> dict[str, Labelled]:
    """Return the predictions of a table that `predict` wrote, by path."""
    from ..labels import Entry
    from ..labels.exchange.reading import collect
    from ..labels.exchange.table_formats import table_rows

    rows = table_rows(path, ("path", "label", "confidence"), predictions=True)
    entries = (
        Entry(position, row["path"], prediction=row["label"], score=row["confidence"])
        for position, row in rows
    )
    return {item.path: item for item in collect(entries)}


def _labelled(path: str, current: Current | None, predicted: Labelled | None) -> Labelled:
    from ..labels import Labelled
    from ..labels.exchange.entries import status_of

    prediction, score = (predicted.prediction, predicted.score) if predicted else (None, None)
    if current is None:
        return Labelled(path, prediction=prediction, score=score)
    return Labelled(path, current.label, status_of(current), prediction, score, current.by)


def _address_of_images(session: Session, dataset: Dataset, image_url: str | None) -> dict[str, Any]:
    """Return the option ``image_url``, and remark on the setup of Label Studio."""
    from ..labels.exchange import local_files_url, serving_instructions

    folder = dataset.source.folder
    if image_url is None and folder is not None:
        session.remark(serving_instructions(folder))
        image_url = local_files_url(folder)
    elif image_url is None:
        session.remark(
            f"Label Studio cannot show the images of {dataset.name!r}, which are not files in a "
            "folder: unpack them, and give the prefix of their addresses with --image-url."
        )
    return {"image_url": image_url} if image_url else {}


def _linked(dataset: Dataset) -> Path:
    """Return the folder of the linked images."""
    folder = dataset.source.folder
    if folder is None:
        raise UsageError(
            f"--link: the images of {dataset.name!r} are not files in a folder; leave the option "
            "out."
        )
    return folder


def _contains(format_: Format, item: Labelled) -> bool:
    """Return whether an export contains the item."""
    return (
        item.is_sure
        or format_.holds_unlabelled
        or item.status in format_.carries
        or (item.prediction is not None and "prediction" in format_.carries)
        or (item.is_only_predicted and BY_PREDICTION in format_.write_options)
    )
