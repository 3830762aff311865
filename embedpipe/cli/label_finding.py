"""Finding the workspace and the labels of a dataset, also after its folder was moved.

The labels of a dataset are stored under its name, which contains a digest of its path. A workspace
that has labels under this name is found wherever the command runs. After a move, the dataset has
another name. Labels under the earlier name are found by the content of the images. They are used if
the user agrees, on the terminal or with ``--labels-from``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .._text import printable
from .._urls import is_url, public_url
from .._workspace import DEFAULT_NAME, Workspace
from ..errors import LabelError, UsageError
from .known_workspaces import KnownWorkspace, known_workspaces, remember_workspace
from .options import DatasetWithLabels

if TYPE_CHECKING:
    from .._options import DatasetOptions
    from ..datasets import Dataset
    from ..embedding.scan import Scan
    from ..labels import LabelLog
    from ..labels.other_datasets import OtherLabels

__all__ = ["FoundLabels", "locate", "recorded_workspaces", "remember"]


@dataclass(frozen=True)
class FoundLabels:
    """Labels of the dataset's images under the name of another dataset."""

    other: OtherLabels
    workspace: Workspace
    root: str | None  # last known path of the other dataset

    def as_json(self) -> dict[str, Any]:
        """Return the entry of ``labels_found`` in the result."""
        return {
            "dataset": self.other.dataset,
            "root": self.root,
            "workspace": str(self.workspace),
            "labels": self.other.labels,
        }

    def __str__(self) -> str:
        place = self.other.dataset if self.root is None else _shown(self.root)
        noun = "label" if self.other.labels == 1 else "labels"
        return f"{self.other.labels} {noun} found for these images (from `{place}`)."

    def is_at(self, path: str | None) -> bool:
        """Return whether `path` leads to the folder or file of the other dataset."""
        with contextlib.suppress(OSError):  # an address, or one does not exist any more
            return bool(path and self.root and Path(path).samefile(self.root))
        return path is not None and path == self.root and is_url(path)

    def is_moved_to(self, path: str | None) -> bool:
        """Return whether the other dataset moved to `path`: `root` is missing, or leads there."""
        root = self.root
        is_elsewhere = root is not None and (is_url(root) or Path(root).exists())
        return self.other.is_moved and (not is_elsewhere or self.is_at(path))


class Command(Protocol):
    """The methods of a `Session` that the search needs."""

    workspace: Workspace
    refused_labels: bool

    @property
    def has_default_workspace(self) -> bool: ...

    def scan(self, dataset: Dataset, *, store: bool = True) -> Scan: ...

    def ask(self, question: str) -> bool | None: ...

    def remark(self, text: str) -> None: ...

    def note_labels_found(self, found: Sequence[FoundLabels]) -> None: ...


def locate(session: Command, dataset: Dataset, data: DatasetOptions) -> None:
    """Choose the workspace of a session for a dataset, and find the labels of its images."""
    known, path = known_workspaces(), _path_of(data)
    places = [session.workspace]
    if path is not None and session.has_default_workspace:
        places += [*_beside(path), *recorded_workspaces(dataset)]
    place = next((each for each in places if _has_items(each, dataset.name)), None)
    session.workspace = place or session.workspace
    has_labels = place is not None
    if isinstance(data, DatasetWithLabels) and not dataset.listed:
        finder = _Finder(session, dataset, path, known)
        has_labels = finder.run(data.labels_from, has_labels)
    if has_labels:
        remember(session, dataset, data)


def remember(session: Command, dataset: Dataset, data: DatasetOptions) -> None:
    """Add the session's workspace, which has a label log, to the list of workspaces."""
    if session.refused_labels:
        _keep_apart(session, dataset)
    path = _path_of(data)
    if path is not None:
        remember_workspace(KnownWorkspace(dataset.name, _root(path), str(session.workspace)))


def _keep_apart(session: Command, dataset: Dataset) -> None:
    """Store that a dataset has only its own labels."""
    with _log_of(session.workspace) as log:
        log.link(dataset.name, dataset.name)


