"""The page of `check`: its data, from what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .thumbnails import Pick, thumbnails_of

if TYPE_CHECKING:
    from ..checks import CheckResult
    from ..checks.duplicates import Rows
    from ..embedding import Embeddings

__all__ = ["ChecksData", "Finding", "FindingKind", "checks_of"]

MOST = 60
"""So many findings of a kind are shown; the others are counted."""

MEMBERS = 12
"""So many items of a group are shown."""


@dataclass(frozen=True)
class Finding:
    """An item, or a group of items, with a line of text."""

    items: tuple[Pick, ...]
    text: str
    more: int = 0  # items of the group that are not shown


@dataclass(frozen=True)
class FindingKind:
    """All findings of a kind."""

    name: str  # anchor of its section
    title: str
    note: str  # what it means, and how it was found
    count: int  # those that are not shown too
    findings: tuple[Finding, ...]  # the worst first
    not_checked: str | None = None  # why it was not checked


@dataclass(frozen=True)
class ChecksData:
    """A whole page of findings.

    Attributes
    ----------
    title
        The dataset's name.
    headline
        The result in a few words.
    facts
        Names and values for the line under the headline.
    kinds
        In the order in which they are shown.
    classes
        Name, number of items, share of the largest class, and whether it is rare.
    missing
        Sentences on classes that a split has nothing of.
    failures
        Item and reason.
    command
        What was typed to get this page.
    source
        What `check` returned, for sections that are added to the page.
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
    """Return what the page of a check shows.

    Parameters
    ----------
    embeddings
        What was checked.
    checked
        From `check`.
    command
        What was typed.
    """
    maker = _FindingMaker(embeddings, checked)
    kinds = maker.kinds()
    found = sum(kind.count for kind in kinds) + len(checked.failures)
    counts = checked.imbalance.counts
    largest = max(counts.values(), default=1)
    return ChecksData(
        title=embeddings.dataset.name,
        headline=_headline(found, checked),
        facts=(
            ("items", f"{len(embeddings):,}"),
            *((kind.title, _counted(kind)) for kind in kinds),
            ("Not readable", f"{len(checked.failures):,}"),
        ),
        kinds=kinds,
        classes=tuple(
            (name, count, count / largest, name in checked.imbalance.rare)
            for name, count in counts.items()
        ),
        missing=tuple(
            f"There is no {label} in the {split} split."
            for split, label in checked.imbalance.missing
        ),
        failures=tuple((failure.path, failure.error) for failure in checked.failures),
        command=command,
        source=checked,
    )


def _headline(found: int, checked: CheckResult) -> str:
    if found:
        return f"{found:,} thing{'' if found == 1 else 's'} to look at"
    return "Nothing found in what was checked" if checked.not_checked else "All well"


def _counted(kind: FindingKind) -> str:
    if kind.not_checked is None:
        return f"{kind.count:,}"
    done = "judged" if kind.name == "label_errors" else "checked"
    return f"not {done}: {kind.not_checked}"


