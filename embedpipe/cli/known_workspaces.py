"""The list of workspaces with labels, a file in the user's data folder.

The file only helps to find labels again. A command continues without it if it is damaged or cannot
be read or written.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from .._files import locked, write_atomically

__all__ = ["KnownWorkspace", "known_workspaces", "list_file", "remember_workspace"]

MAX_ENTRIES = 1000
"""Maximum number of entries; the oldest are removed."""


@dataclass(frozen=True)
class KnownWorkspace:
    """A workspace with labels of a dataset."""

    dataset: str  # name of the dataset
    root: str  # absolute path of its folder, archive or manifest
    workspace: str  # absolute path of the workspace


def list_file() -> Path | None:
    """Return the path of the list; None if the user has no home folder."""
    given = os.environ.get("XDG_DATA_HOME", "")
    if sys.platform == "win32":
        given = given or os.environ.get("LOCALAPPDATA", "")
    with contextlib.suppress(RuntimeError):  # there is no home folder
        is_given = Path(given).is_absolute()
        folder = Path(given) if is_given else Path.home() / ".local" / "share"
        return folder / "embedpipe" / "workspaces.jsonl"
    return None


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
            if are_valid and Path(entry.root).is_absolute() and Path(entry.workspace).is_absolute():
                yield entry
