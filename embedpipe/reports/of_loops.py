"""From finished loops to what a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .data import Curve, Pick, ReportData, Round
from .thumbnails import thumbnails_of

if TYPE_CHECKING:
    from ..active import ActiveLoop, Problem, RoundRecord

__all__ = ["report_of"]


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
    return ReportData(first.problem.name, facts, curves, command, upper_bound, advice_of(first))


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
