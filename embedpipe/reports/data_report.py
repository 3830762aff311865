"""The data page: the content of a dataset, its problems, and the next steps."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._text import isolated
from ..active.selection import index_of
from ..datasets.layout import remedy_for
from ..index import nearest_to_mean
from ..index.layouts import FULL, layout_of, resolve_layout
from .charts import Chart, PointMap, point_map
from .check_report import FindingKind, FindingMaker, missing_classes, no_problems
from .file_summary import CountTable, FileSummary, count_table, file_summary
from .pages import check_type, plural, write_page
from .picks import Pick
from .thumbnails import thumbnails_of

if TYPE_CHECKING:
    from ..checks import CheckResult
    from ..checks.image_stats import Progress
    from ..embedding import Embeddings

__all__ = ["DataReport", "ImageGroup", "Problem", "Step", "data_report_of", "write_data_report"]

MAX_GROUPS, EXAMPLES = 24, 12
"""Maximum number of classes with pictures, and of pictures of each."""

MAX_SIMILAR, SIMILAR_SIZE = 12, 15
"""Maximum number of groups of similar images, and minimum mean size of a group."""

SINGLE_EXAMPLES = 24
"""Maximum number of pictures of a dataset that is one group."""

MAX_OTHERS = 300
"""Maximum number of classes without pictures on the page."""

MAX_FINDINGS, MAX_MEMBERS = 12, 4
"""Maximum number of findings of a kind, and of images of a group."""

MAX_LISTED = 200
"""Maximum number of unusable files on the page."""

THUMBNAIL = 128
"""Side of the pictures in pixels."""

MAP_IMAGES = 5000
"""Maximum number of images on the map; of more images, a random sample is shown."""

MAP_CLASSES = 24
"""Maximum number of classes with a colour on the map."""

MAP_WIDTH = 1000
"""Largest coordinate on the map."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Step:
    """A next step, and the command for it, if there is one."""

    text: str
    command: str | None = None


@dataclass(frozen=True)
class Problem:
    """A line in the list of problems, its consequence, and the anchor of its section."""

    anchor: str
    text: str
    consequence: str


@dataclass(frozen=True)
class ImageGroup:
    """A class or a group of similar images.

    Attributes
    ----------
    name, count
        Name and number of images.
    share
        The number divided by that of the largest group.
    note
        Number of images in each split; blank without splits.
    rare
        Whether the class is rare.
    examples
        Some of its images.
    """

    name: str
    count: int
    share: float
    note: str
    rare: bool
    examples: tuple[Pick, ...]


@dataclass(frozen=True)
class DataReport:
    """The data of a page about a dataset.

    Attributes
    ----------
    title, headline, summary
        Name of the dataset, its content and its problems in a few words.
    facts, details
        Names and values below the headline, and in the folded part.
    steps, problems
        Next steps, and the problems that were found.
    by_class
        Whether the groups are classes; otherwise they are groups of similar images.
    groups
        Classes or groups of similar images, the largest first, with pictures.
    other_classes
        Classes without pictures, with their counts, and the number of classes left out after them.
    missing
        A sentence on each split without images of some classes.
    tables
        Counts of splits and buckets.
    map
        Map of the embeddings; None for a single image.
    files
        Sizes, shapes and formats.
    kinds
        Kinds of findings of the checks.
    failures, unlisted
        Files that cannot be used with the reasons, and the number of those left out.
    remarks
        Remarks on readable files.
    counts
        All numbers as JSON types.
    command
        The command line.
    source
        The result of `check`, for sections of other packages.
    """

    title: str
    headline: str
    summary: str
    facts: tuple[tuple[str, str], ...]
    details: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]
    problems: tuple[Problem, ...]
    by_class: bool
    groups: tuple[ImageGroup, ...]
    other_classes: tuple[CountTable, int]
    missing: tuple[str, ...]
    tables: tuple[CountTable, ...]
    map: Chart | None
    files: FileSummary
    kinds: tuple[FindingKind, ...]
    failures: tuple[tuple[str, str], ...]
    unlisted: int
    remarks: tuple[tuple[str, str], ...]
    counts: dict[str, Any]
    command: str | None = None
    source: Any = field(default=None, repr=False, compare=False)