def recorded_workspaces(dataset: Dataset) -> list[Workspace]:
    """Return the workspaces in which a dataset was labelled under its name, the newest first."""
    return [
        Workspace(each.workspace) for each in known_workspaces() if each.dataset == dataset.name
    ]


def _path_of(data: DatasetOptions) -> str | None:
    """Return the path or address of a folder, archive or manifest; None for names and lists."""
    from ..datasets import datasets

    names = [data.dataset] if isinstance(data.dataset, str) else data.dataset
    path = os.path.expanduser(names[0])  # noqa: PTH111  as `load_dataset`
    if len(names) != 1 or names[0] in datasets:
        return None
    if _is_address(path):
        return public_url(path)
    return path if Path(path).exists() else None


def _is_address(text: str) -> bool:
    return is_url(text) and not Path(text).exists()  # as `load_dataset`


def _root(path: str) -> str:
    """Return an absolute path without links, or an address without its signature."""
    if _is_address(path):
        return public_url(path)
    return os.path.realpath(path)


@dataclass(frozen=True)
class _Finder:
    """The search for labels of a dataset's images under other names."""

    session: Command
    dataset: Dataset
    path: str | None
    known: list[KnownWorkspace]

    def run(self, labels_from: str, has_labels: bool) -> bool:
        """Find other labels, and use them if `labels_from` or the user allows it.

        `has_labels` is whether the dataset has labels before the search. Return whether it has
        labels after it.
        """
        name, workspace = self.dataset.name, self.session.workspace
        if labels_from == "none":
            if _is_linked(workspace, name):
                with _log_of(workspace) as log:
                    log.link(name, name)
                    return log.has_items(name)
            return has_labels
        if has_labels:
            self._check_has_no_labels(labels_from)
            return True
        if labels_from == "ask" and _is_linked(workspace, name):
            return False
        found = self._found()
        chosen = self._named(labels_from, found) if labels_from not in ("ask", "auto") else None
        if chosen is None and found:
            is_same = found[0].is_at(self.path) and os.access(found[0].workspace.labels, os.W_OK)
            is_sure = labels_from == "auto" or is_same
            chosen = found[0] if is_sure or self._is_agreed(found) else None
        if chosen is not None:
            self._use(chosen)
        return chosen is not None

    def _check_has_no_labels(self, labels_from: str) -> None:
        """Refuse the labels of another dataset if the dataset has labels of its own."""
        name = self.dataset.name
        if labels_from in ("ask", "auto"):
            return
        with _log_of(self.session.workspace) as log:
            stored = log.dataset_of(name)
        if stored not in _names(labels_from):
            raise UsageError(
                f"--labels-from {labels_from}: {stored!r} has labels already. Export the labels of "
                "the other dataset with `embedpipe labels export`, and import them here."
            )

    def _found(self) -> list[FoundLabels]:
        """Return the labels of these images in all known workspaces, most labels first."""
        from ..labels.other_datasets import find_labels

        found: list[FoundLabels] = []
        items: dict[str, bytes | None] | None = None
        for workspace in self._workspaces():
            with contextlib.suppress(LabelError), _log_of(workspace) as log:
                if not log.labelled_contents(limit=1):
                    continue
                items = self._items() if items is None else items
                for other in find_labels(log, self.dataset.name, items):
                    root = self._root_of(log, other.dataset)
                    found.append(FoundLabels(other, workspace, root))
        return sorted(found, key=lambda each: -each.other.labels)

    def _workspaces(self) -> Iterator[Workspace]:
        """Yield each workspace with a label log once: of the session, beside the path, listed."""
        beside = _beside(self.path) if self.path is not None else []
        listed = (Workspace(each.workspace) for each in self.known)
        places = {each.root: each for each in (self.session.workspace, *beside, *listed)}
        yield from filter(_has_log, places.values())

    def _items(self) -> dict[str, bytes | None]:
        scanned = self.session.scan(self.dataset, store=False)
        ids = [item.id for item in self.dataset.items]
        return dict(zip(ids, scanned.content_ids.to_pylist(), strict=True))

    def _root_of(self, log: LabelLog, dataset: str) -> str | None:
        """Return the last known path of a dataset, or of a dataset that is linked to it."""
        for each in self.known:
            is_here = Workspace(each.workspace).labels == log.path
            if is_here and log.dataset_of(each.dataset) == dataset:
                return each.root
        return None

    def _named(self, labels_from: str, found: list[FoundLabels]) -> FoundLabels:
        """Return the labels of the dataset whose name or former path is `labels_from`."""
        root = _root(os.path.expanduser(labels_from))  # noqa: PTH111
        for each in found:
            if each.other.dataset in _names(labels_from) or each.root == root:
                return each
        others = ", ".join(each.other.dataset for each in found)
        raise LabelError(
            f"--labels-from {labels_from}: no labels of these images under that name. "
            + (f"Labels are under: {others}." if found else "No other dataset has labels of them.")
        )

    def _is_agreed(self, found: list[FoundLabels]) -> bool:
        """Ask whether to use the labels, and remember a refusal."""
        answer = self.session.ask(f"{found[0]} Use them?")
        if answer is None:
            self.session.note_labels_found(found)
            self.session.remark(f"{found[0]} Use them with --labels-from auto.")
        self.session.refused_labels = answer is False
        if answer is False and _has_log(self.session.workspace):
            _keep_apart(self.session, self.dataset)
        return bool(answer)

    def _use(self, found: FoundLabels) -> None:
        """Link the dataset to the other one, or copy the labels if both may change separately."""
        from ..labels.other_datasets import copy_labels

        session, name, other = self.session, self.dataset.name, found.other.dataset
        if session.has_default_workspace:
            session.workspace = found.workspace
        session.note_labels_found([found])
        same_log = session.workspace.root == found.workspace.root
        with _log_of(session.workspace) as log:
            if same_log and found.is_moved_to(self.path):
                log.link(name, other)
            elif same_log:
                copy_labels(log, other, log, name, self._items())
            else:
                with _log_of(found.workspace) as source:
                    copy_labels(source, other, log, name, self._items())
        session.remark(f"{found} They are used.")


