"""Labels for the commands: of the label log, of a file, or of the dataset itself."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LabelError, UnmatchedError
from .options import LabelSource
from .session import Session

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..embedding import Embeddings
    from ..labels import Current, Matched

__all__ = [
    "DATASET",
    "LOG",
    "GivenLabels",
    "KnownLabels",
    "classes_of_log",
    "content_of",
    "current_labels",
    "login_name",
    "require_labels",
    "true_labels",
    "with_corrections",
    "with_true_labels",
]

LOG, FILE, DATASET, BOTH = "log", "file", "dataset", "log and dataset"
"""Values of ``label_source``."""

_DECLINED = {"accept": "accepted", "skip": "skipped"}
"""Words for kinds of events of declined items; the other kinds are words already."""

_PHRASES = {
    LOG: "from the label log",
    FILE: "from the label file",
    DATASET: "of the dataset",
    BOTH: "from the label log and of the dataset",
}


@dataclass(frozen=True)
class KnownLabels:
    """The labels of items with a vector, and where they came from.

    `declined` are the items that a person has seen but not labelled (skipped, unsure or accepted),
    with the kind of their event.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    declined: Mapping[str, str] = field(default_factory=dict)

    def format_declined(self) -> str:
        """Return a clause with the number of declined items by kind; blank without any."""
        counts = Counter(_DECLINED.get(kind, kind) for kind in self.declined.values())
        return "".join(f"; {count:,} {kind}" for kind, count in sorted(counts.items()))

    def facts(self) -> dict[str, Any]:
        """Return the source and the number of the labels for JSON."""
        return {"label_source": self.source, "labelled": len(self.labels)}

    def __str__(self) -> str:
        noun = "label" if len(self.labels) == 1 else "labels"
        origin = f" {_PHRASES[self.source]}" if self.source and self.labels else ""
        return f"{len(self.labels):,} {noun}{origin}"


class GivenLabels:
    """The option ``--labels`` of a command; a label file is read at once."""

    def __init__(self, session: Session, given: LabelSource) -> None:
        from ..labels import read_labels

        self._session, self._given = session, given
        self._choice = None if given.labels is None else str(given.labels)
        self._read: dict[str, str] | None = None
        if self._choice not in (None, DATASET, "none"):
            self._read = read_labels(Path(str(self._choice)))

    def known(self, embeddings: Embeddings) -> KnownLabels | None:
        """Return the labels of the option; None without the option."""
        if self._choice is None:
            return None
        if self._read is not None:
            return self._of_file(embeddings, self._read)
        own = {} if self._choice == "none" else _own_labels(embeddings)
        return KnownLabels(own, DATASET if own else None)

    def or_log(self, embeddings: Embeddings, *, required: bool = False) -> KnownLabels:
        """Return the labels of the option; without the option, those of the label log."""
        known = self.known(embeddings)
        return _labels_of_log(self._session, embeddings, required) if known is None else known

    def check_log(self, dataset: Dataset) -> None:
        """Raise `LabelError` before the embedding if labels of the log are needed and missing."""
        if self._choice is None:
            require_labels(self._session, dataset)

    def for_training(self, embeddings: Embeddings) -> KnownLabels:
        """Return the labels of `or_log`, without own labels of test and validation images."""
        known = self.or_log(embeddings, required=True)
        if known.source != DATASET:
            return known
        held_out = {item.id for item in embeddings.items if item.split in ("test", "validation")}
        kept = {path: label for path, label in known.labels.items() if path not in held_out}
        return KnownLabels(kept, DATASET)

    def or_true(self, embeddings: Embeddings) -> KnownLabels:
        """Return the labels of the option; without the option, the true labels."""
        known = self.known(embeddings)
        return true_labels(self._session, embeddings) if known is None else known

    def _of_file(self, embeddings: Embeddings, labels: Mapping[str, str]) -> KnownLabels:
        found = self._of_items(embeddings.dataset, labels)
        readable = {item.id for item in embeddings.items}
        unreadable = [path for path in found if path not in readable]
        if unreadable:
            self._session.remark(
                f"left out labels of unreadable images: {len(unreadable)}, such as "
                f"{unreadable[0]!r}."
            )
        return KnownLabels({path: found[path] for path in found if path in readable}, FILE)

    def _of_items(self, dataset: Dataset, labels: Mapping[str, str]) -> dict[str, str]:
        """Return labels by item id, and remark on rewritten and unknown paths."""
        from ..datasets.path_messages import format_rewritten
        from ..labels import PathResolver, resolve_labels, rows_for

        if not labels:
            return {}
        found, rewritten = resolve_labels(labels, PathResolver.of(dataset))
        if rewritten:
            self._session.remark(f"{format_rewritten(rewritten)}.")
        ids = [item.id for item in dataset.items]
        unknown = found.keys() - set(ids)
        if unknown and not self._given.skip_unknown:
            try:
                rows_for(found, ids)
            except LabelError as error:
                some = len(unknown) < len(found)
                hint = " --skip-unknown leaves these labels out." if some else ""
                raise UnmatchedError(f"{error}{hint}", matched=some) from None
        if unknown:
            self._session.remark(
                f"left out labels of images that are not in the dataset: {len(unknown)}, such as "
                f"{min(unknown)!r}."
            )
        return {path: label for path, label in found.items() if path not in unknown}


