"""Shared parts of the pages of `compare` and `replay`: groups of settings, curves and rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .._versions import versions
from .charts import LABELS, Axis, BarChart, Chart, Series, line_chart

if TYPE_CHECKING:
    from ..experiments.curves import Curves
    from ..experiments.statistics import Interval, RoundComparison

__all__ = ["StudyData", "StudyGroup", "StudyRow"]

SIGNIFICANT = 0.05
"""Significance level of all tests on the pages."""


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """A row of the table of a group: one setting."""

    name: str
    runs: str  # number of distinct runs
    against: str  # baseline of the comparison; empty for the baseline itself
    baseline: bool
    at_once: bool = False  # whether it is a joint fit: one accuracy, no curve
    place: int = 0  # position of its colour, the same in all groups, see `placed`
    colour: str = ""  # colour of a palette of one's own


@dataclass(frozen=True, kw_only=True)
class StudyGroup:
    """Settings that can be compared, and their charts."""

    title: str
    facts: tuple[tuple[str, str], ...]
    rows: tuple[Any, ...]  # the best first
    curves: tuple[Series | None, ...]  # accuracies, in the order of the rows
    differences: tuple[Series | None, ...]  # from the baseline, in the order of the rows
    upper_baseline: float | None  # accuracy of the upper baseline
    bars: tuple[BarChart | None, ...] = ()  # charts after the curves, with names of rows
    axis: Axis = LABELS
    chart_titles: tuple[str, str] = ("Accuracy", "Against the baseline")
    chart_notes: tuple[str, str] = (
        "mean over the seeds, 95 % interval; no interval below three distinct runs",
        "mean difference in accuracy, paired by seed, 95 % interval; filled points: significant "
        "after Holm's correction, for strategies whose area under the budget curve differs "
        "significantly from that of the baseline",
    )

    @cached_property
    def charts(self) -> list[Chart]:
        """The charts of accuracies and differences, and of bars, without empty charts."""
        titles, notes = self.chart_titles, self.chart_notes
        curves, differences = self._by_place(self.curves), self._by_place(self.differences)
        found = (
            line_chart(
                curves, titles[0], notes[0], axis=self.axis, upper_baseline=self.upper_baseline
            ),
            line_chart(differences, titles[1], notes[1], axis=self.axis, signed=True),
            *self.bars,
        )
        return [chart for chart in found if chart is not None]

    def _by_place(self, series: Sequence[Series | None]) -> list[Series | None]:
        """Return series of the rows in the order of their places, with None between them."""
        known = {row.place: each for row, each in zip(self.rows, series, strict=True)}
        return [known.get(place) for place in range(max(known, default=-1) + 1)]


@dataclass(frozen=True)
class StudyData:
    """The data of the page of a study: headline, sentences, facts, groups and failures.

    `source` holds the results, for sections of other packages.
    """

    title: str
    result: str
    comparison: str
    facts: tuple[tuple[str, str], ...]
    groups: tuple[Any, ...]
    command: str | None = None
    failures: tuple[str, ...] = ()
    source: Any = field(default=None, repr=False, compare=False)


Group = TypeVar("Group", bound=StudyGroup)


def places_of(names: Iterable[str]) -> dict[str, int]:
    """Return the position of the colour of each name, in the order of the first appearance."""
    return {name: at for at, name in enumerate(dict.fromkeys(names))}


def placed(groups: Iterable[Group], places: Mapping[str, int]) -> tuple[Group, ...]:
    """Give rows of the same name the same colour in all groups."""
    return tuple(
        replace(group, rows=tuple(replace(row, place=places[row.name]) for row in group.rows))
        for group in groups
    )


def mean_series(
    name: str, x: Sequence[float], means: Sequence[Interval], runs: Sequence[Series] = ()
) -> Series:
    """Return the curve of means with their intervals, and the single runs behind it."""
    return Series(
        name,
        x,
        [each.estimate for each in means],
        [each.low for each in means],
        [each.high for each in means],
        runs=runs,
    )


def difference_series(
    name: str,
    against: str,
    x: Sequence[float],
    rounds: RoundComparison,
    runs: Sequence[Series] = (),
) -> Series:
    """Return the curve of differences from the baseline, with significant points marked."""
    return Series(
        f"{name} against {against}",
        x,
        rounds.difference.tolist(),
        rounds.low.tolist(),
        rounds.high.tolist(),
        (rounds.above(SIGNIFICANT) | rounds.below(SIGNIFICANT)).tolist(),
        runs=runs,
    )


def run_series(name: str, curves: Curves) -> list[Series]:
    """Return the curve of each seed that has a run."""
    found = []
    for at, seed in enumerate(curves.seeds):
        labelled, values = curves.of_seed(at)
        if values.size:
            found.append(Series(f"{name}, seed {seed}", labelled.tolist(), values.tolist()))
    return found


def paired_series(name: str, against: str, own: Curves, other: Curves) -> list[Series]:
    """Return the difference of two settings in each round, for each seed that has both."""
    found = []
    for at, seed in enumerate(own.seeds):
        difference = own.values[at] - other.values[at]  # (R,)
        known = np.flatnonzero(~np.isnan(difference))
        if known.size:
            x, y = own.budgets[known].tolist(), difference[known].tolist()
            found.append(Series(f"{name} against {against}, seed {seed}", x, y))
    return found


def version_facts(*names: str) -> tuple[tuple[str, str], ...]:
    """Return the versions of these packages, if they are installed."""
    known = versions()
    return tuple((name, known[name]) for name in names if name in known)


def ranges(numbers: Sequence[int]) -> str:
    """Format ascending whole numbers with ranges: "0–3, 7"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ", ".join("–".join(map(str, part)) for part in parts)
