"""Access of the commands to the label log of the workspace."""

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
    "current_labels",
    "labels_of_items",
    "labels_of_log",
    "login_name",
]


def login_name() -> str | None:
    """Return the login name of the user, or None if the system has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None


def content_of(session: Session, dataset: Dataset) -> dict[str, bytes | None]:
    """Return the content ids of items by path; unchanged files are not read again."""
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
    """Return the labels of the label log by path; skips and edited files are left out."""
    ids = [item.id for item in embeddings.items]
    content = dict(zip(ids, embeddings.content_ids, strict=True))
    found = current_labels(session, embeddings.dataset.name, content, required=required)
    return {path: current.label for path, current in found.items() if current.label is not None}


def labels_of_items(
    session: Session, dataset: Dataset, labels: Mapping[str, str]
) -> dict[str, str]:
    """Return the labels of a file by item id, and remark on rewritten paths."""
    from ..labels import PathResolver, resolve_labels
    from ..labels.matching import format_rewritten

    if not labels:
        return {}
    found, rewritten = resolve_labels(labels, PathResolver.of(dataset))
    if rewritten:
        session.remark(f"{format_rewritten(rewritten)}.")
    return found


def current_labels(
    session: Session,
    dataset: str,
    content: Mapping[str, bytes | None],
    *,
    required: bool = True,
) -> dict[str, Current]:
    """Return the current labels of a dataset's items by path, given their content ids.

    Raises `LabelError` if labels are `required` and the log has no event of this dataset.
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
            f"{path} has no labels of {dataset!r}: label with `embedpipe label`, or import labels "
            "with `embedpipe labels import`."
        )
    _remark_doubts(session, matched)
    return {path: now for path, now in matched.current.items() if now.kind != "clear"}


def _remark_doubts(session: Session, matched: Matched) -> None:
    """Remark on labels that are left out, because their image changed or is not certain."""
    if matched.edited:
        session.remark(
            f"left out labels of images that changed after labelling: {len(matched.edited)}, such "
            f"as {next(iter(matched.edited))!r}; label them again."
        )
    if matched.ambiguous:
        session.remark(
            f"left out new copies of images with several labels: {len(matched.ambiguous)}, such as "
            f"{next(iter(matched.ambiguous))!r}; label them."
        )
