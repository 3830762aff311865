"""Folder names as classes: the option, the question to the user, and the remembered answer."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .._files import write_atomically
from .._options import ASK
from .._text import printable
from .._workspace import Workspace
from ..errors import UsageError

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..datasets.dataset import FolderLabels

__all__ = ["FolderAnswers"]

SHOWN = 3
"""Maximum number of folder names in a message."""


class FolderAnswers:
    """The user's answers to the question whether folder names are classes.

    `remark` writes a remark. Without `may_ask`, no question is asked.
    """

    def __init__(self, remark: Callable[[str], None], *, may_ask: bool) -> None:
        self._remark, self._may_ask = remark, may_ask
        self._new: dict[str, bool] = {}  # answers that are not stored yet, by dataset

    def apply(self, workspace: Workspace, dataset: Dataset, option: Any, *, asks: bool) -> Dataset:
        """Return a dataset with its folder names as labels, or without them.

        The option decides. Without the option, the stored answer decides; without an answer, the
        layout. If the layout is doubtful, the user is asked, but only if `asks` is true.
        """
        from ..datasets.files import with_folder_labels

        found = dataset.folder_labels
        if found is None:
            return dataset
        if isinstance(option, bool):
            self._new[dataset.name] = option
            return dataset
        answer = None if option == ASK else _stored(workspace, dataset.name)
        if answer is None and (option == ASK or (asks and found.doubt is not None)):
            answer = self._asked(found, option)
            if answer is not None:
                self._new[dataset.name] = answer
        return dataset if answer in (None, found.used) else with_folder_labels(dataset, answer)

    def store(self, workspace: Workspace, dataset: str) -> None:
        """Store the answer for a dataset, if there is a new one."""
        answer = self._new.pop(dataset, None)
        if answer is not None:
            with contextlib.suppress(OSError):  # in a read-only workspace, the question is repeated
                content = json.dumps({"folder_labels": answer}).encode()
                write_atomically(_file(workspace, dataset), content)

    def _asked(self, found: FolderLabels, option: Any) -> bool | None:
        """Ask the user, or write a remark and return None."""
        question = f"Are the folder names {_listed(found)} the classes of the images?"
        interactive = self._may_ask and sys.stdin.isatty()
        if option == ASK and not interactive:
            raise UsageError(f"{question} Give --folder-labels yes or no.")
        if option == ASK or (interactive and not found.mixed):
            return typer.confirm(printable(question), err=True)
        self._remark(
            f"Folder names ({_listed(found)}) are not read as classes: {found.doubt}. "
            "--folder-labels yes reads them."
        )
        return None


def _stored(workspace: Workspace, dataset: str) -> bool | None:
    try:
        answer = json.loads(_file(workspace, dataset).read_bytes())["folder_labels"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return answer if isinstance(answer, bool) else None


def _file(workspace: Workspace, dataset: str) -> Path:
    return workspace.dataset_folder(dataset) / "folder_labels.json"


def _listed(found: FolderLabels) -> str:
    more = len(found.names) - SHOWN
    return ", ".join(found.names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
