"""Labels: the log in the workspace, files of ``path, label``, and how they meet a dataset.

Labels are keyed by an item's id, its path relative to the dataset's folder; never by base name,
because two folders may both hold ``img_001.jpg``.
"""

from __future__ import annotations

from ..tables import table_format, write_table
from .files import read_labels, write_labels
from .log import LabelLog
from .log_current import Current, Matched
from .log_event import Event
from .log_replay import State, replay
from .matching import resolve_labels, rows_for
from .metadata import read_metadata
from .resolver import PathResolver

__all__ = [
    "Current",
    "Event",
    "LabelLog",
    "Matched",
    "PathResolver",
    "State",
    "read_labels",
    "read_metadata",
    "replay",
    "resolve_labels",
    "rows_for",
    "table_format",
    "write_labels",
    "write_table",
]