def _beside(path: str) -> list[Workspace]:
    """Return the default workspaces inside and beside a folder or file; none for an address."""
    if _is_address(path):
        return []
    real = Path(os.path.realpath(path))
    return [Workspace(folder / DEFAULT_NAME) for folder in (real, real.parent)]


def _names(labels_from: str) -> tuple[str, str]:
    """Return both readings of --labels-from: as a dataset's name, and as its path or address."""
    from ..datasets.dataset import address_name, path_name

    path = os.path.expanduser(labels_from)  # noqa: PTH111
    return labels_from, address_name(path) if _is_address(path) else path_name(path)


def _shown(path: str) -> str:
    """Return a path relative to the current folder, if it is inside."""
    if is_url(path):
        return printable(path)
    inside = os.path.relpath(path)
    return printable(path if inside.startswith(os.pardir) else inside)


def _log_of(workspace: Workspace) -> LabelLog:
    from ..labels import LabelLog

    return LabelLog(workspace.labels)


def _has_log(workspace: Workspace) -> bool:
    with contextlib.suppress(OSError):
        return workspace.labels.is_file()
    return False


def _has_items(workspace: Workspace, dataset: str) -> bool:
    """Return whether a workspace has labels of a dataset; false if its log cannot be read."""
    if _has_log(workspace):
        with contextlib.suppress(LabelError), _log_of(workspace) as log:
            return log.has_items(dataset)
    return False


def _is_linked(workspace: Workspace, dataset: str) -> bool:
    if _has_log(workspace):
        with contextlib.suppress(LabelError), _log_of(workspace) as log:
            return log.is_linked(dataset)
    return False
