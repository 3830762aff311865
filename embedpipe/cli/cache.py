"""Commands ``cache list``, ``verify``, ``gc``, ``drop`` and ``forget``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._text import printable
from ..errors import DamagedFileError
from .session import Session

if TYPE_CHECKING:
    from ..cache import Problem

__all__ = ["drop", "forget", "gc", "list_", "verify"]

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="List what would be removed, and remove nothing")
]


def list_(session: Session) -> None:
    """List the cache: a line for each combination of backbone, preprocessing and precision."""
    from ..cache import list_specs

    specs = list_specs(session.workspace)
    lines = [
        f"{spec['spec_id'][:12]}  {spec['backbone']}  {_options_of(spec)}{spec['precision']}  "
        f"{spec['dim']} dims  {spec['rows']} rows  {spec['bytes'] / 1e6:.1f} MB  "
        f"{spec['failed']} failed"
        for spec in specs
    ]
    text = "\n".join(lines) or f"the cache in {session.workspace} is empty"
    session.finish({"specs": specs}, text)


def _options_of(spec: dict[str, Any]) -> str:
    size = spec["image_size"]
    options = [] if size is None else [f"{size[0]} x {size[1]} pixels"]
    if spec["pooling"]:
        options.append(f"{spec['pooling']} pooling")
    if spec["views"] != "none":
        options.append(spec["views"])
    return "".join(f"{option}  " for option in options)


def verify(session: Session) -> None:
    """Verify all files of the cache. The exit status is 1 if a file is damaged."""
    from ..cache import verify as find_problems

    problems = find_problems(session.workspace)
    text = _lines(problems)
    session.finish({"problems": _rows(problems)}, text or "no file is damaged")
    if problems:
        damaged = "1 file is" if len(problems) == 1 else f"{len(problems)} files are"
        raise DamagedFileError(
            f"{damaged} damaged. Run `embedpipe cache gc` to remove damaged files; the next "
            "`embed` computes them again."
        )


def gc(
    session: Session,
    matrices: Annotated[
        bool,
        typer.Option(
            "--matrices", help="Also remove all matrices; they are made again when needed"
        ),
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Remove damaged, temporary and unused files.

    A matrix is unused if no dataset has its list of items any more. An index is unused if it was
    not read for 30 days. Files in use by another process are not removed.
    """
    from ..cache import collect_garbage

    garbage = collect_garbage(session.workspace, matrices=matrices, dry_run=dry_run)
    rows = [{**row, "bytes": each.size} for row, each in zip(_rows(garbage), garbage, strict=True)]
    total = sum(row["bytes"] for row in rows)
    lines = [
        printable(f"{row['path']}: {row['reason']} ({_megabytes(row['bytes'])})") for row in rows
    ]
    if rows:
        lines.append(f"{_megabytes(total)} {'would be removed' if dry_run else 'removed'}")
    result = {"removed": rows, "bytes": total, "dry_run": dry_run}
    session.finish(result, "\n".join(lines) or "nothing to remove")


def drop(
    session: Session,
    spec: Annotated[
        str, typer.Option(help="Id of the spec, or its first characters", show_default=False)
    ],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Remove the vectors, failures and matrices of a spec.

    `embed` makes computed vectors again; imported vectors must be imported again. `cache list`
    shows the specs. Asks for confirmation, unless --yes is given.
    """
    from ..cache import drop_spec, find_spec

    found = find_spec(session.workspace, spec)
    name = f"{found.spec_id[:12]}  {found.backbone or 'unreadable spec'}  {found.precision or '-'}"
    if not dry_run:
        _confirm(session, f"Remove {name}, {_megabytes(found.size)}?", yes)
        drop_spec(session.workspace, found)
    result = {
        "spec_id": found.spec_id,
        "removed": [str(folder) for folder in found.folders],
        "bytes": found.size,
        "dry_run": dry_run,
    }
    verb = "would be removed" if dry_run else "removed"
    session.finish(result, f"{name}: {_megabytes(found.size)} {verb}")


def forget(
    session: Session,
    image: Annotated[
        str,
        typer.Argument(
            metavar="PATH|CONTENT_ID",
            help="Path or address of the image, its id in a dataset, or the hexadecimal SHA-256 of "
            "its bytes. The file may be deleted already",
            show_default=False,
        ),
    ],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Erase an image from the workspace: vectors, failures, labels, runs, pages and thumbnails.

    All copies with the same bytes are erased. Asks for confirmation, unless --yes is given. The
    result also lists remaining data that this command cannot erase, such as the image file. Stop
    other commands in the workspace first.
    """
    from ..erasure import find_image
    from ..erasure import forget as erase

    found = find_image(session.workspace, image)
    if not dry_run:
        places = ", ".join(f"{printable(path)} in {dataset}" for dataset, path in found.items[:3])
        _confirm(session, f"Erase {places or image} from {session.workspace}?", yes)
    erased = erase(session.workspace, found, dry_run=dry_run)
    result = {
        "content_ids": [content_id.hex() for content_id in found.content_ids],
        "items": [{"dataset": dataset, "id": path} for dataset, path in found.items],
        "rewritten": [str(path) for path in erased.rewritten],
        "removed": [str(path) for path in erased.removed],
        "label_events": erased.label_events,
        "remaining": [{"path": path, "reason": reason} for path, reason in erased.remaining],
        "dry_run": dry_run,
    }
    would = "would be " if dry_run else ""
    lines = [f"{path}: {would}rewritten without the image" for path in erased.rewritten]
    lines += [f"{path}: {would}removed" for path in erased.removed]
    if erased.label_events:
        lines.append(f"{session.workspace.labels}: {erased.label_events} events {would}cleared")
    lines += [f"REMAINS {path}: {reason}" for path, reason in erased.remaining]
    session.finish(
        result, "\n".join(map(printable, lines)) or "the workspace contains no data of this image"
    )


def _confirm(session: Session, question: str, yes: bool) -> None:
    """Ask for confirmation; raise `UsageError` if it is refused or there is no terminal."""
    from ..errors import UsageError

    if yes:
        return
    if session.common.json or not sys.stdin.isatty():
        raise UsageError(f"{question} Give --yes to confirm, or --dry-run for a list.")
    if not typer.confirm(question, err=True):
        raise UsageError("nothing was removed.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _rows(problems: list[Problem]) -> list[dict[str, Any]]:
    return [{"path": str(problem.path), "reason": problem.reason} for problem in problems]


def _lines(problems: list[Problem]) -> str:
    return "\n".join(printable(f"{problem.path}: {problem.reason}") for problem in problems)
