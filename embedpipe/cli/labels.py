"""Commands ``labels import`` and ``labels export``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UnmatchedError, UsageError
from .exporting import FormatName, export
from .label_log import classes_of_log, content_of, login_name
from .options import DatasetChoice
from .session import Session, command

if TYPE_CHECKING:
    from ..labels import Event
    from ..labels.matching import Counted

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
    control: Annotated[
        str | None,
        typer.Option(
            help="The control of Label Studio that holds the class [default: choice, or the only "
            "one]",
            show_default=False,
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="A class that is not in the label log yet, where a folder might be a class or "
            "not; may be repeated",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Take labels over into the label log: all of a file, or nothing.

    What is said already is not said again, so a file may be imported twice. Skips and unsure
    answers are kept; predictions of a model are not labels. Paths may be spelled as other programs
    do: the result says how many were rewritten, and why entries were left out.
    """
    from ..labels import LabelLog, PathResolver
    from ..labels.exchange import formats, new_events

    format_ = formats[form]
    if control is not None and "control" not in format_.read_options:
        raise UsageError(f"--control: the format {form} has no controls; leave it out.")
    dataset = session.load(where)
    known = {*(classes or ()), *classes_of_log(session, dataset)}
    resolver = PathResolver.of(dataset, classes=known, strip_prefix=strip_prefix)
    options = {} if control is None else {"control": control}
    try:
        reading = format_.read_for(file, resolver, skip_unknown=skip_unknown, **options)
    except UnmatchedError as error:
        hint = (
            "With --skip-unknown, the others are."
            if error.matched
            else "--strip-prefix takes off folders with which the file's paths begin."
        )
        raise UnmatchedError(f"{error} {hint}", error.matched) from None
    events: list[Event] = []
    replaced = 0
    if reading.items:
        content = content_of(session, dataset)
        with LabelLog(session.workspace.labels) as log:
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
    text = f"{session.workspace.labels}: {len(events)} imported, {unchanged} already so"
    text += f"; {replaced} replace what was said before" if replaced else ""
    text += f"; {reading.summary()}"
    told = [text, *filter(None, [reading.rewritten_summary()]), *reading.notes]
    session.finish(result, "\n".join(told))


def _counted(kinds: Mapping[str, Counted]) -> list[dict[str, Any]]:
    """Return counts of entries by kind for JSON."""
    return [{"what": kind, **asdict(counted)} for kind, counted in kinds.items()]