class _FindingMaker:
    """Makes findings of rows, with a thumbnail for each item that is shown."""

    def __init__(self, embeddings: Embeddings, checked: CheckResult) -> None:
        self._items, self._checked = embeddings.items, checked
        shown = {self._items[row].id for row in self._shown()}
        self._thumbnails = thumbnails_of(embeddings.dataset, sorted(shown))

    def kinds(self) -> tuple[FindingKind, ...]:
        """Return all kinds of findings."""
        checked = self._checked
        near = checked.near_duplicates
        how = (
            "Judged by their vectors alone: the images were not read."
            if near.likeness_limit is None
            else "Vectors and pictures are both nearer to each other than usual, and together by "
            "far; a cut of up to a fifth is looked through."
        )
        return (
            self._kind(
                "label_errors",
                "Doubtful labels",
                "A head that has not seen the label is confident of another class. The most "
                f"doubtful first. {self._judged()}",
                checked.label_errors.rows.size,
                self._label_errors(),
            ),
            self._kind(
                "leakage",
                "Leaks between splits",
                "The same picture in training and in what is judged by: figures will be too good.",
                len(checked.leakage),
                self._groups(checked.leakage, with_splits=True),
            ),
            self._kind(
                "duplicates",
                "Same bytes",
                "Files that are the same to the last bit.",
                len(checked.duplicates),
                self._groups(checked.duplicates),
            ),
            self._kind(
                "near_duplicates",
                "Same picture",
                f"Compressed, resized or cut otherwise. {how}",
                len(near.groups),
                self._groups(near.groups),
            ),
            self._kind(
                "outliers",
                "Far from all others",
                "Rare, or of another kind than all others. The farthest out first.",
                checked.outliers.rows.size,
                tuple(
                    self._alone(row, f"score {score:.2f}")
                    for row, score in zip(
                        checked.outliers.rows[:MOST].tolist(), checked.outliers.scores, strict=False
                    )
                ),
            ),
            self._kind(
                "blank", "Blank", "One colour only.", checked.blank.size, self._sized(checked.blank)
            ),
            self._kind(
                "tiny",
                "Tiny",
                f"The shorter side has fewer than {checked.tiny_side or 0:.0f} pixels.",
                checked.tiny.size,
                self._sized(checked.tiny),
            ),
        )

    def _judged(self) -> str:
        labelled = sum(label is not None for label in self._checked.labels)
        judged = self._checked.label_errors.judged
        rest = "" if judged == labelled else "; the others are alone in their class"
        return f"{judged:,} of {labelled:,} labels were judged{rest}."

    def _kind(
        self, name: str, title: str, note: str, count: int, findings: tuple[Finding, ...]
    ) -> FindingKind:
        return FindingKind(name, title, note, count, findings, self._checked.not_checked.get(name))

    def _shown(self) -> list[int]:
        """Return the rows that the page shows, some of them twice."""
        checked = self._checked
        groups = [checked.leakage, checked.duplicates, checked.near_duplicates.groups]
        alone = [checked.label_errors.rows, checked.outliers.rows, checked.blank, checked.tiny]
        rows = [row for each in alone for row in each[:MOST].tolist()]
        for each in groups:
            rows += [row for group in each[:MOST] for row in group[:MEMBERS].tolist()]
        return rows

    def _pick(self, row: int) -> Pick:
        name = self._items[row].id
        return Pick(name, 0.0, self._checked.labels[row], self._thumbnails.get(name))

    def _alone(self, row: int, text: str) -> Finding:
        return Finding((self._pick(row),), text)

    def _label_errors(self) -> tuple[Finding, ...]:
        found = self._checked.label_errors
        columns = (found.rows[:MOST].tolist(), found.given, found.suggested)
        return tuple(
            self._alone(row, f"{given}, or {suggested}?")
            for row, given, suggested in zip(*columns, strict=False)
        )

    def _groups(self, groups: Sequence[Rows], *, with_splits: bool = False) -> tuple[Finding, ...]:
        found = []
        for group in groups[:MOST]:
            rows = group.tolist()
            labels = sorted({label for row in rows if (label := self._checked.labels[row])})
            text = f"{len(rows)} items"
            if with_splits:
                text += " in " + ", ".join(sorted({str(self._items[row].split) for row in rows}))
            if len(labels) > 1:
                text += f", labelled {' and '.join(labels)}"
            picks = tuple(self._pick(row) for row in rows[:MEMBERS])
            found.append(Finding(picks, text, max(0, len(rows) - MEMBERS)))
        return tuple(found)

    def _sized(self, rows: Rows) -> tuple[Finding, ...]:
        sizes = self._checked.sizes
        if sizes is None:
            return ()
        some = rows[:MOST].tolist()
        return tuple(self._alone(row, "{} × {}".format(*sizes[row].tolist())) for row in some)
