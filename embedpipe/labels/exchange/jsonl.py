"""JSON Lines: one object for each item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .base import Format, OpenImage, ReadOptions, register
from .entries import Entry
from .labelled import Labelled
from .rows import label_entries, write_rows

__all__ = ["JsonLinesFormat"]


@register
class JsonLinesFormat(Format):
    r"""One JSON object a line with the keys path and label, for scripts and streams.

    The path is the item's own, relative to the dataset's folder. The keys ``status``
    (``label``, ``skip``, ``unsure``), ``prediction`` with ``score`` and ``model``, and ``who`` are
    read where they are there and written where they hold something; others are ignored.

    Examples
    --------
    >>> file = JsonLinesFormat().write(tmp / "labels.jsonl", [Labelled("a/1.jpg", "hat")])
    >>> file.read_text()
    '{"path": "a/1.jpg", "label": "hat"}\n'
    """

    name = "jsonl"
    suffix = ".jsonl"
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
