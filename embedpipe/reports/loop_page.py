"""The page of a run: its charts, its tables, and the data of its script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .charts import LineChart, PointMap, Series, line_chart, point_map
from .loop_headline import write_headline
from .loop_picks import shown_per_round
from .loop_report import Curve, ReportData, Round
from .pages import check_type, write_page
from .picks import Guess, Pick
from .thumbnails import is_tiny

__all__ = ["write_report"]

MAX_CURVES = 6
"""Maximum number of curves in a report: its table has six columns for each curve."""

MAX_MATRIX = 30
"""Maximum number of classes in a confusion matrix."""

MAX_FLAT = 12, 7
"""Maximum number of classes, and of letters in a name, for horizontal headings of columns."""

GROUPS = ("selected in earlier rounds", "selected in this round")
"""Groups of points on the map."""


def write_report(path: str | Path, data: ReportData) -> Path:
    """Write a report, whole or not at all; `data` is from `report_of`.

    The page is one HTML file that needs no other file. Its size is about 2 MB, plus 700 bytes for
    each pick, plus 4/3 of the size of the thumbnails, each of which is stored once.

    Examples
    --------
    >>> rounds = (Round(0, 20, 0.61, 0.58, 0.01, 0.02, "random", (Pick("a.jpg", 0.5, "hat"),)),)
    >>> data = ReportData("clothing", (("images", "3,068"),), (Curve("random", rounds),))
    >>> "0.610 accuracy with 20 labels" in write_report(tmp / "report.html", data).read_text()
    True
    """
    check_type(data, ReportData, "give the result of `report_of`")
    _check(data)
    baseline = next((curve for curve in data.curves if curve.baseline), None)
    selected = next((curve for curve in data.curves if not curve.baseline), data.curves[0])
    headline = write_headline(selected, None if baseline is selected else baseline)
    start = next(curve for curve in (selected, *data.curves) if curve.rounds)
    limit = shown_per_round([len(entry.picks) for each in data.curves for entry in each.rounds])
    classes = Classes.of(data, start)
    pictures = Pictures.of(data.curves, limit)
    charts = (_accuracy(data), _expected(start))
    run = {
        "classes": classes.names,
        "sizes": classes.sizes,
        "shown": classes.shown,
        "vertical": len(classes.shown) > MAX_FLAT[0]
        or max(map(len, classes.names), default=0) > MAX_FLAT[1],
        "images": [name for name, _ in pictures.images],
        "pictured": [thumbnail is not None for _, thumbnail in pictures.images],
        "tiny": [thumbnail is not None and is_tiny(thumbnail) for _, thumbnail in pictures.images],
        "others": [] if data.others is None else data.others.T.round(4).astype(float).tolist(),
        "start": [data.curves.index(start), len(start.rounds) - 1],
        "curves": [_curve(curve, classes, pictures, limit) for curve in data.curves],
    }
    return write_page(
        path,
        "loop.html.j2",
        data,
        *headline,
        details=data.details,
        script="loop.js",
        charts=[chart for chart in charts if chart is not None],
        map=_map(data, start, limit),
        run=run,
        pictures=pictures,
        limit=limit,
        rounds=_aligned(data.curves),
    )


def _check(data: ReportData) -> None:
    if not any(curve.rounds for curve in data.curves):
        raise UsageError("a report needs at least one curve with a round.")
    if len(data.curves) > MAX_CURVES:
        raise UsageError(f"a report has at most {MAX_CURVES} curves; got {len(data.curves)}.")
    baselines = [curve.name for curve in data.curves if curve.baseline]
    if len(baselines) > 1:
        raise UsageError(
            f"a report has one baseline; got {len(baselines)}: {', '.join(baselines)}."
        )


def _aligned(curves: tuple[Curve, ...]) -> list[tuple[int, list[Round | None]]]:
    """Return the number of each round, and this round of every curve."""
    by_number = [{entry.round: entry for entry in curve.rounds} for curve in curves]
    numbers = sorted({number for rounds in by_number for number in rounds})
    return [(number, [rounds.get(number) for rounds in by_number]) for number in numbers]


# Charts


def _accuracy(data: ReportData) -> LineChart | None:
    """Return the learning curves; a tooltip has all measures of its round."""
    series = []
    for curve in data.curves:
        known = [(entry, entry.accuracy) for entry in curve.rounds if entry.accuracy is not None]
        notes = [
            "\n".join([f"Round {entry.round}", *(" ".join(each) for each in _measures(entry)[1:])])
            for entry, _ in known
        ]
        labelled = [entry.labelled for entry, _ in known]
        series.append(Series(curve.name, labelled, [value for _, value in known], notes=notes))
    note = "Measured on the test images."
    if data.upper_baseline is not None:
        note += " The dotted line is the accuracy with all labels."
    return line_chart(series, "Accuracy", note, upper_baseline=data.upper_baseline, end_values=True)


def _expected(curve: Curve) -> LineChart | None:
    """Return the expected and the measured accuracy on the images without a label, or None.

    The lines have the colour of the first curve; the eighth position has the next dash.
    """
    if all(entry.expected_accuracy is None for entry in curve.rounds):
        return None

    def values(name: str) -> list[float]:
        found = [getattr(entry, name) for entry in curve.rounds]
        return [float("nan") if value is None else value for value in found]

    labelled = [entry.labelled for entry in curve.rounds]
    ends = np.array([entry.expected_accuracy_ci or [np.nan] * 2 for entry in curve.rounds])
    low, high = ends.reshape(-1, 2).T.tolist()
    expected = Series(
        "expected accuracy", labelled, values("expected_accuracy"), low=low, high=high
    )
    measured = Series("measured accuracy", labelled, values("rest_accuracy"))
    return line_chart(
        [expected, *[None] * 7, measured],
        "Expected accuracy on the images without a label",
        "With its 90 % interval. The dashed line is the measured accuracy on the same images.",
        interval="90 % interval",
    )


def _map(data: ReportData, curve: Curve, limit: int) -> PointMap | None:
    """Return the map after the last round."""
    if data.others is None:
        return None
    last = curve.rounds[-1].round
    placed = [
        (pick, pick.place, int(entry.round == last))
        for entry in curve.rounds
        for pick in entry.picks[:limit]
        if pick.place is not None
    ]
    x, y = data.others.T.round(4).astype(float).tolist() if len(data.others) else ([], [])
    return point_map(
        [*x, *(place[0] for _, place, _ in placed)],
        [*y, *(place[1] for _, place, _ in placed)],
        "Map of the images",
        "Images with similar embeddings are near each other. Grey: not selected so far.",
        groups=GROUPS,
        codes=[*[-1] * len(x), *(code for *_, code in placed)],
    )


# Data of the script


@dataclass(frozen=True)
class Classes:
    """The classes of a page.

    `sizes` are the numbers of test images of each class, empty without them. `shown` are the
    classes of the confusion matrix: all, or the 30 with the most errors.
    """

    names: list[str]
    sizes: list[int]
    shown: list[int]
    truth: NDArray[np.int32] | None

    @classmethod
    def of(cls, data: ReportData, curve: Curve) -> Classes:
        """Return the classes of the data; the last round of `curve` has the errors."""
        labels = {
            text
            for each in data.curves
            for entry in each.rounds
            for pick in entry.picks
            for text in (pick.label, *(n.label for n in pick.neighbours), *_guessed(pick))
            if text is not None
        }
        names = [*data.classes, *sorted(labels - set(data.classes))]
        if data.truth is None or not len(data.truth):
            return cls(names, [], [], None)
        sizes = np.bincount(data.truth, minlength=len(names))  # (K,)
        wrong = sizes.copy()
        for entry in curve.rounds:
            if entry.predicted is not None:
                right = data.truth[entry.predicted == data.truth]
                wrong = sizes - np.bincount(right, minlength=len(names))
        shown = np.sort(np.argsort(-wrong, kind="stable")[:MAX_MATRIX])
        return cls(names, sizes.tolist(), shown.tolist(), data.truth)

    def code(self, label: str | None) -> int | None:
        """Return the position of a label; None without a label."""
        return None if label is None else self._codes[label]

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.names)}

    def matrix(self, predicted: NDArray[np.int32] | None) -> NDArray[np.int64] | None:
        """Return the (K, K) numbers of test images by true class (rows) and predicted class."""
        if self.truth is None or predicted is None:
            return None
        k = len(self.names)
        cells = self.truth.astype(np.int64) * k + predicted
        return np.bincount(cells, minlength=k * k).reshape(k, k)


@dataclass
class Pictures:
    """The images of a page, each stored once."""

    images: list[tuple[str, bytes | None]] = field(default_factory=list)
    numbers: dict[tuple[str, bytes | None], int] = field(default_factory=dict)
    by_name: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, curves: Sequence[Curve], limit: int) -> Pictures:
        """Return the images of the first `limit` picks of each round, and of their neighbours."""
        found = cls()
        picks = [p for each in curves for entry in each.rounds for p in entry.picks[:limit]]
        for pick in picks:
            found._add(pick.id, pick.thumbnail)
        for pick in picks:
            for neighbour in pick.neighbours:
                if neighbour.id not in found.by_name:
                    found._add(neighbour.id, None)
        return found

    def _add(self, name: str, thumbnail: bytes | None) -> None:
        if (name, thumbnail) not in self.numbers:
            self.numbers[name, thumbnail] = len(self.images)
            self.by_name.setdefault(name, len(self.images))
            self.images.append((name, thumbnail))

    def number(self, pick: Pick) -> int:
        """Return the position of the image of a pick."""
        return self.numbers[pick.id, pick.thumbnail]


def _curve(curve: Curve, classes: Classes, pictures: Pictures, limit: int) -> dict[str, Any]:
    labels = np.zeros(len(classes.names), np.int64)
    rounds = []
    for entry in curve.rounds:
        known = [code for pick in entry.picks if (code := classes.code(pick.label)) is not None]
        labels = labels + np.bincount(np.array(known, np.int64), minlength=len(labels))
        matrix = classes.matrix(entry.predicted)
        rounds.append(
            {
                "round": entry.round,
                "labelled": entry.labelled,
                "accuracy": entry.accuracy,
                "measures": _measures(entry),
                "advice": entry.advice,
                "labels": labels.tolist(),
                "right": None if matrix is None else matrix.diagonal().tolist(),
                "matrix": None
                if matrix is None
                else matrix[np.ix_(classes.shown, classes.shown)].tolist(),
                "count": len(entry.picks),
                "picks": [_pick(pick, classes, pictures) for pick in entry.picks[:limit]],
            }
        )
    return {"name": curve.name, "baseline": curve.baseline, "rounds": rounds}


def _measures(entry: Round) -> list[tuple[str, str]]:
    """Return the names and the texts of the known measures of a round, the accuracy first."""
    found = [
        ("Accuracy", _number(entry.accuracy)),
        ("Macro-F1", _number(entry.macro_f1)),
        ("Balanced accuracy", _number(entry.balanced_accuracy)),
        ("Expected accuracy", entry.expected_text),
        ("Accuracy on images without a label", _number(entry.rest_accuracy)),
    ]
    return [(name, text) for name, text in found if text]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _guessed(pick: Pick) -> list[str]:
    return [guess.label for guess in (pick.before, pick.after) if guess is not None]


def _pick(pick: Pick, classes: Classes, pictures: Pictures) -> dict[str, Any]:
    def guess(each: Guess | None) -> list[float | int | None] | None:
        return None if each is None else [classes.code(each.label), round(each.probability, 4)]

    return {
        "image": pictures.number(pick),
        "label": classes.code(pick.label),
        "score": f"{pick.score:.4g}",
        "before": guess(pick.before),
        "after": guess(pick.after),
        "near": [
            [pictures.by_name[each.id], classes.code(each.label), round(each.distance, 4)]
            for each in pick.neighbours
        ],
        "place": pick.place and [round(value, 4) for value in pick.place],
    }
