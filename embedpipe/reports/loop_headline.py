"""The headline of the report of a run: the last accuracy, and its comparison with a baseline."""

from __future__ import annotations

from typing import NamedTuple

from .loop_report import RANDOM, Curve
from .pages import plural

__all__ = ["Headline", "write_headline"]


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
