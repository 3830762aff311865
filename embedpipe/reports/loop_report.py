"""The page of a run: its data, from finished loops, and its headline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .thumbnails import Pick, thumbnails_of

if TYPE_CHECKING:
    from ..active import ActiveLoop, Problem, RoundRecord

__all__ = ["Curve", "ReportData", "Round", "advice_of", "report_of"]


@dataclass(frozen=True)
class Round:
    """One turn of the loop: pick, label, fit, evaluate.

    Attributes
    ----------
    round
        Its number.
    labelled
        Items labelled after its picks.
    accuracy, macro_f1
        On the held-out split, from 0 to 1; None when there is none.
    select_seconds, fit_seconds
        How long picking and fitting took.
    strategy
        What chose the picks.
    picks
        In order of choice.
    """

    round: int
    labelled: int
    accuracy: float | None
    macro_f1: float | None
    select_seconds: float
    fit_seconds: float
    strategy: str
    picks: tuple[Pick, ...] = ()


@dataclass(frozen=True)
class Curve:
    """The rounds of one strategy.

    Attributes
    ----------
    name
        As a reader would say it: ``"coreset, then margin"``.
    rounds
        In order.
    baseline
        Whether the other curves are compared with this one.
    """

    name: str
    rounds: tuple[Round, ...]
    baseline: bool = False


@dataclass(frozen=True)
class ReportData:
    """A whole report.

    Attributes
    ----------
    title
        The dataset's name, or what the reader should call this run.
    facts
        Names and values for the line under the title: items, classes, backbone, head, seed …
    curves
        The selected strategy first; at most one is the baseline.
    command
        What was typed to get this report.
    upper_bound
        Accuracy of the same head trained on every label, if it is known.
    advice
        The name of a strategy, and whether to go on labelling with it.
    source
        The loops, for sections that are added to the page.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    curves: tuple[Curve, ...]
    command: str | None = None
    upper_bound: float | None = None
    advice: str | None = None
    source: Any = field(default=None, repr=False, compare=False)


def report_of(
    loops: Sequence[ActiveLoop],
    *,
    baseline: ActiveLoop | None = None,
    upper_bound: float | None = None,
    command: str | None = None,
) -> ReportData:
    """Return what a report of these loops shows.

    Parameters
    ----------
    loops
        At least one that has run, on the same problem; the first is in focus. Without a dataset,
        as of `ActiveLoop.from_arrays`, picks are named by their rows and have no images.
    baseline
        The loop that the others are compared with.
    upper_bound
        Accuracy of the head with all labels.
    command
        What was typed.
    """
    first = loops[0]
    problem = first.problem
    all_loops = [*loops, *([] if baseline is None else [baseline])]
    picked = {r for loop in all_loops for record in loop.records for r in record.rows.tolist()}
    names = {row: _name_of_row(problem, row) for row in sorted(picked)}
    thumbnails: dict[str, bytes | None] = {}
    if problem.embeddings is not None:
        thumbnails = thumbnails_of(problem.embeddings.dataset, list(names.values()))
    facts = (
        ("items", f"{len(problem.matrix):,}"),
        ("classes", f"{_class_count(problem):,}"),
        ("to choose from", f"{len(first.problem.candidates):,}"),
        ("test", f"{len(first.problem.test_rows):,}"),
        ("copies of test images left out", f"{first.problem.copies_left_out:,}"),
        *_vectors(problem),
        ("head", repr(first.head)),
        ("seed", str(first.options.seed)),
        *_unusual(first),
    )
    same_mode = len({loop.options.mode for loop in all_loops}) == 1
    curves = tuple(
        Curve(
            name=_name(loop) if same_mode else f"{_name(loop)} ({loop.options.mode})",
            rounds=tuple(_round(record, names, thumbnails) for record in loop.records),
            baseline=loop is baseline,
        )
        for loop in all_loops
    )
    return ReportData(
        first.problem.name,
        facts,
        curves,
        command,
        upper_bound,
        advice_of(first),
        source=tuple(all_loops),
    )


def _name_of_row(problem: Problem, row: int) -> str:
    return f"row {row}" if problem.ids is None else problem.ids[row]


def _class_count(problem: Problem) -> int:
    if problem.embeddings is not None:
        return len(problem.embeddings.dataset.class_names)
    return len({*problem.oracle.classes.tolist(), *problem.test_labels.tolist()})


