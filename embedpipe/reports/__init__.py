"""Self-contained HTML reports: one file, no network, readable on a phone and in the dark."""

from __future__ import annotations

from .data import Curve, Pick, ReportData, Represented, Round, SelectionData
from .html import write_report, write_selection
from .of_loops import report_of
from .of_selection import selection_of
from .thumbnails import make_thumbnail

__all__ = [
    "Curve",
    "Pick",
    "ReportData",
    "Represented",
    "Round",
    "SelectionData",
    "make_thumbnail",
    "report_of",
    "selection_of",
    "write_report",
    "write_selection",
]