def true_labels(session: Session, embeddings: Embeddings) -> KnownLabels:
    """Return the labels of the log, and the dataset's own labels of the other images.

    If the two have no class in common, the labels of the log are returned alone.
    """
    own, logged = _own_labels(embeddings), _labels_of_log(session, embeddings)
    if not logged.labels:
        return KnownLabels(own, DATASET if own else None)
    if not own or own.keys() <= logged.labels.keys():
        return logged
    if set(own.values()).isdisjoint(logged.labels.values()):
        session.remark(
            f"The label log ({_some(logged.labels)}) and the dataset's own labels ({_some(own)}) "
            "have no class in common: only the labels of the log are used."
        )
        return logged
    return KnownLabels({**own, **logged.labels}, BOTH)


def with_true_labels(session: Session, embeddings: Embeddings) -> tuple[Embeddings, KnownLabels]:
    """Return the embeddings with their `true_labels`."""
    known = true_labels(session, embeddings)
    if known.source == DATASET or not known.labels:
        return embeddings, known
    return embeddings.with_labels(known.labels), known


def with_corrections(session: Session, embeddings: Embeddings) -> Embeddings:
    """Return the embeddings; labels of the log replace the dataset's own labels of their images."""
    own = _own_labels(embeddings)
    logged = _labels_of_log(session, embeddings).labels if own else {}
    corrected = {item: logged.get(item, label) for item, label in own.items()}
    return embeddings if corrected == own else embeddings.with_labels(corrected)


def _own_labels(embeddings: Embeddings) -> dict[str, str]:
    return {item.id: item.label for item in embeddings.items if item.label is not None}


def _labels_of_log(session: Session, embeddings: Embeddings, required: bool = False) -> KnownLabels:
    """Return the labels of the label log, without labels of edited and damaged files."""
    ids = [item.id for item in embeddings.items]
    content = dict(zip(ids, embeddings.content_ids, strict=True))
    found = current_labels(session, embeddings.dataset.name, content, required=required)
    accepted = sum(now.kind == "accept" for now in found.values())
    if required and accepted:
        session.remark(
            f"left out accepted suggestions: {accepted}; only labels of a person are used."
        )
    labels = {
        path: now.label
        for path, now in found.items()
        if now.kind == "label" and now.label is not None
    }
    declined = {path: now.kind for path, now in found.items() if path not in labels}
    return KnownLabels(labels, LOG if labels else None, declined)


def _some(labels: Mapping[str, str]) -> str:
    """Return up to three classes as text."""
    names = sorted(set(labels.values()))
    return ", ".join([*names[:3], *(["…"] if names[3:] else [])])


def login_name() -> str | None:
    """Return the login name of the user, or None if the system has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None


def content_of(session: Session, dataset: Dataset) -> dict[str, bytes | None]:
    """Return the content ids of items by path; unchanged files are not read again."""
    scanned = session.scan(dataset)
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


def require_labels(session: Session, dataset: Dataset) -> None:
    """Raise `LabelError` before the embedding if the log has no labels of a dataset."""
    from ..labels import LabelLog

    path = session.workspace.labels
    if path.exists():
        with LabelLog(path) as log:
            if log.has_items(dataset.name):
                return
    raise _no_labels(path, dataset.name)


def _no_labels(log: Path, dataset: str) -> LabelError:
    return LabelError(
        f"{log} has no labels of {dataset!r}: label with `embedpipe label`, or import labels "
        "with `embedpipe labels import`."
    )


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
        raise _no_labels(path, dataset)
    _remark_doubts(session, matched)
    return {path: now for path, now in matched.current.items() if now.kind != "clear"}


def _remark_doubts(session: Session, matched: Matched) -> None:
    """Remark on labels that are left out: their image changed, or has copies with other labels."""
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
