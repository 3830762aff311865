"""Hugging Face: an image folder with a metadata table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import FormatError
from ...tables import csv_bytes
from .base import Format, OpenImage, register
from .entries import Entry
from .labelled import Labelled
from .paths import escape_path, unescape
from .rows import table_rows
from .trees import sure_items, whole_folder, write_image

__all__ = ["HuggingFaceFormat"]

_TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


@register
class HuggingFaceFormat(Format):
    """The imagefolder of Hugging Face datasets: images, and a table of their labels.

    The images keep their folders, and ``metadata.csv`` names each by its path in the column
    ``file_name``, its class in ``label``: two files of one base name lie in two folders. Items
    without a sure label are left out. The folder is read, with ``metadata.csv``,
    ``metadata.jsonl`` or ``metadata.parquet``, or that file itself.

    Examples
    --------
    >>> items = [Labelled("x/1.jpg", "hat")]
    >>> folder = HuggingFaceFormat().write(tmp / "hub", items, lambda path: b"the image's bytes")
    >>> (folder / "metadata.csv").read_text().splitlines()
    ['file_name,label', 'x/1.jpg,hat']
    >>> (folder / "x" / "1.jpg").read_bytes()
    b"the image's bytes"
    """

    name = "huggingface"
    needs_images = True
    options = frozenset({"link_to"})

    def _entries(self, path: Path) -> Iterable[Entry]:
        return _file_entries(_table(path))

    def _write(
        self,
        path: Path,
        items: Sequence[Labelled],
        open_image: OpenImage | None,
        options: Mapping[str, Any],
    ) -> None:
        sure = sure_items(self.name, items)
        names = [escape_path(item.path) for item in sure]
        with whole_folder(path) as root:
            for item, name in zip(sure, names, strict=True):
                write_image(root / name, item.path, open_image, options.get("link_to"))
            table: dict[str, list[Any]] = {
                "file_name": names,
                "label": [item.label for item in sure],
            }
            (root / "metadata.csv").write_bytes(csv_bytes(table, guarded=False))


def _table(path: Path) -> Path:
    """Return the metadata table at `path` or in it."""
    if path.name in _TABLES and path.is_file():
        return path
    found = [path / name for name in _TABLES if (path / name).is_file()]
    if len(found) != 1:
        which = " and ".join(file.name for file in found)
        raise FormatError(
            f"{path} holds {which}: keep one of them."
            if found
            else f"{path} holds no {', '.join(_TABLES)}: there are no labels without one."
        )
    return found[0]


def _file_entries(file: Path) -> Iterator[Entry]:
    for where, row in table_rows(file, ("file_name", "label"), guarded=False):
        name = row["file_name"]
        path = "/".join(map(unescape, name.split("/")))
        yield Entry(where, path, row["label"])
