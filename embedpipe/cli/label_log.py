"""The label log of the workspace, as commands read it."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import LabelError
from .session import Session

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..embedding import Embeddings
    from ..labels import Current, Matched

__all__ = [
    "classes_of_log",
    "content_of",
    "labels_of_items",
    "labels_of_log",
    "logged",
    "login_name",
]


def login_name() -> str | None:
    """Return the name of the person at the keyboard, None where the system knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None


def content_of(session: Session, dataset: Dataset) -> dict[str, bytes | None]:
    """Return the content id of each item by its path; what is unchanged is not read again."""
    from ..embedding.scan import scan

    with session.progress() as progress:
        scanned = scan(dataset, session.workspace, progress)
    session.remark_vanished(scanned.vanished)
    ids = [item.id for item in dataset.items]
    return dict(zip(ids, scanned.content_ids.to_pylist(), strict=True))


def classes_of_log(session: Session, dataset: Dataset) -> list[str]:
    """Return the names of a dataset's classes in the label log."""
    from ..labels import LabelLog

    if not session.workspace.labels.exists():
        return []
    with LabelLog(session.workspace.labels) as log:
        return log.classes(dataset.name)


def labels_of_log(
    session: Session, embeddings: Embeddings, *, required: bool = True
) -> dict[str, str]:
    """Return the labels of the label log by path: no skips, none of files edited since."""
    ids = [item.id for item in embeddings.items]
    content = dict(zip(ids, embeddings.content_ids, strict=True))
    said = logged(session, embeddings.dataset.name, content, required=required)
    return {path: current.label for path, current in said.items() if current.label is not None}


def labels_of_items(
    session: Session, dataset: Dataset, labels: Mapping[str, str]
) -> dict[str, str]:
    """Return the labels of a file by the ids of items; say how paths were rewritten."""
    from ..labels import PathResolver, resolve_labels
    from ..labels.matching import format_rewritten

    if not labels:
        return {}
    found, rewritten = resolve_labels(labels, PathResolver.of(dataset))
    if rewritten:
        session.remark(f"{format_rewritten(rewritten)}.")
    return found


def logged(
    session: Session,
    dataset: str,
    content: Mapping[str, bytes | None],
    *,
    required: bool = True,
) -> dict[str, Current]:
    """Return the current labels of a dataset's items, by path; `content` has their content ids.

    It is an error if labels are `required` and the log has never had one of this dataset.
    """
    from ..labels import LabelLog

    path = session.workspace.labels
    matched = None
    if path.exists():
        with LabelLog(path) as log:
            matched = log.current_for(dataset, content)
    if matched is None or not (matched.current or matched.edited or matched.ambiguous):
        if not required:
            return {}
        raise LabelError(
            f"{path} has no labels of {dataset!r}: label with `embedpipe label`, or bring some "
            "in with `embedpipe labels import`."
        )
    _remark_doubts(session, matched)
    return {path: now for path, now in matched.current.items() if now.kind != "clear"}


def _remark_doubts(session: Session, matched: Matched) -> None:
    """Say which labels are left out because it is not certain that they are of these images."""
    if matched.edited:
        session.remark(
            f"{len(matched.edited)} changed since they were labelled, and left out: "
            f"{next(iter(matched.edited))!r}, for one; look at them again."
        )
    if matched.ambiguous:
        session.remark(
            f"{len(matched.ambiguous)} new copies of images that have several labels, and left "
            f"out: {next(iter(matched.ambiguous))!r}, for one; label them."
        )
