"""Self-contained HTML reports: one file, no network, readable on a phone and in the dark."""

from __future__ import annotations

from .comparison import ComparisonData
from .data import Curve, Pick, ReportData, Represented, Round, SelectionData
from .html import (
    write_checks,
    write_comparison,
    write_replay,
    write_report,
    write_selection,
)
from .of_checks import ChecksData, checks_of
from .of_experiments import check_figure, comparison_of, write_figure
from .of_loops import report_of
from .of_replay import replay_of
from .of_selection import selection_of
from .replay import ReplayData
from .replay_figure import write_replay_figure
from .thumbnails import make_thumbnail

__all__ = [
    "ChecksData",
    "ComparisonData",
    "Curve",
    "Pick",
    "ReplayData",
    "ReportData",
    "Represented",
    "Round",
    "SelectionData",
    "check_figure",
    "checks_of",
    "comparison_of",
    "make_thumbnail",
    "replay_of",
    "report_of",
    "selection_of",
    "write_checks",
    "write_comparison",
    "write_figure",
    "write_replay",
    "write_replay_figure",
    "write_report",
    "write_selection",
]
