"""Labels: the log in the workspace, files of ``path, label``, and how they meet a dataset.

Labels are keyed by an item's id, its path relative to the dataset's folder; never by base name,
because two folders may both hold ``img_001.jpg``.
"""

from __future__ import annotations

from ._formats import format_of as table_format
from .log import LabelLog
from .log_current import Current, Matched
from .log_event import Event
from .log_replay import State, replay
from .matching import rows_for
from .metadata import read_metadata
from .reading import read_labels
from .tables import write_table
from .writing import write_labels

__all__ = [
    "Current",
    "Event",
    "LabelLog",
    "Matched",
    "State",
    "read_labels",
    "read_metadata",
    "replay",
    "rows_for",
    "table_format",
    "write_labels",
    "write_table",
]
