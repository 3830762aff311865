"""What is asked in a round, kept so that a killed annotation goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .._files import write_atomically
from ..errors import RunError

__all__ = ["Pick", "Plan", "read_plan", "write_plan"]


@dataclass(frozen=True)
class Pick:
    """An item to ask for.

    Attributes
    ----------
    path
        Which.
    label, confidence
        What the head says it is and with what probability; None before there is a head.
    """

    path: str
    label: str | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class Plan:
    """What is asked in a round. What was answered is in the label log, not here.

    Attributes
    ----------
    settings
        Of the annotation; with others it is another one.
    started
        Id of the last event in the log when the annotation began.
    round
        From 1; 0 while there are not two classes.
    model
        Name of the head that chose; None in round 0.
    picks
        What to ask.
    """

    settings: Mapping[str, Any]
    started: int
    round: int
    model: str | None
    picks: tuple[Pick, ...]


def write_plan(path: Path, plan: Plan) -> None:
    """Keep a plan, whole or not at all."""
    try:
        write_atomically(path, json.dumps(asdict(plan), ensure_ascii=False).encode())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}.") from error


def read_plan(path: Path, settings: Mapping[str, Any]) -> Plan | None:
    """Return the plan that was kept; None if there is none with these settings.

    Raises
    ------
    RunError
        If the file is damaged.
    """
    try:
        kept = json.loads(path.read_bytes())
        plan = Plan(**{**kept, "picks": tuple(Pick(**pick) for pick in kept["picks"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(
            f"{path} cannot be read as what an annotation left: remove it. The labels are not in "
            "it; they stay."
        ) from error
    return plan if plan.settings == settings else None
