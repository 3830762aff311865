"""The format huggingface: an image folder with a metadata table."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from ...datasets.identifiers import encode_id
from ...datasets.layout import is_visible
from ...datasets.resolver import DECODED, ForeignPath
from ...errors import FormatError
from ...tables import csv_bytes
from .class_trees import MARKER, write_tree
from .entries import Entry, Labelled
from .format import Format, ReadOptions, WriteOptions, exact_paths, formats
from .safe_paths import escape_path, unescape_path
from .table_formats import check_column, table_rows

__all__ = ["HuggingFaceFormat"]

_TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


@formats.register("huggingface")
class HuggingFaceFormat(Format):
    """The imagefolder of Hugging Face datasets: images, and a table of their labels.

    Images keep their folders. ``metadata.csv`` has the columns ``file_name`` (the path) and
    ``label``. Only items with a sure label are written. Reading accepts a file ``metadata.csv``,
    ``metadata.jsonl`` or ``metadata.parquet``, or a folder with such files at any depth. Paths in
    a file are relative to its folder.

    Examples
    --------
    >>> items = [Labelled("x/1.jpg", "hat")]
    >>> folder = HuggingFaceFormat().write(tmp / "hub", items, lambda path: b"the image's bytes")
    >>> (folder / "metadata.csv").read_text().splitlines()
    ['file_name,label', 'x/1.jpg,hat']
    >>> (folder / "x" / "1.jpg").read_bytes()
    b"the image's bytes"
    """

    needs_images = True
    only_labelled = True
    write_options = frozenset({"link_to"})

    def read_entries(self, path: Path, options: ReadOptions) -> Iterable[Entry]:
        """Yield the rows of each metadata table."""
        top = path if path.is_dir() else path.parent
        return chain.from_iterable(_file_entries(top, file, options) for file in _tables(path))

    def write_items(self, path: Path, items: Sequence[Labelled], options: WriteOptions) -> None:
        """Write the images and ``metadata.csv``."""
        files = {item.path: escape_path(item.path) for item in items}
        labels = [item.label for item in items]
        check_column(list(files), "label", labels)
        write_tree(path, self.name, files, options)
        table: dict[str, list[Any]] = {"file_name": list(files.values()), "label": labels}
        (path / "metadata.csv").write_bytes(csv_bytes(table, guarded=False))


def _tables(path: Path) -> list[Path]:
    """Return the metadata table at `path`, or the tables in that folder and its subfolders."""
    if path.name in _TABLES and path.is_file():
        return [path]
    found: dict[Path, Path] = {}
    for folder, inside, files in os.walk(path):
        inside[:] = sorted(filter(is_visible, inside))
        for name in _TABLES:
            if name in files and found.setdefault(Path(folder), Path(folder) / name).name != name:
                other = found[Path(folder)].name
                raise FormatError(f"{folder} contains {other} and {name}. Keep one of them.")
    if not found:
        raise FormatError(
            f"{path} contains no labels: expected {', '.join(_TABLES[:-1])} or {_TABLES[-1]}. If "
            "its folders are the classes, use the format imagefolder."
        )
    return list(found.values())


def _file_entries(top: Path, file: Path, options: ReadOptions) -> Iterator[Entry]:
    """Yield the entries of a table, whose paths are relative to the folder of the table."""
    folder = encode_id(file.parent.relative_to(top).as_posix())
    begin = "" if folder == "." else f"{folder}/"
    location = encode_id(str(file.parent.absolute()))
    ours = (file.parent / MARKER).is_file()
    for where, row in table_rows(file, ("file_name", "label"), guarded=False):
        foreign = _foreign_path(begin, location, row["file_name"], ours, options)
        yield Entry(where, foreign, row["label"])


def _foreign_path(
    begin: str, location: str, name: str, ours: bool, options: ReadOptions
) -> ForeignPath:
    """Return the path of the image `name` in a table; `begin` is the folder of the table."""
    text, plain = _joined(begin, name), _joined(begin, unescape_path(name))
    exact = exact_paths(plain) if ours else ()
    if options.resolver is not None:
        item = options.resolver.inside(posixpath.normpath(f"{location}/{name}"))
        exact = (item, *exact) if item else exact
    return ForeignPath(text, exact, ((plain, DECODED),) if plain != text else (), default=plain)


def _joined(begin: str, name: str) -> str:
    path = begin + name
    return posixpath.normpath(path) if begin and ".." in name.split("/") else path
