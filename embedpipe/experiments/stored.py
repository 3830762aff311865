"""What is on disk of a run: read without its matrix, its problem or its head."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from .._files import count_rows, read_parquet, write_atomically
from .._loops.files import damaged

__all__ = ["Stored", "mark_ended", "read_rounds", "stored_of"]

ROUNDS, ENDED = "rounds.parquet", "ended.json"


@dataclass(frozen=True)
class Stored:
    """How far a run has come.

    Attributes
    ----------
    rounds
        How many rounds there are, the initial selection among them.
    ended
        Whether nothing is left that its strategy may choose.
    """

    rounds: int
    ended: bool

    def is_enough_for(self, rounds: int) -> bool:
        """Whether there is nothing to do for so many rounds after the initial selection."""
        return self.rounds > rounds or self.ended


def stored_of(folder: Path) -> Stored:
    """Return how far the run in a folder has come; not at all if there is none."""
    try:
        rounds = count_rows(folder / ROUNDS)
    except (FileNotFoundError, NotADirectoryError):
        return Stored(0, ended=False)
    except (pa.ArrowException, OSError) as error:
        raise damaged(folder, error) from error
    return Stored(rounds, _ended_after(folder) == rounds)


def mark_ended(folder: Path, rounds: int) -> None:
    """Remember that a run ends after so many rounds, because nothing is left to choose."""
    write_atomically(folder / ENDED, json.dumps({"rounds": rounds}).encode())


def _ended_after(folder: Path) -> int | None:
    try:
        rounds: int = json.loads((folder / ENDED).read_bytes())["rounds"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return rounds


def read_rounds(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Return the rounds of a run up to round `rounds`, oldest first, as they were written.

    Raises
    ------
    RunError
        If the file is damaged.
    """
    try:
        table = read_parquet(folder / ROUNDS)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (pa.ArrowException, OSError) as error:
        raise damaged(folder, error) from error
    rows: list[dict[str, Any]] = table.slice(0, rounds + 1).to_pylist()
    return rows
