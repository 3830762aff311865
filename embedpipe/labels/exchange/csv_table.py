"""CSV: one line for each item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .base import Format, OpenImage, ReadOptions, register
from .entries import Entry
from .labelled import Labelled
from .rows import label_entries, write_rows

__all__ = ["CsvFormat"]


@register
class CsvFormat(Format):
    r"""A table with the columns path and label, for spreadsheets and scripts.

    The path is the item's own, relative to the dataset's folder. The columns ``status``
    (``label``, ``skip``, ``unsure``), ``prediction`` with ``score`` and ``model``, and ``who`` are
    read where they are there and written where they hold something; others are ignored. Text is
    UTF-8; semicolons and tabs may stand for commas. A text that a spreadsheet would calculate has
    an apostrophe before it, which is taken off again.

    Examples
    --------
    >>> file = CsvFormat().write(tmp / "labels.csv", [Labelled("a/1.jpg", "hat")])
    >>> file.read_text()
    'path,label\na/1.jpg,hat\n'
    """

    name = "csv"
    suffix = ".csv"
    carries = frozenset({"skip", "unsure", "prediction", "score", "who", "model"})

    def _entries(self, path: Path, given: ReadOptions) -> Iterable[Entry]:
        return label_entries(path, self.suffix)

    def _write(
        self,
        path: Path,
        items: Sequence[Labelled],
        open_image: OpenImage | None,
        options: Mapping[str, Any],
    ) -> None:
        write_rows(path, items)
