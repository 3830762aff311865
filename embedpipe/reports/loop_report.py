"""The report of a run: its data, its headline and its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .._deprecated import old_attribute, old_parameters
from ..errors import UsageError
from .charts import Series, line_chart
from .pages import check_type, plural, write_page
from .thumbnails import Pick, thumbnails_of

if TYPE_CHECKING:
    from ..active import ActiveLoop, Problem, RoundRecord

__all__ = ["Curve", "ReportData", "Round", "advice_of", "report_of", "write_report"]

MAX_CURVES = 6
"""Maximum number of curves in a report: its table has five columns for each curve."""

ADVICE = {
    "continue": "Advice: continue labelling.",
    "stop soon": "Advice: stop labelling soon.",
    "stop": "Advice: stop labelling.",
}
"""First sentence of the advice on stopping."""

RANDOM = "random"
"""Name of the strategy that selects at random."""


@dataclass(frozen=True)
class Round:
    """One round of a loop: measures from 0 to 1 on the test images, seconds, and picks.

    `labelled` is the number of labels after the round.
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
    """The rounds of one loop, with the loop's name in the legend; `baseline` marks the baseline."""

    name: str
    rounds: tuple[Round, ...]
    baseline: bool = False


@old_parameters(upper_bound="upper_baseline")
@dataclass(frozen=True)
class ReportData:
    """The data of a report.

    Attributes
    ----------
    title, facts, command
        Name of the dataset, names and values below the headline, the command line.
    curves
        The selected strategy first; at most one curve is the baseline.
    upper_baseline
        Accuracy of the same model with all labels; None if unknown.
    advice
        Advice on stopping, or None.
    source
        The loops, for sections of other packages.
    details
        Names and values behind "Details", for example the strategy.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    curves: tuple[Curve, ...]
    command: str | None = None
    upper_baseline: float | None = None
    advice: str | None = None
    source: Any = field(default=None, repr=False, compare=False)
    details: tuple[tuple[str, str], ...] = ()

    upper_bound = old_attribute("upper_bound", "upper_baseline")


@old_parameters(upper_bound="upper_baseline")
def report_of(
    loops: Sequence[ActiveLoop],
    *,
    baseline: ActiveLoop | None = None,
    upper_baseline: float | None = None,
    command: str | None = None,
) -> ReportData:
    """Return the data of a report on loops.

    Parameters
    ----------
    loops
        At least one finished loop, all on the same problem; the headline is about the first.
        Without a dataset, picks are named by their rows and have no images. For the results of an
        experiment, use `comparison_of`.
    baseline
        Loop that the other loops are compared with.
    upper_baseline
        Accuracy of the model with all labels.
    command
        The command line.
    """
    _check_loops(loops)
    first = loops[0]
    problem = first.problem
    all_loops = [*loops, *([] if baseline is None else [baseline])]
    picked = {r for loop in all_loops for record in loop.records for r in record.rows.tolist()}
    names = {row: _name_of_row(problem, row) for row in sorted(picked)}
    thumbnails: dict[str, bytes | None] = {}
    if problem.embeddings is not None:
        thumbnails = thumbnails_of(problem.embeddings.dataset, list(names.values()))
    curves = tuple(
        Curve(
            name=name,
            rounds=tuple(_round(record, names, thumbnails) for record in loop.records),
            baseline=loop is baseline,
        )
        for loop, name in zip(all_loops, _curve_names(loops, baseline), strict=True)
    )
    return ReportData(
        title=problem.name,
        facts=(
            ("images", f"{len(problem.matrix):,}"),
            ("classes", f"{_class_count(problem):,}"),
            ("images to label", f"{len(problem.candidates):,}"),
            ("test images", f"{len(problem.test_rows):,}"),
        ),
        curves=curves,
        command=command,
        upper_baseline=upper_baseline,
        advice=_named_advice(first, several=len(loops) > 1),
        source=tuple(all_loops),
        details=(
            ("strategy", _strategies(first)),
            ("model", repr(first.head)),
            *_vectors(problem),
            ("copies of test images left out", f"{problem.copies_left_out:,}"),
            ("seed", str(first.options.seed)),
            *_changed_options(first),
        ),
    )


def _check_loops(loops: Any) -> None:
    """Refuse anything but a list of at least one loop."""
    from ..active import ActiveLoop

    hint = "give a list of loops, or use `comparison_of` for the results of an experiment"
    check_type(loops, Sequence, hint)
    for loop in loops:
        check_type(loop, ActiveLoop, hint)
    if not loops:
        raise UsageError("there is no loop for the report: give at least one.")


def advice_of(loop: ActiveLoop) -> str | None:
    """Return the advice on stopping as text; None if the loop has none."""
    advice = loop.records[-1].advice if loop.records else {}
    if not advice.get("reason"):
        return None
    return f"{ADVICE.get(advice['advice'], 'No advice yet.')} {advice['reason']}"


def _named_advice(loop: ActiveLoop, *, several: bool) -> str | None:
    """Return the advice on stopping, with the strategies if there are several loops."""
    advice = advice_of(loop)
    return f"{_strategies(loop)}. {advice}" if several and advice else advice


def _name_of_row(problem: Problem, row: int) -> str:
    return f"row {row}" if problem.ids is None else problem.ids[row]


def _class_count(problem: Problem) -> int:
    if problem.embeddings is not None:
        return len(problem.embeddings.dataset.class_names)
    return len({*problem.oracle.classes.tolist(), *problem.test_labels.tolist()})


def _vectors(problem: Problem) -> list[tuple[str, str]]:
    if problem.embeddings is None:
        return [("vectors", f"{problem.matrix.shape[1]:,} dims")]
    spec = problem.embeddings.spec
    backbone = f"{spec.backbone['architecture']}, {spec.dim:,} dims"
    return [("backbone", backbone), ("precision", spec.precision)]


def _changed_options(loop: ActiveLoop) -> list[tuple[str, str]]:
    """Return names and values of options that differ from the defaults."""
    labelling, facts = loop.options.labelling, []
    if loop.options.mode != "cumulative":
        facts.append(("training mode", loop.options.mode))
    if loop.options.skip:
        facts.append(("skipped in each round", str(loop.options.skip)))
    if labelling.noise:
        facts.append(("wrong labels", f"{labelling.noise:.0%}, {labelling.kind}"))
    if labelling.abstain:
        facts.append(("unanswered", f"{labelling.abstain:.0%}"))
    return facts


def _strategies(loop: ActiveLoop) -> str:
    names = [str(loop.initial), str(loop.strategy)]
    return names[0] if names[0] == names[1] else f"{names[0]}, then {names[1]}"


def _curve_names(loops: Sequence[ActiveLoop], baseline: ActiveLoop | None) -> list[str]:
    """Return plain names for one loop, such as "suggested images"; strategies for several loops."""
    everything = [*loops, *([] if baseline is None else [baseline])]
    same_mode = len({loop.options.mode for loop in everything}) == 1
    if len(loops) == 1 and same_mode:
        random = {loop: _strategies(loop) == RANDOM for loop in everything}
        if baseline is None or (random[baseline] and not random[loops[0]]):
            return ["random images" if random[loop] else "suggested images" for loop in everything]
    names = [_strategies(loop) for loop in everything]
    if same_mode:
        return names
    return [f"{n} ({loop.options.mode})" for n, loop in zip(names, everything, strict=True)]


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
    """Two texts: the result, and its comparison with the baseline (blank without a baseline)."""

    result: str
    comparison: str


class _Point(NamedTuple):
    labelled: int
    accuracy: float


def write_headline(curve: Curve, baseline: Curve | None) -> Headline:
    """Return the last accuracy of a curve, and a comparison of the curve with the baseline."""
    points = _points(curve)
    if not points:
        images = sum(len(entry.picks) for entry in curve.rounds)
        return Headline(
            f"{plural(images, 'image')} selected in {plural(len(curve.rounds), 'round')}",
            "There is no accuracy, because there are no labelled test images.",
        )
    last = points[-1]
    result = f"{last.accuracy:.3f} accuracy with {plural(last.labelled, 'label')}"
    rivals = _points(baseline) if baseline is not None else []
    if baseline is None or not rivals:
        return Headline(result, "")
    name = "Random selection" if baseline.name in ("random images", RANDOM) else baseline.name
    return Headline(result, _compare(points, name[:1].upper() + name[1:], rivals))


def _compare(points: list[_Point], rival: str, rivals: list[_Point]) -> str:
    """Compare two curves at the largest number of labels that both have."""
    shared = {point.labelled for point in points} & {point.labelled for point in rivals}
    if not shared:
        other = rivals[-1]
        return f"{rival} reaches {other.accuracy:.3f} with {plural(other.labelled, 'label')}."
    at = max(shared)
    ours = next(point.accuracy for point in points if point.labelled == at)
    theirs = round(next(point.accuracy for point in rivals if point.labelled == at), 3)
    reaches = f"{rival} reaches {theirs:.3f} with {plural(at, 'label')}"
    if round(ours, 3) == theirs:
        return f"{rival} reaches the same accuracy with {plural(at, 'label')}."
    if ours < theirs:
        return f"{reaches}, which is better."
    own, other_needs = (
        next(point.labelled for point in each if round(point.accuracy, 3) >= theirs)
        for each in (points, rivals)
    )
    if own < other_needs:
        return (
            f"{rival} needs {plural(other_needs, 'label')} for {theirs:.3f}; this strategy needed "
            f"{own:,}."
        )
    return f"{reaches}."


def _points(curve: Curve) -> list[_Point]:
    return [
        _Point(entry.labelled, entry.accuracy)
        for entry in curve.rounds
        if entry.accuracy is not None
    ]


# The page


def write_report(path: str | Path, data: ReportData) -> Path:
    """Write a report, whole or not at all; `data` is from `report_of`.

    The page is one HTML file that needs no other file. Its size is about 20 kB, plus 300 bytes for
    each pick, plus 4/3 of the size of the thumbnails.

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
    charts = (
        line_chart(
            [_series(curve, "accuracy") for curve in data.curves],
            "Accuracy",
            upper_baseline=data.upper_baseline,
            end_values=True,
        ),
        line_chart(
            [_series(curve, "macro_f1") for curve in data.curves], "Macro-F1", end_values=True
        ),
    )
    return write_page(
        path,
        "loop.html.j2",
        data,
        *headline,
        details=data.details,
        charts=[chart for chart in charts if chart is not None],
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


def _series(curve: Curve, metric: str) -> Series:
    """Return the values of a metric in the rounds that have it."""
    values = [(entry.labelled, getattr(entry, metric)) for entry in curve.rounds]
    known = [(labelled, value) for labelled, value in values if value is not None]
    return Series(curve.name, [x for x, _ in known], [y for _, y in known])


def _aligned(curves: tuple[Curve, ...]) -> list[tuple[int, list[Round | None]]]:
    """Return the number of each round, and this round of every curve."""
    by_number = [{entry.round: entry for entry in curve.rounds} for curve in curves]
    numbers = sorted({number for rounds in by_number for number in rounds})
    return [(number, [rounds.get(number) for rounds in by_number]) for number in numbers]