def _vectors(problem: Problem) -> list[tuple[str, str]]:
    """Return what the vectors are."""
    if problem.embeddings is None:
        return [("vectors", f"{problem.matrix.shape[1]:,} numbers each")]
    spec = problem.embeddings.spec
    backbone = f"{spec.backbone['architecture']}, {spec.dim:,} dims"
    return [("backbone", backbone), ("precision", spec.precision)]


def advice_of(loop: ActiveLoop) -> str | None:
    """Return whether to go on labelling with the strategy of a loop; None if it is unknown."""
    advice = loop.records[-1].advice if loop.records else {}
    if not advice.get("reason"):
        return None
    return f"Advice for {_name(loop)}. {str(advice['advice']).capitalize()}: {advice['reason']}"


def _unusual(loop: ActiveLoop) -> list[tuple[str, str]]:
    """Return what a reader would not expect, as names and values."""
    labelling, facts = loop.options.labelling, []
    if loop.options.mode != "cumulative":
        facts.append(("mode", loop.options.mode))
    if loop.options.skip:
        facts.append(("skipped a query", str(loop.options.skip)))
    if labelling.noise:
        facts.append(("wrong labels", f"{labelling.noise:.0%}, {labelling.kind}"))
    if labelling.abstain:
        facts.append(("unanswered", f"{labelling.abstain:.0%}"))
    return facts


def _name(loop: ActiveLoop) -> str:
    names = [str(loop.initial), str(loop.strategy)]
    return names[0] if names[0] == names[1] else f"{names[0]}, then {names[1]}"


def _round(
    record: RoundRecord, names: dict[int, str], thumbnails: dict[str, bytes | None]
) -> Round:
    picks = tuple(
        Pick(
            names[row],
            float(score),
            None if label is None else str(label),
            thumbnails.get(names[row]),
        )
        for row, score, label in zip(
            record.rows.tolist(), record.scores, record.labels, strict=True
        )
    )
    return Round(
        round=record.round,
        labelled=record.labelled,
        accuracy=record.accuracy,
        macro_f1=record.macro_f1,
        select_seconds=record.select_seconds,
        fit_seconds=record.fit_seconds,
        strategy=record.strategy,
        picks=picks,
    )


# The headline


class Headline(NamedTuple):
    """The result in a few words, and what to compare it with."""

    result: str
    comparison: str


class _Point(NamedTuple):
    labelled: int
    accuracy: float


def write_headline(curve: Curve, baseline: Curve | None) -> Headline:
    """Return the last accuracy of a curve, and how many labels the baseline needs for as much."""
    points = _points(curve)
    if not points:
        n_picks = sum(len(entry.picks) for entry in curve.rounds)
        return Headline(
            f"{n_picks:,} {_plural(n_picks, 'item')} picked in "
            f"{len(curve.rounds):,} {_plural(len(curve.rounds), 'round')}",
            "There are no held-out labels to measure accuracy with.",
        )
    last = points[-1]
    result = (
        f"{last.accuracy:.3f} accuracy from {last.labelled:,} {_plural(last.labelled, 'label')}"
    )
    rivals = _points(baseline) if baseline is not None else []
    if baseline is None or not rivals:
        return Headline(result, "")
    return Headline(result, _compare(points, baseline.name, rivals))


def _compare(points: list[_Point], rival: str, rivals: list[_Point]) -> str:
    """Compare two curves at the largest number of labels that both reached."""
    shared = {point.labelled for point in points} & {point.labelled for point in rivals}
    if not shared:
        other = rivals[-1]
        return f"{_capital(rival)} reaches {other.accuracy:.3f} with {other.labelled:,} labels."
    at = max(shared)
    ours = next(point.accuracy for point in points if point.labelled == at)
    theirs = next(point.accuracy for point in rivals if point.labelled == at)
    count = "as many labels" if at == points[-1].labelled else f"{at:,} labels"
    if round(ours, 3) == round(theirs, 3):
        return f"With {count}, {rival} reaches the same."
    if ours < theirs:
        return f"With {count}, {rival} reaches {theirs:.3f}, which is better."
    first = next(point.labelled for point in points if round(point.accuracy, 3) >= round(theirs, 3))
    lead = f"With {count}, {rival} reaches {theirs:.3f}"
    return f"{lead}, which took {first:,} here." if first < at else f"{lead}."


def _points(curve: Curve) -> list[_Point]:
    return [
        _Point(entry.labelled, entry.accuracy)
        for entry in curve.rounds
        if entry.accuracy is not None
    ]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"
