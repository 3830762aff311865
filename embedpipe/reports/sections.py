"""Sections that other packages add to the pages.

A section is a function that gets the data of a page and returns a `Section`, or None where it has
nothing to add. `register` files it; every page asks all registered sections, in the order of
registration, and shows them after its own. The data is a `ReportData`, `ComparisonData`,
`ReplayData`, `SelectionData` or `ChecksData`; its `source` is what the page was made from: the
loops, `Results`, `ReplayResults`, the `Selection`, or what `check` returned.

A section of the page of `run`, in a module that is loaded with ``--import`` or found by an entry
point::

    from embedpipe.reports import Axis, ReportData, Series, line_chart, sections

    TIME = Axis("minutes", "the minutes of labelling", "after {:.0f} minutes")

    @sections.register("label-cost")
    def label_cost(data):
        # Accuracy by the time that the labels take.
        if not isinstance(data, ReportData):
            return None
        rounds = data.curves[0].rounds
        minutes = [0.1 * entry.labelled for entry in rounds]
        accuracies = [entry.accuracy for entry in rounds]
        chart = line_chart([Series("accuracy", minutes, accuracies)], "Accuracy", axis=TIME)
        rows = tuple((f"{m:.0f}", f"{a:.3f}") for m, a in zip(minutes, accuracies))
        table = sections.Table(("Minutes", "Accuracy"), rows)
        return sections.Section("Cost of labels", ("Six seconds a label.",), (chart,), table)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._registry import Registry
from .charts import HeatMap, LineChart

__all__ = ["Section", "Table", "register", "registered", "sections_of"]


@dataclass(frozen=True)
class Table:
    """A table of texts: the headings of its columns, and its rows of as many cells."""

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
        Plain text, shown first.
    charts
        From `line_chart` and `heat_map`; None is left out.
    table
        Shown after the charts.
    html
        Markup that is shown last, unchanged: escape what comes from elsewhere. Pages load nothing,
        so scripts and addresses of images or style sheets have no effect.
    """

    title: str
    paragraphs: tuple[str, ...] = ()
    charts: tuple[LineChart | HeatMap | None, ...] = ()
    table: Table | None = None
    html: str = ""


Builder = Callable[[Any], Section | None]

registered = Registry[Builder]("report section", "embedpipe.report_sections")
"""All sections by name, those of installed packages too."""


def register(name: str) -> Callable[[Builder], Builder]:
    """Return a decorator that adds a function to the sections of all pages.

    Parameters
    ----------
    name
        Of the section, once only; it is the anchor of the section's heading.

    Raises
    ------
    UsageError
        If a section has that name already.
    """
    return registered.register(name)


def sections_of(data: Any) -> list[tuple[str, Section]]:
    """Return the names and sections that registered functions add to a page."""
    found = [(name, registered[name](data)) for name in registered]
    return [(name, section) for name, section in found if section is not None]
