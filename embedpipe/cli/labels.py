"""Commands ``labels import`` and ``labels export``."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import LabelError, UsageError
from .options import DatasetChoice, EmbedChoice
from .session import Session, command

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..embedding import Embeddings
    from ..labels import Current, Event, Matched
    from ..labels.exchange import Format, Labelled

__all__ = ["FORMATS", "labels_of_log", "logged", "login_name", "register"]

FORMATS = (
    "csv, jsonl, parquet, imagefolder, huggingface, lightly, lightly-predictions, label-studio, "
    "fiftyone or cvat"
)

_LISTING = ("fiftyone", "label-studio", "lightly")
"""Formats in which an item without a label has a place."""

_Format = Annotated[str, typer.Option("--format", "-f", help=FORMATS, show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(help="Bring labels in and out.", no_args_is_help=True)
    command(group, "import")(import_)
    command(group, "export")(export)
    app.add_typer(group, name="labels")


def import_(
    session: Session,
    where: DatasetChoice,
    file: Annotated[Path, typer.Argument(help="The file or folder", show_default=False)],
    form: _Format,
    who: Annotated[
        str | None,
        typer.Option(
            help="Who labelled [default: whom the file names, else your login name]",
            show_default=False,
        ),
    ] = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out paths that the dataset has not")
    ] = False,
) -> None:
    """Take labels over into the label log: all of a file, or nothing.

    What is said already is not said again, so a file may be imported twice. Skips and unsure
    answers are kept; predictions of a model are not labels.
    """
    from ..labels import LabelLog, Matched
    from ..labels.exchange import formats, news

    answers = [item for item in formats[form].read(file) if item.label or item.status != "label"]
    dataset = session.load(where)
    found, unknown = _of_dataset(answers, dataset, skip_unknown)
    if not found:
        known = Matched({}, {}, {}, {})
        events: list[Event] = []
    else:
        content = _content(session, dataset)
        with LabelLog(session.workspace.labels) as log:
            known = log.current_for(dataset.name, {item.path: content[item.path] for item in found})
            events = news(found, dataset.name, content, known, who=who, default=login_name())
            log.append(events)
    replaced = sum(
        event.path in known.current and known.current[event.path].kind != "clear"
        for event in events
    )
    result = {
        "items": len(events),
        "unchanged": len(found) - len(events),
        "replaced": replaced,
        "unknown": unknown,
        "output": str(session.workspace.labels),
    }
    text = f"{session.workspace.labels}: {len(events)} imported, {result['unchanged']} already so"
    text += f"; {replaced} replace what was said before" if replaced else ""
    text += f"; {unknown} not in the dataset" if unknown else ""
    session.finish(result, text)


def export(
    session: Session,
    where: DatasetChoice,
    form: _Format,
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
            "[default: /data/local-files/?d=]",
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
    _check_export(format_, everything, link, image_url)
    guesses = _read_predictions(predictions) if predictions else {}
    options: dict[str, Any] = {}
    if form == "lightly":
        embeddings = session.embed(where, how)
        dataset, options["embeddings"] = embeddings.dataset, embeddings.matrix
        ids = [item.id for item in embeddings.items]
        content: Mapping[str, bytes | None] = dict(zip(ids, embeddings.content_ids, strict=True))
    else:
        dataset = session.load(where)
        content = _content(session, dataset)
    said = logged(session, dataset.name, content)
    items = [_labelled(path, said.get(path), guesses.get(path)) for path in content]
    if not (everything or form == "lightly"):
        items = [item for item in items if not item.says_nothing]
    if form == "label-studio":
        options |= {"classes": _classes(session, dataset.name)}
        options |= {"image_url": image_url} if image_url else {}
    if link:
        options["link_to"] = _folder_of(dataset)
    format_.write(output, items, None if link else dataset.source.read_one, **options)
    held = [item for item in items if _holds(format_, item)]
    missing = Counter(item.status for item in items if not _holds(format_, item))
    text = f"{output}: {len(held)} items"
    for status in ("skip", "unsure"):
        text += f"; {missing[status]} {status} left out" if missing[status] else ""
    session.finish({"items": len(held), "output": str(output)}, text)


def login_name() -> str | None:
    """Return the name of the person at the keyboard, None where the system knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None


