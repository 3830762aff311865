"""Command ``list``: what is registered, by kind."""

from __future__ import annotations

import importlib
from typing import Annotated

import typer

from ..errors import UnknownNameError
from .session import Session, command

__all__ = ["register"]

KINDS = {
    "datasets": "datasets",
    "backbones": "backbones",
    "strategies": "strategies",
    "heads": "heads",
    "policies": "continual",
    "formats": "labels",
}
"""The registries, and where each of them is."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "list")(list_)


def list_(
    session: Session,
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS), show_default=False)],
) -> None:
    """List what there is, a line each."""
    if kind not in KINDS:
        raise UnknownNameError("list", kind, KINDS)
    registry = getattr(importlib.import_module(f"..{KINDS[kind]}", __package__), kind)
    entries: dict[str, str] = registry.describe()
    width = max(map(len, entries), default=0)
    lines = [f"{name:<{width}}  {text}" for name, text in entries.items()]
    rows = [{"name": name, "description": text} for name, text in entries.items()]
    session.finish({kind: rows}, "\n".join(lines) or f"no {kind} yet")
