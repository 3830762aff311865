"""What the page of a replay study shows, in plain types, and the layout of its heat maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .comparison import Axis, Band, ComparisonPanel, lay_out_bands

__all__ = [
    "AccuracyMap",
    "Difference",
    "HeatCell",
    "HeatRow",
    "Learned",
    "ReplayData",
    "ReplayGroup",
    "ReplayMetric",
    "lay_out_curves",
    "lay_out_heat_map",
    "scale_of",
]

EXPERIENCES = Axis(
    name="experiences learned",
    against="the number of experiences learned",
    at="after experience {:.0f}",
    bound="",
    counted=True,
)


@dataclass(frozen=True)
class ReplayMetric:
    """A number that the page tells: its name, what it means, and whether less of it is better."""

    name: str
    meaning: str
    lower_is_better: bool = False


@dataclass(frozen=True)
class Difference:
    """How far a setting is from the baseline in one metric, as it is shown.

    Attributes
    ----------
    text, p
        The mean difference with its interval, and the corrected p-value.
    verdict
        ``"better"``, ``"worse"``, ``"no difference shown"``, ``"not tested"``, or empty where
        nothing was compared.
    """

    text: str
    p: str
    verdict: str


@dataclass(frozen=True)
class Learned:
    """A row of the table: one way to learn the stream.

    Attributes
    ----------
    name
        As a reader would say it: ``"el2n, 5 %"``.
    role
        What it is there for: ``"baseline"``, what a bound bounds, or empty.
    runs
        How many distinct runs the seeds gave.
    kept
        How many rows the buffer holds in the end.
    means, differences
        One for each metric; the baseline has no differences.
    against
        What it is compared with; empty for the baseline.
    at_once
        Whether there is an accuracy after the last experience alone, and so no curve.
    """

    name: str
    role: str
    runs: str
    kept: str
    means: tuple[str, ...]
    differences: tuple[Difference, ...]
    against: str
    at_once: bool = False


@dataclass(frozen=True)
class AccuracyMap:
    """The accuracy matrix of a setting, the mean over the seeds.

    Attributes
    ----------
    name
        Of the setting.
    matrix
        Rows of T accuracies, after each experience that is learned; NaN where none is defined.
    so_far
        For each row the accuracy that its curve shows; NaN where there is none.
    shown
        Whether it is there without being asked for.
    """

    name: str
    matrix: tuple[tuple[float, ...], ...]
    so_far: tuple[float, ...]
    shown: bool = False


@dataclass(frozen=True)
class ReplayGroup:
    """The settings of one stream and one head.

    Attributes
    ----------
    title
        What they have in common.
    facts
        Names and values: protocol, experiences, seeds, what is never learned.
    protocol
        ``"iid"`` or ``"streaming"``.
    headings
        Of the T experiences, short.
    experiences
        Their names, where the headings do not tell them.
    rows
        The best policy first, then the bounds.
    curves, differences
        In the order of the rows; None where there is no curve, or nothing to compare.
    bound
        What learning everything at once reaches, or None.
    maps
        One for each row.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    protocol: str
    headings: tuple[str, ...]
    experiences: tuple[str, ...]
    rows: tuple[Learned, ...]
    curves: tuple[Band | None, ...]
    differences: tuple[Band | None, ...]
    bound: float | None
    maps: tuple[AccuracyMap, ...]


@dataclass(frozen=True)
class ReplayData:
    """A whole page.

    Attributes
    ----------
    title
        Of what.
    result, comparison
        The headline, and the sentences below it.
    facts
        Names and values for the line under it.
    metrics
        What is told of every setting; the first decides who is best.
    groups
        What is shown.
    command
        What was typed.
    failures
        What could not be done.
    """

    title: str
    result: str
    comparison: str
    facts: tuple[tuple[str, str], ...]
    metrics: tuple[ReplayMetric, ...]
    groups: tuple[ReplayGroup, ...]
    command: str | None = None
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeatCell:
    """A cell: its number as text, and how much of the colour it has in percent; None for none."""

    text: str
    shade: int | None
    own: bool = False


@dataclass(frozen=True)
class HeatRow:
    """What was measured after an experience: its heading, its cells, the accuracy so far."""

    heading: str
    cells: tuple[HeatCell, ...]
    so_far: str


def scale_of(maps: Sequence[AccuracyMap]) -> tuple[float, float] | None:
    """Return the lowest and the highest accuracy of several maps; None if they have none."""
    known = [v for each in maps for row in each.matrix for v in row if math.isfinite(v)]
    return (min(known), max(known)) if known else None


def lay_out_heat_map(
    shown: AccuracyMap, headings: Sequence[str], scale: tuple[float, float] | None
) -> tuple[HeatRow, ...]:
    """Return the rows of a heat map.

    Parameters
    ----------
    shown
        What to show.
    headings
        Of the experiences.
    scale
        The accuracies that have no colour and all of it, so that maps can be compared.

    Examples
    --------
    >>> nan = float("nan")
    >>> shown = AccuracyMap("naive", ((0.9, nan), (0.5, 0.8)), (0.9, 0.65))
    >>> for row in lay_out_heat_map(shown, ["a", "b"], (0.5, 0.9)):
    ...     print(row.heading, [(cell.text, cell.shade) for cell in row.cells], row.so_far)
    a [('0.900', 100), ('–', None)] 0.900
    b [('0.500', 0), ('0.800', 75)] 0.650
    """
    return tuple(
        HeatRow(
            headings[at],
            tuple(
                HeatCell(_told(value), _shade(value, scale), own=at == column)
                for column, value in enumerate(row)
            ),
            _told(shown.so_far[at]),
        )
        for at, row in enumerate(shown.matrix)
    )


def lay_out_curves(group: ReplayGroup) -> list[ComparisonPanel]:
    """Return the figures of a group: accuracy by experience, and how far from the baseline."""
    tested = (
        "mean accuracy on the experiences seen so far"
        if group.protocol == "iid"
        else "accuracy on the experience to come"
    )
    panels = (
        lay_out_bands(
            group.curves,
            "Accuracy along the stream",
            f"{tested}; mean over the seeds, 95 % interval; none below three distinct runs",
            bound=group.bound,
            axis=EXPERIENCES,
        ),
        lay_out_bands(
            group.differences,
            "Against the baseline",
            "mean difference in that, seed by seed, 95 % interval; filled: significant after "
            "Holm's correction, for policies that differ significantly in the first metric",
            signed=True,
            axis=EXPERIENCES,
        ),
    )
    return [panel for panel in panels if panel is not None]


def _told(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"


def _shade(value: float, scale: tuple[float, float] | None) -> int | None:
    if scale is None or not math.isfinite(value):
        return None
    low, high = scale
    share = (value - low) / (high - low) if high > low else 0.5
    return round(100 * min(max(share, 0.0), 1.0))
