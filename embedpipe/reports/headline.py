"""The result of a report, in words."""

from __future__ import annotations

from typing import NamedTuple

from .data import Curve


class Headline(NamedTuple):
    """The result in a few words, and what to compare it with."""

    result: str
    comparison: str


class _Point(NamedTuple):
    labelled: int
    accuracy: float


def write_headline(curve: Curve, baseline: Curve | None) -> Headline:
    """Say how good the head became, from how many labels, and what the baseline needs for that.

    Parameters
    ----------
    curve
        The selected strategy.
    baseline
        What to compare it with, if anything.

    Returns
    -------
    Headline
        No number in it is interpolated: each stands in a round.

    Examples
    --------
    >>> from embedpipe.reports import Round
    >>> def curve(name, *accuracies):
    ...     return Curve(name, tuple(
    ...         Round(i, 100 * (i + 1), a, a, 0.0, 0.0, name) for i, a in enumerate(accuracies)
    ...     ))
    >>> write_headline(curve("margin", 0.7, 0.8), curve("random", 0.6, 0.7))
    Headline(result='0.800 accuracy from 200 labels',
        comparison='With as many labels, random reaches 0.700, which took 100 here.')
    """
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
