"""The formats of label files, told apart by suffix."""

from __future__ import annotations

from pathlib import Path

from ..errors import LabelError

COLUMNS = ("path", "label")
SUFFIXES = (".csv", ".jsonl", ".parquet")


def format_of(path: Path) -> str:
    """Return the suffix of a label file, in lower case.

    Raises
    ------
    LabelError
        If it is none of `SUFFIXES`.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise LabelError(
            f"{path} is not a label file by its suffix: use {', '.join(SUFFIXES[:-1])} "
            f"or {SUFFIXES[-1]}."
        )
    return suffix
