"""Self-contained HTML reports: one file, no network, readable on a phone and in the dark."""

from __future__ import annotations

from .data import Curve, Pick, ReportData, Round
from .html import write_report
from .of_loops import report_of
from .thumbnails import make_thumbnail

__all__ = ["Curve", "Pick", "ReportData", "Round", "make_thumbnail", "report_of", "write_report"]
