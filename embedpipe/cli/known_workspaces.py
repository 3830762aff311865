"""The list of workspaces with labels, a file in the user's data folder.

The file only helps to find labels again. A command continues without it if it is damaged or cannot
be read or written.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from .._files import locked, write_atomically
from .._urls import is_url
from .._workspace import data_folder

__all__ = ["KnownWorkspace", "known_workspaces", "list_file", "remember_workspace"]

MAX_ENTRIES = 1000
"""Maximum number of entries; the oldest are removed."""


@dataclass(frozen=True)
class KnownWorkspace:
    """A workspace with labels of a dataset."""

    dataset: str  # name of the dataset
    root: str  # absolute path or address of its folder, archive or manifest
    workspace: str  # absolute path or address of the workspace


def list_file() -> Path | None:
    """Return the path of the list; None if the user has no home folder."""
    folder = data_folder()
    return None if folder is None else folder / "workspaces.jsonl"


def known_workspaces() -> list[KnownWorkspace]:
    """Return the entries of the list, the newest first."""
    path = list_file()
    with contextlib.suppress(OSError, ValueError):
        if path is not None:
            return list(dict.fromkeys(_entries(path.read_bytes())))[::-1]
    return []


def remember_workspace(entry: KnownWorkspace) -> None:
    """Add an entry to the list as the newest."""
    path = list_file()
    known = known_workspaces()
    if path is None or (known and known[0] == entry):
        return
    with contextlib.suppress(OSError, ValueError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        with locked(path.parent):
            others = [each for each in reversed(known_workspaces()) if each != entry]
            entries = [*others, entry][-MAX_ENTRIES:]
            write_atomically(path, "".join(map(_line, entries)).encode(), mode=0o600)


def _line(entry: KnownWorkspace) -> str:
    return f"{json.dumps(asdict(entry))}\n"


def _entries(content: bytes) -> Iterator[KnownWorkspace]:
    """Yield the entries of the lines that are valid."""
    for line in content.splitlines():
        with contextlib.suppress(ValueError, TypeError):
            entry = KnownWorkspace(**json.loads(line))
            texts = (entry.dataset, entry.root, entry.workspace)
            are_valid = all(isinstance(text, str) and text and "\0" not in text for text in texts)
            if are_valid and _is_place(entry.root) and _is_place(entry.workspace):
                yield entry


def _is_place(text: str) -> bool:
    return is_url(text) or Path(text).is_absolute()