def data_report_of(
    embeddings: Embeddings,
    checked: CheckResult,
    *,
    layout: str = "auto",
    target: str | None = None,
    training: str = "",
    command: str | None = None,
    progress: Progress | None = None,
) -> DataReport:
    """Return the data of a page about a dataset.

    Parameters
    ----------
    embeddings
        The dataset's embeddings.
    checked
        The result of `embedpipe.checks.check` for these embeddings. Its labels are shown.
    layout
        Layout of the map: ``"components"`` (two principal components), ``"neighbours"`` (UMAP), or
        ``"auto"`` (UMAP if it is installed).
    target
        The dataset with its options in the commands of the next steps, quoted for a shell; by
        default its name or path.
    training
        The option of `embedpipe train` that selects the labels, quoted for a shell.
    command
        The command line at the end of the page.
    progress
        Function that takes the stage (``"map"`` or ``"pictures"``), the number of finished units,
        and the total number.

    Raises
    ------
    UsageError
        If the layout is unknown, or UMAP is needed and not installed.

    Notes
    -----
    The map has at most 5,000 images; of a larger dataset, it shows a random sample. The pictures of
    a class are random too. Equal arguments give equal data.

    Examples
    --------
    >>> import embedpipe as ep
    >>> from embedpipe.checks import check
    >>> digits = ep.load_dataset("digits").subset("test")
    >>> embeddings = ep.embed(digits, backbone="toy", workspace=tmp)
    >>> report = data_report_of(embeddings, check(embeddings), layout="components")
    >>> report.headline
    '397 images in 10 classes'
    >>> write_data_report(tmp / "digits.html", report).name
    'digits.html'
    """
    layout = resolve_layout(layout)
    return _Maker(embeddings, checked, progress).report(
        layout, _Steps(target or _target(embeddings), training), command
    )


def _target(embeddings: Embeddings) -> str:
    dataset = embeddings.dataset
    return dataset.name if dataset.card else shlex.quote(dataset.source.location)


@dataclass(frozen=True)
class _Steps:
    """Makes the next steps; `target` and `training` are those of `data_report_of`."""

    target: str
    training: str

    def of(
        self, checked: CheckResult, splits: Mapping[str, int], skipped: int, failed: int
    ) -> tuple[Step, ...]:
        found = []
        if failed:
            found.append(
                Step(
                    "Copy the damaged files again from their source. Without new copies, all "
                    "commands leave them out."
                )
            )
        if skipped:
            found.append(Step("Convert files in unsupported formats to JPEG or PNG."))
        if checked.leakage:
            found.append(Step("Remove the copies in several splits before you measure accuracy."))
        if _has_findings(checked):
            found.append(
                Step(
                    "See all findings, not only the first of each kind:",
                    f"embedpipe check {self.target} --report checks.html",
                )
            )
        labelled = sum(label is not None for label in checked.labels)
        return (*found, *self._labels(checked, labelled), *self._model(checked, splits, labelled))

    def _labels(self, checked: CheckResult, labelled: int) -> list[Step]:
        if labelled == len(checked.labels):
            if not checked.label_errors.rows.size:
                return []
            return [Step("Correct doubtful labels in the browser:", self._label())]
        text = "Label more images" if labelled else "Label images"
        return [
            Step(f"{text} in the browser; the model learns while you label:", self._label()),
            Step(
                "Or choose the images that are most useful to label, for a spreadsheet:",
                f"embedpipe select {self.target} -n 100 --strategy auto --output picks.csv",
            ),
        ]

    def _label(self) -> str:
        return f"embedpipe label {self.target}"

    def _model(self, checked: CheckResult, splits: Mapping[str, int], labelled: int) -> list[Step]:
        if len(checked.imbalance.counts) < 2:
            return []
        options = " ".join(filter(None, (self.training, "--output model.safetensors")))
        train = Step("Train a model:", f"embedpipe train {self.target} {options}")
        if labelled < len(checked.labels) or "test" not in splits:
            return [train]
        return [
            Step(
                "See how many labels a model needs, with the test split:",
                f"embedpipe run {self.target}",
            ),
            train,
        ]


