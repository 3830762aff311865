"""Reads the files of a run without its matrix, problem or head."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from .._files import count_rows, read_parquet, write_atomically
from .._loops.runs import damaged_run

__all__ = [
    "Stored",
    "count_experiences",
    "mark_ended",
    "picks_digests",
    "read_experiences",
    "read_rounds",
    "stored_of",
]

ROUNDS, PICKS, ENDED = "rounds.parquet", "picks.parquet", "ended.json"
EXPERIENCES = "experiences.parquet"


@dataclass(frozen=True)
class Stored:
    """The stored part of an active-learning run."""

    rounds: int
    """Number of rounds, including the first batch."""
    ended: bool
    """Whether the run ended because the strategy had no candidates left."""


def stored_of(folder: Path) -> Stored:
    """Return the stored part of the run in a folder; 0 rounds if there is no run."""
    rounds = _count(folder, ROUNDS)
    return Stored(rounds, rounds > 0 and _ended_after(folder) == rounds)


def mark_ended(folder: Path, rounds: int) -> None:
    """Record that a run ends after this number of rounds, with no candidates left."""
    write_atomically(folder / ENDED, json.dumps({"rounds": rounds}).encode())


def read_rounds(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Return the rounds of a run up to round `rounds`, oldest first; empty if there is no run."""
    return _read(folder, ROUNDS)[: rounds + 1]


def picks_digests(folder: Path, data: str) -> dict[int, str]:
    """Return a digest of the picks of each round, equal for equal images in any order.

    `data` distinguishes matrices whose rows have no item ids.
    """
    picked: dict[int, list[str]] = {}
    for pick in _read(folder, PICKS):
        name = f"{data} {pick['row']}" if pick["id"] is None else pick["id"]
        picked.setdefault(pick["round"], []).append(name)
    return {
        number: hashlib.sha256(json.dumps(sorted(names)).encode()).hexdigest()[:16]
        for number, names in picked.items()
    }


def count_experiences(folder: Path) -> int:
    """Return the number of experiences of a continual run; 0 if there is no run."""
    return _count(folder, EXPERIENCES)


def read_experiences(folder: Path) -> list[dict[str, Any]]:
    """Return the experiences of a run, oldest first; empty if there is no run."""
    return _read(folder, EXPERIENCES)


def _count(folder: Path, name: str) -> int:
    try:
        return count_rows(folder / name)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (pa.ArrowException, OSError) as error:
        raise damaged_run(folder, error) from error


def _read(folder: Path, name: str) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = read_parquet(folder / name).to_pylist()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (pa.ArrowException, OSError) as error:
        raise damaged_run(folder, error) from error
    return rows


def _ended_after(folder: Path) -> int | None:
    try:
        rounds: int = json.loads((folder / ENDED).read_bytes())["rounds"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return rounds
