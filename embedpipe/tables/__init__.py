"""Tables of text: one reader and one writer of CSV, JSON Lines and Parquet.

Manifests, label files, metadata and the tables of other programs are all read here. A table gives
the same text whichever of the three file types holds it; `read_table` states the rules.
"""

from __future__ import annotations

from .csv_text import guard, unguard
from .label_rows import STATUSES, canonical_status, check_no_predictions, sure_labels
from .table_reader import SUFFIXES, Table, read_table, table_format
from .table_writer import csv_bytes, csv_writer, table_bytes, write_table
from .values import changed_number, column_of, label_array, missing, text_of, tidy, whole_numbers

__all__ = [
    "STATUSES",
    "SUFFIXES",
    "Table",
    "canonical_status",
    "changed_number",
    "check_no_predictions",
    "column_of",
    "csv_bytes",
    "csv_writer",
    "guard",
    "label_array",
    "missing",
    "read_table",
    "sure_labels",
    "table_bytes",
    "table_format",
    "text_of",
    "tidy",
    "unguard",
    "whole_numbers",
    "write_table",
]
