"""Datasets listed in a table: a CSV, JSON Lines or Parquet file with a `path` column."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import os
from sys import intern

from ..errors import DatasetError
from ..tables import SUFFIXES as MANIFEST_SUFFIXES
from ..tables import Table, read_table, sure_labels, tidy
from .archive import ARCHIVE_SUFFIXES, open_archive
from .dataset import Dataset, path_name, sorted_class_names
from .download import fetch, is_url
from .folder import FolderSource
from .identifiers import encode_id
from .item import Item, split_of
from .registry import Request
from .source import Source

__all__ = ["MANIFEST_SUFFIXES", "Confinement", "load_manifest"]


def load_manifest(path: str, request: Request | None = None) -> Dataset:
    """Return the dataset that a manifest lists."""
    # A row whose ``status`` is ``skip`` or ``unsure`` has no label. In a file called ``metadata.*``
    # the path may be called ``file_name``. Missing images are items, and reported when they are
    # read. An absolute path inside of the source becomes a relative one.
    request = request or Request()
    absolute = os.path.abspath(path)
    images = _images(request, os.path.dirname(absolute))
    root = images.location if isinstance(images, FolderSource) else None
    table = _table(absolute)
    confinement = None
    if request.within is not None:
        confinement = Confinement(request.within, images)
    first: dict[str, int] = {}
    items = []
    columns = (table.columns["path"], sure_labels(table), *map(table.column, ("split", "bucket")))
    for row, (given, label, split, bucket) in enumerate(zip(*columns, strict=True)):
        id = _id(given, root)
        if not id.strip():
            raise table.fault(row, "no path; fill it in or remove the row.")
        try:
            name = split_of(split)
        except ValueError as error:
            raise table.fault(row, f"{error}.") from None
        if id in first:
            raise table.fault(
                row,
                f"{id!r} is listed twice, in {table.unit} {table.places[first[id]]} too; keep one "
                "of them.",
            )
        if confinement is not None and (outside := confinement.leaves(id)):
            raise table.fault(row, f"the path {given!r} {outside}")
        first[id] = row
        items.append(Item(id, intern(label) or None, name, intern(bucket) or None))
    if not items:
        raise table.fault(None, "no images are listed: it has no rows.")
    items.sort(key=lambda item: item.id)
    return Dataset(path_name(absolute), tuple(items), images, sorted_class_names(items))


def _table(path: str) -> Table:
    hub = os.path.basename(path).lower().startswith("metadata.")
    return read_table(
        path,
        ("path",),
        ("label", "status", "split", "bucket"),
        error=DatasetError,
        what="manifest",
        synonyms={"path": "file_name"} if hub else None,
        guarded=not hub,  # the programs that read and write such a file know no guards
    )


def _images(request: Request, folder: str) -> Source:
    source = request.source or folder
    path = os.path.expanduser(source)
    if is_url(source):
        path = str(fetch(source, request.directory, request.progress))
    if os.path.isdir(path):
        return FolderSource(path)
    if os.path.isfile(path):
        return open_archive(path)
    raise DatasetError(
        f"no such source: {encode_id(path)!r}; give the folder or the archive "
        f"({', '.join(ARCHIVE_SUFFIXES)}) that the manifest's paths are relative to."
    )


def _id(path: str, root: str | None) -> str:
    """Return `path` relative to `root` if it is inside of it, else as it is, tidied."""
    path = path.replace(os.sep, "/")
    if os.path.isabs(path):
        path = os.path.normpath(path).replace(os.sep, "/")
        return path.removeprefix(root.rstrip("/") + "/") if root else path
    return tidy(path)


class Confinement:
    """Tells which items of a source lie outside of a folder.

    A path in an archive is the name of a member and leads nowhere else, so none of them leaves.

    Parameters
    ----------
    folder
        The folder.
    source
        Gives the items.

    Raises
    ------
    DatasetError
        If there is no such folder.
    """

    def __init__(self, folder: str, source: Source) -> None:
        self._root = os.path.realpath(os.path.expanduser(folder))
        if not os.path.isdir(self._root):
            raise DatasetError(f"no such folder to stay within: {encode_id(folder)!r}.")
        self._source = source if isinstance(source, FolderSource) else None
        self._real: dict[str, str] = {}

    def leaves(self, id: str) -> str | None:
        """Return the clause that says where an item lies if that is outside, else None."""
        if self._source is None:
            return None
        folder, name = os.path.split(self._source.path(id))
        if folder not in self._real:  # many images lie in one folder
            self._real[folder] = os.path.realpath(folder)
        path = os.path.join(self._real[folder], name)
        if name in ("", ".", "..") or os.path.islink(path):
            path = os.path.realpath(path)
        if self._holds(path):
            return None
        return (
            f"leads to {encode_id(path)!r}, outside of {encode_id(self._root)!r}; correct the row, "
            "or choose another folder to stay within."
        )

    def _holds(self, path: str) -> bool:
        return path == self._root or path.startswith(self._root.rstrip(os.sep) + os.sep)
