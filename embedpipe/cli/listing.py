"""Command ``list``."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import UnknownNameError
from .session import Session, command

__all__ = ["register"]

KINDS = ("datasets", "backbones", "strategies", "heads", "policies")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "list")(list_)


def list_(
    session: Session,
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS), show_default=False)],
) -> None:
    """List what there is, a line each."""
    entries = describe(kind)
    width = max(map(len, entries), default=0)
    lines = [f"{name:<{width}}  {text}" for name, text in entries.items()]
    rows = [{"name": name, "description": text} for name, text in entries.items()]
    session.finish({kind: rows}, "\n".join(lines) or f"no {kind} yet")


def describe(kind: str) -> dict[str, str]:
    """Return the names of a kind of thing, with a line on each.

    Raises
    ------
    UnknownNameError
        If there is no such kind.
    """
    if kind == "datasets":
        from ..datasets import datasets

        return datasets.describe()
    if kind == "backbones":
        from ..backbones import backbones

        return backbones.describe()
    if kind == "strategies":
        from ..strategies import strategies

        return strategies.describe()
    if kind == "heads":
        from ..heads import heads

        return heads.describe()
    if kind == "policies":
        from ..continual import policies

        return policies.describe()
    raise UnknownNameError("list", kind, KINDS)