def _has_findings(checked: CheckResult) -> bool:
    rows = (checked.label_errors.rows, checked.outliers.rows, checked.blank, checked.tiny)
    return bool(checked.copies) or any(each.size for each in rows)


class _Maker:
    """Makes the parts of a report."""

    def __init__(
        self, embeddings: Embeddings, checked: CheckResult, progress: Progress | None
    ) -> None:
        self._embeddings, self._checked = embeddings, checked
        self._progress = progress or (lambda stage, done, total: None)
        self._names = [item.id for item in embeddings.items]
        self._rng = np.random.default_rng(0)
        self._findings = FindingMaker(embeddings, checked, MAX_FINDINGS, MAX_MEMBERS)

    def report(self, layout: str, steps: _Steps, command: str | None) -> DataReport:
        """Return the whole report."""
        checked, embeddings = self._checked, self._embeddings
        classes = checked.imbalance.counts
        members = self._members()
        examples = [self._examples(rows, len(members)) for rows in members[:MAX_GROUPS]]
        self._read_pictures([*self._findings.rows(), *(row for each in examples for row in each)])
        kinds = self._findings.kinds(self._thumbnails)
        splits = _counts_of(item.split for item in embeddings.items)
        buckets = _counts_of(item.bucket for item in embeddings.items)
        failures = [*checked.failures, *embeddings.vanished]
        skipped = embeddings.dataset.skipped
        files = file_summary(self._names, checked)
        problems = self._problems(kinds, len(failures), files)
        labelled = sum(classes.values())
        sampled, shown = self._map(members, layout)
        unusable = [(failure.path, failure.error) for failure in failures]
        return DataReport(
            title=embeddings.dataset.name,
            headline=_headline(len(embeddings), labelled, len(classes)),
            summary="" if problems else f"{no_problems(checked)}.",
            facts=self._facts(labelled, splits, files),
            details=self._details(layout, len(sampled)),
            steps=steps.of(checked, splits, sum(skipped.values()), len(failures)),
            problems=problems,
            by_class=bool(classes),
            groups=tuple(
                self._group(name, rows, members, examples[at])
                for at, (name, rows) in enumerate(
                    zip(self._group_names(len(members)), members[:MAX_GROUPS], strict=False)
                )
            ),
            other_classes=self._other_classes(),
            missing=missing_classes(checked.imbalance),
            tables=tuple(
                count_table(title, counts)
                for title, counts in (("Splits", splits), ("Buckets", buckets))
                if counts
            ),
            map=shown,
            files=files,
            kinds=kinds,
            failures=(
                *unusable[:MAX_LISTED],
                *(
                    (plural(count, f"{suffix} file"), remedy_for(suffix))
                    for suffix, count in skipped.items()
                ),
            ),
            unlisted=max(0, len(unusable) - MAX_LISTED),
            remarks=tuple((each.path, each.remark) for each in checked.remarks[:MAX_LISTED]),
            counts={
                "items": len(embeddings),
                "classes": dict(classes),
                "labelled": labelled,
                "splits": splits,
                "buckets": buckets,
                **files.counts,
                **{
                    kind.name: None if kind.not_checked is not None else kind.count
                    for kind in kinds
                },
                "failed": len(failures),
                "skipped": dict(skipped),
                "not_checked": dict(checked.not_checked),
                "map": {"images": len(sampled), "layout": layout},
            },
            command=command,
            source=checked,
        )

    def _members(self) -> list[Rows]:
        """Return the rows of each class, or of each group of similar images, the largest first."""
        checked = self._checked
        if checked.imbalance.counts:
            rows: dict[str, list[int]] = {name: [] for name in checked.imbalance.counts}
            for row, label in enumerate(checked.labels):
                if label is not None:
                    rows[label].append(row)
            return [np.array(found, np.int64) for found in rows.values()]
        n = len(self._embeddings)
        index = index_of(self._embeddings, np.arange(n, dtype=np.int64))
        clusters = index.clusters(min(MAX_SIMILAR, max(1, n // SIMILAR_SIZE)))
        labels = clusters.labels[index.copy_of]  # (n,)
        groups = [np.flatnonzero(labels == at) for at in range(len(clusters.sizes))]
        return sorted(groups, key=lambda rows: (-rows.size, rows[0]))

    def _group_names(self, count: int) -> list[str]:
        if self._checked.imbalance.counts:
            return list(self._checked.imbalance.counts)
        return [f"Group {number}" for number in range(1, count + 1)]

    def _examples(self, rows: Rows, groups: int) -> list[int]:
        """Return random rows with different contents; of similar images, first the most typical."""
        contents = self._embeddings.content_ids
        distinct = {contents[row]: row for row in reversed(rows.tolist())}
        rows = np.array(sorted(distinct.values()), np.int64)
        count = min(EXAMPLES if groups > 1 else SINGLE_EXAMPLES, rows.size)
        typical: list[int] = []
        if not self._checked.imbalance.counts:
            at = nearest_to_mean(self._embeddings.matrix, rows)
            typical, rows = [int(rows[at])], np.delete(rows, at)
        others = self._rng.choice(rows, count - len(typical), replace=False)
        return [*typical, *sorted(others.tolist())]

    def _read_pictures(self, rows: Sequence[int]) -> None:
        ids = sorted({self._names[row] for row in rows})
        self._progress("pictures", 0, len(ids))
        self._thumbnails = thumbnails_of(self._embeddings.dataset, ids, THUMBNAIL)
        self._progress("pictures", len(ids), len(ids))

    def _group(
        self, name: str, rows: Rows, members: Sequence[Rows], examples: Sequence[int]
    ) -> ImageGroup:
        splits = _counts_of(self._embeddings.items[row].split for row in rows.tolist())
        return ImageGroup(
            name,
            int(rows.size),
            rows.size / members[0].size,
            ", ".join(f"{split} {count:,}" for split, count in splits.items()),
            name in self._checked.imbalance.rare,
            tuple(self._findings.pick(row) for row in examples),
        )

    def _other_classes(self) -> tuple[CountTable, int]:
        others = list(self._checked.imbalance.counts.items())[MAX_GROUPS:]
        table = count_table("Other classes", dict(others[:MAX_OTHERS]))
        return table, max(0, len(others) - MAX_OTHERS)

    def _problems(
        self, kinds: Sequence[FindingKind], failed: int, files: FileSummary
    ) -> tuple[Problem, ...]:
        found = []
        if failed:
            text = f"{plural(failed, 'file')} cannot be used"
            found.append(Problem("failed", text, "They are damaged, unreadable or missing."))
        skipped = sum(self._embeddings.dataset.skipped.values())
        if skipped:
            text = f"{plural(skipped, 'file')} in a format that is not supported"
            found.append(Problem("failed", text, "Convert them to JPEG or PNG."))
        for kind in kinds:
            if kind.count and kind.not_checked is None:
                noun, rest, consequence = _NOUNS[kind.name]
                text = plural(kind.count, noun) + rest
                found.append(Problem(kind.name, text, consequence))
        if files.misnamed:
            wrong = files.counts["misnamed"]
            text = f"{plural(wrong, 'file')} with a suffix of another format"
            found.append(Problem("misnamed", text, "Other programs may refuse them."))
        return tuple(found)

    def _facts(
        self, labelled: int, splits: Mapping[str, int], files: FileSummary
    ) -> tuple[tuple[str, str], ...]:
        n, classes = len(self._embeddings), len(self._checked.imbalance.counts)
        facts = [("images", f"{n:,}"), ("classes", f"{classes:,}" if classes else "no labels")]
        if 0 < labelled < n:
            facts.append(("labelled images", f"{labelled:,}"))
        if splits:
            facts.append(("splits", ", ".join(f"{s} {count:,}" for s, count in splits.items())))
        return (*facts, *files.facts)

    def _details(self, layout: str, on_map: int) -> tuple[tuple[str, str], ...]:
        checked, spec = self._checked, self._embeddings.spec
        names = {"components": "principal components", "neighbours": "UMAP"}
        facts = [
            ("images from", self._embeddings.dataset.source.location),
            ("backbone", f"{spec.backbone['architecture']}, {spec.dim:,} dims"),
            ("layout of the map", f"{names[layout]} of {plural(on_map, 'image')}"),
        ]
        return (
            *facts,
            *((f"not checked: {name}", reason) for name, reason in checked.not_checked.items()),
        )

    def _map(self, members: Sequence[Rows], layout: str) -> tuple[Rows, PointMap | None]:
        """Return the rows on the map, and the map; None for a single image."""
        n = len(self._embeddings)
        rows = np.arange(n, dtype=np.int64)
        if n > MAP_IMAGES:
            sample = np.random.default_rng(0).choice(n, MAP_IMAGES, replace=False)
            rows = np.sort(sample).astype(np.int64)
        if n < 2:
            return rows, None
        self._progress("map", 0, 100)
        places = layout_of(
            self._embeddings.matrix,
            rows,
            layout,
            lambda doing, share: self._progress("map", int(100 * share), 100),
        )
        self._progress("map", 100, 100)
        xy = np.rint(places / np.float64(FULL) * MAP_WIDTH).astype(np.int64)
        names = self._group_names(len(members))
        groups = np.full(n, -1)  # (n,) position of the class
        for at, each in enumerate(members):
            groups[each] = min(at, MAP_CLASSES)
        if len(members) > MAP_CLASSES:
            names = [*names[:MAP_CLASSES], "other classes"]
        return rows, point_map(
            xy[:, 0].tolist(),
            xy[:, 1].tolist(),
            "Map of the images",
            self._map_note(len(rows), len(members), layout),
            groups=names,
            codes=groups[rows].tolist(),
            notes=[self._map_text(row) for row in rows.tolist()],
        )

    def _map_note(self, shown: int, groups: int, layout: str) -> str:
        n = len(self._embeddings)
        sentences = ["Images that are near each other look similar to the model."]
        if layout == "components":
            sentences.append("The map shows the two largest principal components only.")
        if shown < n:
            sentences.append(f"It shows {shown:,} of {n:,} images, chosen at random.")
        if self._checked.imbalance.counts and groups > MAP_CLASSES:
            sentences.append(f"The {MAP_CLASSES} largest classes have a colour and a shape.")
        return " ".join(sentences)

    def _map_text(self, row: int) -> str:
        label = self._checked.labels[row]
        name = isolated(self._names[row])
        return name if label is None else f"{isolated(label)}\n{name}"


_NOUNS = {
    "label_errors": ("doubtful label", "", "Wrong labels reduce the accuracy."),
    "leakage": ("group", " of copies in several splits", "The measured accuracy is too high."),
    "duplicates": ("group", " of duplicate files", "One image of each group is enough."),
    "near_duplicates": ("group", " of near-duplicates", "One image of each group is enough."),
    "outliers": ("outlier", "", "Rare objects, or images that do not belong here."),
    "blank": ("blank image", "", "One colour only."),
    "tiny": ("tiny image", "", "Too few details for a model."),
}
"""The noun for findings of each kind, the text after the noun, and the consequence."""


def _headline(n: int, labelled: int, classes: int) -> str:
    if not labelled:
        return f"{plural(n, 'image')} without labels"
    kinds = f"{classes:,} classes" if classes > 1 else "1 class"
    if labelled == n:
        return f"{plural(n, 'image')} in {kinds}"
    return f"{plural(n, 'image')}, {labelled:,} of them labelled in {kinds}"


def _counts_of(values: Any) -> dict[str, int]:
    """Return the number of items of each split or bucket; values None are left out."""
    counts = Counter(value for value in values if value is not None)
    order = {"train": 0, "validation": 1, "test": 2}
    return dict(sorted(counts.items(), key=lambda entry: (order.get(entry[0], 3), entry[0])))


def write_data_report(path: str | Path, data: DataReport) -> Path:
    """Write a page about a dataset, whole or not at all; `data` is from `data_report_of`.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    check_type(data, DataReport, "give the result of `data_report_of`")
    return write_page(path, "data.html.j2", data, data.headline, data.summary, details=data.details)