def labels_of_log(
    session: Session, embeddings: Embeddings, *, required: bool = True
) -> dict[str, str]:
    """Return the labels of the label log by path: no skips, none of files edited since.

    Raises
    ------
    LabelError
        If they are `required` and nothing was ever said of the dataset.
    """
    ids = [item.id for item in embeddings.items]
    content = dict(zip(ids, embeddings.content_ids, strict=True))
    said = logged(session, embeddings.dataset.name, content, required=required)
    return {path: current.label for path, current in said.items() if current.label is not None}


def logged(
    session: Session,
    dataset: str,
    content: Mapping[str, bytes | None],
    *,
    required: bool = True,
) -> dict[str, Current]:
    """Return what the label log says of a dataset's items of today, by path.

    Parameters
    ----------
    session
        Whose workspace has the log.
    dataset
        The dataset's name.
    content
        The content id of each item by its path.
    required
        Whether it is an error if nothing was ever said of the dataset.

    Raises
    ------
    LabelError
        If nothing was, and something is required.
    """
    from ..labels import LabelLog

    path = session.workspace.labels
    matched = None
    if path.exists():
        with LabelLog(path) as log:
            matched = log.current_for(dataset, content)
    if matched is None or not (matched.current or matched.edited or matched.ambiguous):
        if not required:
            return {}
        raise LabelError(
            f"{path} has no labels of {dataset!r}: label with `embedpipe label`, or bring some "
            "in with `embedpipe labels import`."
        )
    _remark_doubts(session, matched)
    return {path: now for path, now in matched.current.items() if now.kind != "clear"}


def _remark_doubts(session: Session, matched: Matched) -> None:
    """Say which labels are left out because it is not certain that they are of these images."""
    if matched.edited:
        session.remark(
            f"{len(matched.edited)} changed since they were labelled, and left out: "
            f"{next(iter(matched.edited))!r}, for one; look at them again."
        )
    if matched.ambiguous:
        session.remark(
            f"{len(matched.ambiguous)} new copies of images that have several labels, and left "
            f"out: {next(iter(matched.ambiguous))!r}, for one; label them."
        )


def _of_dataset(
    items: Sequence[Labelled], dataset: Dataset, skip_unknown: bool
) -> tuple[list[Labelled], int]:
    """Return the items that the dataset has, and the number of others."""
    from ..labels import rows_for

    ids = {item.id for item in dataset.items}
    found = [item for item in items if item.path in ids]
    if len(found) < len(items) and not skip_unknown:
        try:
            rows_for({item.path: item.status for item in items}, [i.id for i in dataset.items])
        except LabelError as error:
            raise LabelError(
                f"{error} Nothing was imported; with --skip-unknown, the others are."
            ) from None
    return found, len(items) - len(found)


def _content(session: Session, dataset: Dataset) -> dict[str, bytes | None]:
    """Return the content id of each item by its path; what is unchanged is not read again."""
    from ..embedding.scan import scan

    with session.progress() as progress:
        scanned = scan(dataset, session.workspace.items_of(dataset.name), progress)
    ids = [item.id for item in dataset.items]
    return dict(zip(ids, scanned.content_ids.to_pylist(), strict=True))


def _check_export(format_: Format, everything: bool, link: bool, image_url: str | None) -> None:
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


def _read_predictions(path: Path) -> dict[str, Labelled]:
    """Return what a model predicts, by path, from a table that `predict` wrote."""
    from ..labels import table_format
    from ..labels.exchange.entries import Entry, collect
    from ..labels.exchange.rows import csv_rows, jsonl_rows, parquet_rows

    readers = {".csv": csv_rows, ".jsonl": jsonl_rows, ".parquet": parquet_rows}
    rows = readers[table_format(path)](path, ("path", "label", "confidence"))
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


def _classes(session: Session, dataset: str) -> list[str]:
    from ..labels import LabelLog

    with LabelLog(session.workspace.labels) as log:
        return log.classes(dataset)


def _folder_of(dataset: Dataset) -> Path:
    """Return the folder that holds the images."""
    from ..datasets.folder import FolderSource
    from ..datasets.identifiers import decode_id

    if not isinstance(dataset.source, FolderSource):
        raise UsageError(
            f"--link: the images of {dataset.name!r} are not files in a folder; leave it out."
        )
    return Path(decode_id(dataset.source.location))


def _holds(format_: Format, item: Labelled) -> bool:
    """Return whether anything of the item is in an export."""
    return (
        item.is_sure
        or format_.name in _LISTING
        or item.status in format_.carries
        or (item.prediction is not None and "prediction" in format_.carries)
    )
