"""Hugging Face: an image folder with a metadata table."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from ...datasets.identifiers import encode_id
from ...datasets.suffixes import is_visible
from ...errors import FormatError
from ...tables import csv_bytes
from ..resolver import DECODED, Spelling
from .base import Format, OpenImage, ReadOptions, register
from .entries import Entry
from .labelled import Labelled
from .paths import check_lengths, escape_path, unescape_path
from .rows import check_column, table_rows
from .trees import MARKER, sure_items, whole_folder, write_image, write_marker

__all__ = ["HuggingFaceFormat"]

_TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


@register
class HuggingFaceFormat(Format):
    """The imagefolder of Hugging Face datasets: images, and a table of their labels.

    The images keep their folders, and ``metadata.csv`` names each by its path in the column
    ``file_name``, its class in ``label``: two files of one base name lie in two folders. Items
    without a sure label are left out. Read are ``metadata.csv``, ``metadata.jsonl`` or
    ``metadata.parquet``, in the folder and in the folders inside of it, or one such file; the names
    in it are relative to its own folder.

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

    def _entries(self, path: Path, given: ReadOptions) -> Iterable[Entry]:
        top = path if path.is_dir() else path.parent
        return chain.from_iterable(_file_entries(top, file, given) for file in _tables(path))

    def _write(
        self,
        path: Path,
        items: Sequence[Labelled],
        open_image: OpenImage | None,
        options: Mapping[str, Any],
    ) -> None:
        sure = sure_items(self.name, items)
        paths = [item.path for item in sure]
        names = [escape_path(path) for path in paths]
        check_lengths(self.name, zip(paths, names, strict=True))
        check_column(paths, "label", [item.label for item in sure])
        with whole_folder(path) as root:
            for item, name in zip(sure, names, strict=True):
                write_image(root / name, item.path, open_image, options.get("link_to"))
            table: dict[str, list[Any]] = {
                "file_name": names,
                "label": [item.label for item in sure],
            }
            (root / "metadata.csv").write_bytes(csv_bytes(table, guarded=False))
            write_marker(root)


def _tables(path: Path) -> list[Path]:
    """Return the metadata table at `path`, or those in the folder and the folders inside of it.

    Raises
    ------
    FormatError
        If there is none, or one folder holds several.
    """
    if path.name in _TABLES and path.is_file():
        return [path]
    found: dict[Path, Path] = {}
    for folder, inside, files in os.walk(path):
        inside[:] = sorted(filter(is_visible, inside))
        for name in _TABLES:
            if name in files and found.setdefault(Path(folder), Path(folder) / name).name != name:
                other = found[Path(folder)].name
                raise FormatError(f"{folder} holds {other} and {name}: keep one of them.")
    if not found:
        raise FormatError(
            f"{path} holds no {', '.join(_TABLES)}: there are no labels without one. Where the "
            "folders are the classes, use the format imagefolder."
        )
    return list(found.values())


def _file_entries(top: Path, file: Path, given: ReadOptions) -> Iterator[Entry]:
    """Yield the entries of a table, whose names are relative to its own folder."""
    folder = encode_id(file.parent.relative_to(top).as_posix())
    begin = "" if folder == "." else f"{folder}/"
    location = encode_id(str(file.parent.absolute()))
    ours = (file.parent / MARKER).is_file()
    for where, row in table_rows(file, ("file_name", "label"), guarded=False):
        spelling = _spelling(begin, location, row["file_name"], ours, given)
        yield Entry(where, spelling, row["label"])


def _spelling(begin: str, location: str, name: str, ours: bool, given: ReadOptions) -> Spelling:
    """Return the path of an image: `name` below `begin`, the folder of the table."""
    text, plain = _joined(begin, name), _joined(begin, unescape_path(name))
    exact = (plain,) if ours else ()
    if given.resolver is not None:
        here = given.resolver.inside(posixpath.normpath(f"{location}/{name}"))
        exact = (here, *exact) if here else exact
    return Spelling(text, exact, ((plain, DECODED),) if plain != text else (), default=plain)


def _joined(begin: str, name: str) -> str:
    path = begin + name
    return posixpath.normpath(path) if begin and ".." in name.split("/") else path
