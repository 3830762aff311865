"""CSV: one line for each item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .base import Format, OpenImage, register
from .entries import Entry
from .labelled import Labelled
from .rows import csv_rows, row_entry, write_rows

__all__ = ["CsvFormat"]


@register
class CsvFormat(Format):
    r"""A table with the columns path and label, for spreadsheets and scripts.

    The path is the item's own, relative to the dataset's folder. The columns ``status``
    (``label``, ``skip``, ``unsure``), ``prediction`` with ``score`` and ``model``, and ``who`` are
    read where they are there and written where they hold something; others are ignored. Text is
    UTF-8, with or without a byte-order mark; semicolons and tabs may stand for commas.

    Examples
    --------
    >>> file = CsvFormat().write(tmp / "labels.csv", [Labelled("a/1.jpg", "hat")])
    >>> file.read_text()
    'path,label\na/1.jpg,hat\n'
    """

    name = "csv"
    suffix = ".csv"
    carries = frozenset({"skip", "unsure", "prediction", "score", "who", "model"})

    def _entries(self, path: Path) -> Iterable[Entry]:
        return (row_entry(*row) for row in csv_rows(path, ("path", "label")))

    def _write(
        self,
        path: Path,
        items: Sequence[Labelled],
        open_image: OpenImage | None,
        options: Mapping[str, Any],
    ) -> None:
        write_rows(path, items)
