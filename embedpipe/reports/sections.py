"""Sections of pages from other packages.

A registered function receives the data of a page and returns a `Section`, or None to add nothing.
Sections follow the page's own sections, in the order of registration. The data is a `ReportData`,
`ComparisonData`, `ReplayData`, `SelectionData`, `ChecksData` or `DataReport`. The attribute
`source` of the data holds the loops, `Results`, `ReplayResults`, `Selection` or result of `check`.

A section of the report of `run`, in a module for ``--import`` or an entry point::

    from embedpipe.reports import Axis, ReportData, Series, line_chart, sections

    TIME = Axis("minutes", "the minutes of labelling", "after {:.0f} minutes")

    @sections.register("label-cost")
    def label_cost(data):
        # Accuracy over the time of labelling.
        if not isinstance(data, ReportData):
            return None
        rounds = data.curves[0].rounds
        minutes = [0.1 * entry.labelled for entry in rounds]
        accuracies = [entry.accuracy for entry in rounds]
        chart = line_chart([Series("accuracy", minutes, accuracies)], "Accuracy", axis=TIME)
        rows = tuple((f"{m:.0f}", f"{a:.3f}") for m, a in zip(minutes, accuracies))
        table = sections.Table(("Minutes", "Accuracy"), rows)
        return sections.Section("Cost of labels", ("Six seconds for each label.",), (chart,), table)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._registry import Registry
from .charts import Chart

__all__ = ["Section", "Table", "register", "registered", "sections_of"]


@dataclass(frozen=True)
class Table:
    """A table of text cells."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A section of a page.

    Attributes
    ----------
    title
        Heading.
    paragraphs
        Plain text at the start.
    charts
        Charts from `line_chart`, `bar_chart`, `point_map` and `heat_map`; None is left out.
    table
        Table after the charts.
    html
        Markup at the end, which is not escaped. Scripts, external images and external style sheets
        are blocked.
    """

    title: str
    paragraphs: tuple[str, ...] = ()
    charts: tuple[Chart | None, ...] = ()
    table: Table | None = None
    html: str = ""


Builder = Callable[[Any], Section | None]

registered = Registry[Builder]("report section", "embedpipe.report_sections")
"""All sections by name, including those of installed packages."""


def register(name: str) -> Callable[[Builder], Builder]:
    """Return a decorator that adds a function to the sections of all pages.

    The name must be unique; it is also the anchor of the section's heading.
    """
    return registered.register(name)


def sections_of(data: Any) -> list[tuple[str, Section]]:
    """Return the names and sections for a page."""
    found = [(name, registered[name](data)) for name in registered]
    return [(name, section) for name, section in found if section is not None]
