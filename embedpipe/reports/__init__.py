"""HTML reports. A report is one file that needs no network and supports phones and dark mode."""

from __future__ import annotations

from . import sections
from .charts import (
    Axis,
    BarChart,
    Chart,
    HeatMap,
    LineChart,
    PointMap,
    Series,
    bar_chart,
    heat_map,
    line_chart,
    point_map,
)
from .check_report import ChecksData, checks_of, write_checks
from .comparison_report import ComparisonData, comparison_of, write_comparison
from .data_report import DataReport, data_report_of, write_data_report
from .figures import check_figure, write_figure, write_replay_figure
from .images import ImageGrid, show_images
from .interactive import figure_of
from .loop_page import write_report
from .loop_report import Curve, ReportData, Round, report_of
from .picks import Guess, Neighbour, Pick
from .plots import (
    plot_active_learning_results,
    plot_active_learning_results_many,
    plot_comparison,
    plot_replay,
)
from .replay_report import ReplayData, replay_of, write_replay
from .selection_report import Represented, SelectionData, selection_of, write_selection
from .thumbnails import make_thumbnail

__all__ = [
    "Axis",
    "BarChart",
    "Chart",
    "ChecksData",
    "ComparisonData",
    "Curve",
    "DataReport",
    "Guess",
    "HeatMap",
    "ImageGrid",
    "LineChart",
    "Neighbour",
    "Pick",
    "PointMap",
    "ReplayData",
    "ReportData",
    "Represented",
    "Round",
    "SelectionData",
    "Series",
    "bar_chart",
    "check_figure",
    "checks_of",
    "comparison_of",
    "data_report_of",
    "figure_of",
    "heat_map",
    "line_chart",
    "make_thumbnail",
    "plot_active_learning_results",
    "plot_active_learning_results_many",
    "plot_comparison",
    "plot_replay",
    "point_map",
    "replay_of",
    "report_of",
    "sections",
    "selection_of",
    "show_images",
    "write_checks",
    "write_comparison",
    "write_data_report",
    "write_figure",
    "write_replay",
    "write_replay_figure",
    "write_report",
    "write_selection",
]
