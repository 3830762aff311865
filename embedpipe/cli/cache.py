"""Commands ``cache list``, ``cache verify`` and ``cache gc``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._text import printable
from .session import Session, command

if TYPE_CHECKING:
    from ..cache import Problem

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(help="Look after the cache.", no_args_is_help=True)
    command(group, "list")(list_)
    command(group, "verify")(verify)
    command(group, "gc")(gc)
    app.add_typer(group, name="cache")


def list_(session: Session) -> None:
    """List what the cache holds, a line for each backbone, preprocessing and precision."""
    from ..cache import list_specs

    specs = list_specs(session.workspace)
    lines = [
        f"{spec['spec_id'][:12]}  {spec['backbone']}  {spec['precision']}  {spec['dim']} dims  "
        f"{spec['rows']} rows  {spec['bytes'] / 1e6:.1f} MB  {spec['failed']} failed"
        for spec in specs
    ]
    text = "\n".join(lines) or f"the cache in {session.workspace.root} is empty"
    session.finish({"specs": specs}, text)


def verify(session: Session) -> None:
    """Check every bit of the cache; exit status 1 if something is wrong."""
    from ..cache import verify as find_problems

    problems = find_problems(session.workspace)
    text = _lines(problems)
    session.finish({"problems": _rows(problems)}, text or "every file is whole")
    if problems:
        raise typer.Exit(1)


def gc(
    session: Session,
    matrices: Annotated[
        bool, typer.Option("--matrices", help="Remove all matrices too: they come back when needed")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell")] = False,
) -> None:
    """Remove damaged files and what killed runs left over."""
    from ..cache import collect_garbage

    removed = collect_garbage(session.workspace, matrices=matrices, dry_run=dry_run)
    text = _lines(removed)
    session.finish({"removed": _rows(removed), "dry_run": dry_run}, text or "nothing to remove")


def _rows(problems: list[Problem]) -> list[dict[str, Any]]:
    return [{"path": str(problem.path), "reason": problem.reason} for problem in problems]


def _lines(problems: list[Problem]) -> str:
    return "\n".join(printable(f"{problem.path}: {problem.reason}") for problem in problems)
