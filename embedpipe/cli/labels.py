"""Commands ``labels import`` and ``labels export``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import LabelError
from .exporting import FormatName, export
from .label_log import content_of, login_name
from .options import DatasetChoice
from .session import Session, command

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..labels import Event
    from ..labels.exchange import Labelled

__all__ = ["register"]


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
    form: FormatName,
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
    strip_prefix: Annotated[
        str,
        typer.Option(
            help="Folders that the file's paths begin with and the dataset's do not, such as "
            "data/photos",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Take labels over into the label log: all of a file, or nothing.

    What is said already is not said again, so a file may be imported twice. Skips and unsure
    answers are kept; predictions of a model are not labels.
    """
    from ..labels import LabelLog, Matched
    from ..labels.exchange import formats, news

    answers = [item for item in formats[form].read(file) if item.label or item.status != "label"]
    answers = _without(strip_prefix, answers)
    dataset = session.load(where)
    found, unknown = _of_dataset(answers, dataset, skip_unknown)
    if not found:
        known = Matched({}, {}, {}, {})
        events: list[Event] = []
    else:
        content = content_of(session, dataset)
        with LabelLog(session.workspace.labels) as log:
            known = log.current_for(dataset.name, content)
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


def _without(prefix: str, items: Sequence[Labelled]) -> list[Labelled]:
    """Return the items with their paths as they go on behind a prefix."""
    from dataclasses import replace

    from ..labels.exchange.entries import check_items

    folders = f"{prefix.strip('/')}/"
    stripped = [replace(item, path=item.path.removeprefix(folders)) for item in items]
    check_items(stripped)  # two paths may have become one
    return stripped


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
            what = (
                "with --skip-unknown, the others are"
                if found
                else "--strip-prefix takes off folders with which the file's paths begin"
            )
            raise LabelError(f"{error} Nothing was imported; {what}.") from None
    return found, len(items) - len(found)
