"""The report of `check`: its data and its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._text import isolated
from .pages import check_type, plural, write_page
from .picks import Pick
from .thumbnails import thumbnails_of

if TYPE_CHECKING:
    from ..checks import CheckResult, Imbalance
    from ..checks.duplicates import Rows
    from ..embedding import Embeddings

__all__ = [
    "ChecksData",
    "Finding",
    "FindingKind",
    "FindingMaker",
    "checks_of",
    "missing_classes",
    "write_checks",
]

MAX_FINDINGS, MAX_MEMBERS = 60, 12
"""Maximum number of findings of a kind, and of images of a group, on the page of `check`."""

MAX_MISSING = 10
"""Maximum number of classes that are named as missing in a split."""


@dataclass(frozen=True)
class Finding:
    """An image, or a group of images, with a line of text."""

    items: tuple[Pick, ...]
    text: str
    more: int = 0  # images of the group that are not on the page


@dataclass(frozen=True)
class FindingKind:
    """All findings of a kind."""

    name: str  # anchor of its section
    title: str
    note: str  # explanation
    count: int  # number of findings, including those not on the page
    findings: tuple[Finding, ...]  # the worst first
    not_checked: str | None = None  # reason for a missing check


@dataclass(frozen=True)
class ChecksData:
    """The data of a page of findings.

    Attributes
    ----------
    title, headline, facts, command
        Name of the dataset, the result in a few words, names and values below the headline, the
        command line.
    kinds
        Kinds of findings, in the order of the page.
    classes
        Name, number of images, size relative to the largest class, and whether the class is rare.
    missing
        A sentence on each split without images of some classes.
    failures
        Unreadable images and the reasons.
    source
        The result of `check`, for sections of other packages.
    """

    title: str
    headline: str
    facts: tuple[tuple[str, str], ...]
    kinds: tuple[FindingKind, ...]
    classes: tuple[tuple[str, int, float, bool], ...]
    missing: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    command: str | None = None
    source: Any = field(default=None, repr=False, compare=False)


def checks_of(
    embeddings: Embeddings, checked: CheckResult, *, command: str | None = None
) -> ChecksData:
    """Return the data of a page of findings; `checked` is from `check`."""
    maker = FindingMaker(embeddings, checked, MAX_FINDINGS, MAX_MEMBERS)
    shown = {embeddings.items[row].id for row in maker.rows()}
    kinds = maker.kinds(thumbnails_of(embeddings.dataset, sorted(shown)))
    found = sum(kind.count for kind in kinds) + len(checked.failures)
    counts = checked.imbalance.counts
    largest = max(counts.values(), default=1)
    return ChecksData(
        title=embeddings.dataset.name,
        headline=_headline(found, checked),
        facts=(
            ("images", f"{len(embeddings):,}"),
            *((kind.title, _counted(kind)) for kind in kinds),
            ("Unreadable", f"{len(checked.failures):,}"),
        ),
        kinds=kinds,
        classes=tuple(
            (name, count, count / largest, name in checked.imbalance.rare)
            for name, count in counts.items()
        ),
        missing=missing_classes(checked.imbalance),
        failures=tuple((failure.path, failure.error) for failure in checked.failures),
        command=command,
        source=checked,
    )


def missing_classes(imbalance: Imbalance) -> tuple[str, ...]:
    """Return a sentence on each split without images of some classes."""
    missing: dict[str, list[str]] = {}
    for split, label in imbalance.missing:
        missing.setdefault(split, []).append(isolated(label))
    return tuple(
        f"The {split} split has no image of {_classes(names)}." for split, names in missing.items()
    )


def _classes(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"class {names[0]}"
    named = ", ".join(names[:MAX_MISSING])
    more = f" and {len(names) - MAX_MISSING:,} more" if len(names) > MAX_MISSING else ""
    return f"{len(names):,} classes: {named}{more}"


def _headline(found: int, checked: CheckResult) -> str:
    if found:
        return f"{plural(found, 'finding')} to review"
    return no_problems(checked)


def no_problems(checked: CheckResult) -> str:
    """Return the statement that no problem was found, by which checks."""
    return "No problems found by these checks" if checked.not_checked else "No problems found"


def _counted(kind: FindingKind) -> str:
    if kind.not_checked is None:
        return f"{kind.count:,}"
    return f"not checked: {kind.not_checked}"


class FindingMaker:
    """Makes findings from rows: a maximum number of each kind, and of images of a group."""

    def __init__(
        self, embeddings: Embeddings, checked: CheckResult, max_findings: int, max_members: int
    ) -> None:
        self._items, self._checked = embeddings.items, checked
        self._max_findings, self._max_members = max_findings, max_members
        self._thumbnails: Mapping[str, bytes | None] = {}

    def rows(self) -> list[int]:
        """Return the rows of all images of the findings, with repetitions."""
        checked = self._checked
        groups = [checked.leakage, checked.duplicates, checked.near_duplicates.groups]
        alone = [checked.label_errors.rows, checked.outliers.rows, checked.blank, checked.tiny]
        rows = [row for each in alone for row in each[: self._max_findings].tolist()]
        for each in groups:
            for group in each[: self._max_findings]:
                rows += group[: self._max_members].tolist()
        return rows

    def kinds(self, thumbnails: Mapping[str, bytes | None]) -> tuple[FindingKind, ...]:
        """Return all kinds of findings; `thumbnails` are those of `rows` by id."""
        self._thumbnails = thumbnails
        checked = self._checked
        near = checked.near_duplicates
        how = (
            "Found by the vectors only; the pixels were not compared."
            if near.likeness_limit is None
            else "Both the vectors and the pixels of these images are unusually similar. Crops "
            "that remove up to a fifth of the width and height are found too."
        )
        return (
            self._kind(
                "label_errors",
                "Doubtful labels",
                "A model that was not trained on this label predicts another class with "
                f"confidence. Most confident first. {self._label_count()}",
                checked.label_errors.rows.size,
                self._label_errors(),
            ),
            self._kind(
                "leakage",
                "Leaks between splits",
                "The same image is in several splits, such as train and test, so the measured "
                "accuracy is too high.",
                len(checked.leakage),
                self._groups(checked.leakage, with_splits=True),
            ),
            self._kind(
                "duplicates",
                "Duplicate files",
                "Files with equal bytes.",
                len(checked.duplicates),
                self._groups(checked.duplicates),
            ),
            self._kind(
                "near_duplicates",
                "Near-duplicates",
                f"The same image with another compression, size or crop. {how}",
                len(near.groups),
                self._groups(near.groups),
            ),
            self._kind(
                "outliers",
                "Outliers",
                "Images that differ from all others. Largest difference first.",
                checked.outliers.rows.size,
                tuple(
                    self._alone(row, f"score {score:.2f}")
                    for row, score in zip(
                        checked.outliers.rows[: self._max_findings].tolist(),
                        checked.outliers.scores,
                        strict=False,
                    )
                ),
            ),
            self._kind(
                "blank",
                "Blank",
                "Images of one colour.",
                checked.blank.size,
                self._sized(checked.blank),
            ),
            self._kind(
                "tiny",
                "Tiny",
                f"Images whose shorter side has fewer than {checked.tiny_side or 0:.0f} pixels.",
                checked.tiny.size,
                self._sized(checked.tiny),
            ),
        )

    def _label_count(self) -> str:
        labelled = sum(label is not None for label in self._checked.labels)
        judged = self._checked.label_errors.judged
        rest = "" if judged == labelled else "; each other label is the only one of its class"
        return f"{judged:,} of {labelled:,} labels were checked{rest}."

    def _kind(
        self, name: str, title: str, note: str, count: int, findings: tuple[Finding, ...]
    ) -> FindingKind:
        return FindingKind(name, title, note, count, findings, self._checked.not_checked.get(name))

    def pick(self, row: int) -> Pick:
        """Return the image of a row with its label and thumbnail."""
        name = self._items[row].id
        return Pick(name, 0.0, self._checked.labels[row], self._thumbnails.get(name))

    def _alone(self, row: int, text: str) -> Finding:
        return Finding((self.pick(row),), text)

    def _label_errors(self) -> tuple[Finding, ...]:
        found = self._checked.label_errors
        columns = (found.rows[: self._max_findings].tolist(), found.given, found.suggested)
        return tuple(
            self._alone(row, f"{isolated(given)}, or {isolated(suggested)}?")
            for row, given, suggested in zip(*columns, strict=False)
        )

    def _groups(self, groups: Sequence[Rows], *, with_splits: bool = False) -> tuple[Finding, ...]:
        found = []
        for group in groups[: self._max_findings]:
            rows = group.tolist()
            labels = sorted({label for row in rows if (label := self._checked.labels[row])})
            text = plural(len(rows), "image")
            if with_splits:
                text += " in " + ", ".join(sorted({str(self._items[row].split) for row in rows}))
            if len(labels) > 1:
                text += ", with labels " + " and ".join(map(isolated, labels))
            picks = tuple(self.pick(row) for row in rows[: self._max_members])
            found.append(Finding(picks, text, max(0, len(rows) - self._max_members)))
        return tuple(found)

    def _sized(self, rows: Rows) -> tuple[Finding, ...]:
        sizes = self._checked.sizes
        if sizes is None:
            return ()
        some = rows[: self._max_findings].tolist()
        return tuple(self._alone(row, "{} × {}".format(*sizes[row].tolist())) for row in some)


def write_checks(path: str | Path, data: ChecksData) -> Path:
    """Write a page of findings, whole or not at all; `data` is from `checks_of`.

    Examples
    --------
    >>> data = ChecksData("shop", "No problems found", (("images", "12"),), (), (), (), ())
    >>> "No problems found" in write_checks(tmp / "checks.html", data).read_text()
    True
    """
    check_type(data, ChecksData, "give the result of `checks_of`")
    return write_page(path, "checks.html.j2", data, data.headline)
