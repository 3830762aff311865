"""HTML reports. A report is one file that needs no network and supports phones and dark mode."""

from __future__ import annotations

from . import sections
from .charts import Axis, HeatMap, LineChart, Series, heat_map, line_chart
from .check_report import ChecksData, checks_of, write_checks
from .comparison_report import ComparisonData, comparison_of, write_comparison
from .figures import check_figure, write_figure, write_replay_figure
from .loop_report import Curve, ReportData, Round, report_of, write_report
from .replay_report import ReplayData, replay_of, write_replay
from .selection_report import Represented, SelectionData, selection_of, write_selection
from .thumbnails import Pick, make_thumbnail

__all__ = [
    "Axis",
    "ChecksData",
    "ComparisonData",
    "Curve",
    "HeatMap",
    "LineChart",
    "Pick",
    "ReplayData",
    "ReportData",
    "Represented",
    "Round",
    "SelectionData",
    "Series",
    "check_figure",
    "checks_of",
    "comparison_of",
    "heat_map",
    "line_chart",
    "make_thumbnail",
    "replay_of",
    "report_of",
    "sections",
    "selection_of",
    "write_checks",
    "write_comparison",
    "write_figure",
    "write_replay",
    "write_replay_figure",
    "write_report",
    "write_selection",
]
