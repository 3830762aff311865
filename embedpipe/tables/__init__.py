"""One reader and one writer of CSV, JSON Lines and Parquet tables.

Manifests, label files, metadata and tables of other programs are all read with `read_table`.
"""

from __future__ import annotations

from .csv_text import guard, unguard
from .table_reader import (
    STATUSES,
    SUFFIXES,
    Table,
    canonical_status,
    check_no_predictions,
    read_table,
    sure_labels,
    table_format,
)
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
