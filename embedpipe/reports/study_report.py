"""Shared parts of the pages of `compare` and `replay`: groups of settings, curves and rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .._versions import versions
from .charts import LABELS, Axis, LineChart, Series, line_chart

if TYPE_CHECKING:
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


@dataclass(frozen=True, kw_only=True)
class StudyGroup:
    """Settings that can be compared, and their charts."""

    title: str
    facts: tuple[tuple[str, str], ...]
    rows: tuple[Any, ...]  # the best first
    curves: tuple[Series | None, ...]  # accuracies, in the order of the rows
    differences: tuple[Series | None, ...]  # from the baseline, in the order of the rows
    upper_baseline: float | None  # accuracy of the upper baseline
    axis: Axis = LABELS
    chart_titles: tuple[str, str] = ("Accuracy", "Against the baseline")
    chart_notes: tuple[str, str] = (
        "mean over the seeds, 95 % interval; no interval below three distinct runs",
        "mean difference in accuracy, paired by seed, 95 % interval; filled points: significant "
        "after Holm's correction, for strategies whose area under the budget curve differs "
        "significantly from that of the baseline",
    )

    @cached_property
    def charts(self) -> list[LineChart]:
        """The charts of accuracies and differences, without empty charts."""
        titles, notes = self.chart_titles, self.chart_notes
        found = (
            line_chart(
                self.curves, titles[0], notes[0], axis=self.axis, upper_baseline=self.upper_baseline
            ),
            line_chart(self.differences, titles[1], notes[1], axis=self.axis, signed=True),
        )
        return [chart for chart in found if chart is not None]


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


def mean_series(name: str, x: Sequence[float], means: Sequence[Interval]) -> Series:
    """Return the curve of means with their intervals."""
    return Series(
        name,
        x,
        [each.estimate for each in means],
        [each.low for each in means],
        [each.high for each in means],
    )


def difference_series(
    name: str, against: str, x: Sequence[float], rounds: RoundComparison
) -> Series:
    """Return the curve of differences from the baseline, with significant points marked."""
    return Series(
        f"{name} against {against}",
        x,
        rounds.difference.tolist(),
        rounds.low.tolist(),
        rounds.high.tolist(),
        (rounds.above(SIGNIFICANT) | rounds.below(SIGNIFICANT)).tolist(),
    )


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
