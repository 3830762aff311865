"""Datasets listed in a manifest: a CSV, JSON Lines or Parquet file with a `path` column."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import os
from sys import intern
from urllib.parse import quote

from .._urls import clean_url, is_url, is_web_url, public_url
from ..errors import DatasetError
from ..tables import SUFFIXES as MANIFEST_SUFFIXES
from ..tables import Table, read_table, sure_labels, tidy
from .addresses import is_archive_address
from .dataset import Dataset, Item, address_name, path_name, sorted_class_names, split_of
from .download import fetch
from .fetched import FetchedArchive, fetch_version, name_in
from .files import ARCHIVE_SUFFIXES, open_archive
from .identifiers import decode_id, encode_id
from .object_source import AddressSource, ObjectSource
from .registry import Request
from .source import FolderSource, Source

__all__ = ["MANIFEST_SUFFIXES", "load_manifest"]


def load_manifest(path: str, request: Request | None = None) -> Dataset:
    """Return the dataset of a manifest; a row with status ``skip`` or ``unsure`` has no label."""
    # Missing images are items; they are reported when they are read.
    request = request or Request()
    name, folder, absolute = _places(path, request)
    images = _images(request, folder)
    root = images.location if isinstance(images, FolderSource | ObjectSource) else None
    table = _table(absolute, name_in(path) if is_url(path) else os.path.basename(path))
    addresses: dict[str, str] = {}
    boundary = None
    if request.within is not None:
        boundary = _Boundary(request.within, images)
    first: dict[str, int] = {}
    items = []
    columns = (table.columns["path"], sure_labels(table), *map(table.column, ("split", "bucket")))
    for row, (given, label, split, bucket) in enumerate(zip(*columns, strict=True)):
        id = _id(given, root)
        if is_url(given) and is_url(id):
            addresses[id] = clean_url(given)
        elif isinstance(images, str):
            addresses[id] = f"{images}/{quote(decode_id(id))}"
        if not id.strip():
            raise table.fault(row, "the path is blank. Fill it in or remove the row.")
        try:
            part = split_of(split)
        except ValueError as error:
            raise table.fault(row, f"{error}.") from None
        if id in first:
            raise table.fault(
                row,
                f"{id!r} is listed twice, also in {table.unit} {table.places[first[id]]}; keep one "
                "of them.",
            )
        if boundary is not None:
            outside = id if id in addresses else boundary.find_outside(id)
            if outside:
                raise table.fault(
                    row,
                    f"the path {id if id in addresses else given!r} leads to {outside!r}, outside "
                    f"of {boundary.folder!r}; correct the row or allow another folder.",
                )
        first[id] = row
        items.append(Item(id, intern(label) or None, part, intern(bucket) or None))
    if not items:
        raise table.fault(None, "no images are listed: the manifest has no rows.")
    items.sort(key=lambda item: item.id)
    remote = is_url(path) and isinstance(images, str | ObjectSource)
    if addresses or isinstance(images, str):
        images = AddressSource(addresses, images)
    return Dataset(name, tuple(items), images, sorted_class_names(items), remote=remote)


def _places(path: str, request: Request) -> tuple[str, str, str]:
    """Return the name of the dataset, the folder of the manifest, and the path of its file."""
    if not is_url(path) or os.path.exists(path):
        absolute = os.path.abspath(path)
        return path_name(absolute), os.path.dirname(absolute), absolute
    copy, _ = fetch_version(path, request.directory, request.progress)
    folder = public_url(path).partition("?")[0].rpartition("/")[0]
    return address_name(path), folder, str(copy)


def _table(path: str, file_name: str) -> Table:
    from_hub = file_name.lower().startswith("metadata.")
    return read_table(
        path,
        ("path",),
        ("label", "status", "split", "bucket"),
        error=DatasetError,
        what="manifest",
        synonyms={"path": "file_name"} if from_hub else None,
        guarded=not from_hub,  # other programs write such files without guards
    )


def _images(request: Request, folder: str) -> Source | str:
    """Return the source of the images, or the address of their folder on a web server."""
    source = request.source or folder
    path = os.path.expanduser(source)
    if is_url(source) and not os.path.exists(path):
        is_archive = is_archive_address(source)
        if not is_archive:
            return clean_url(source) if is_web_url(source) else ObjectSource(source)
        if not is_web_url(source):
            return FetchedArchive(source, request.directory, request.progress)
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
    """Return `path` relative to `root` if `root` contains it; otherwise the normalised path."""
    if is_url(path):
        shown = public_url(path)
        return encode_id(shown.removeprefix(root + "/") if root else shown)
    path = path.replace(os.sep, "/")
    if os.path.isabs(path):
        path = os.path.normpath(path).replace(os.sep, "/")
        return path.removeprefix(root.rstrip("/") + "/") if root else path
    return tidy(path)


class _Boundary:
    """A folder that must contain all items of a source; members of an archive always pass."""

    def __init__(self, folder: str, source: Source | str) -> None:
        self._root = os.path.realpath(os.path.expanduser(folder))
        if not os.path.isdir(self._root):
            raise DatasetError(f"no folder at {encode_id(folder)!r} for `within`.")
        self._source = source if isinstance(source, FolderSource) else None
        self._real: dict[str, str] = {}

    @property
    def folder(self) -> str:
        """The real path of the folder."""
        return encode_id(self._root)

    def find_outside(self, id: str) -> str | None:
        """Return the real path of an item if it is outside of the folder, else None."""
        if self._source is None:
            return None
        folder, name = os.path.split(self._source.path(id))
        if folder not in self._real:  # many images have the same folder
            self._real[folder] = os.path.realpath(folder)
        path = os.path.join(self._real[folder], name)
        if name in ("", ".", "..") or os.path.islink(path):
            path = os.path.realpath(path)
        inside = path == self._root or path.startswith(self._root.rstrip(os.sep) + os.sep)
        return None if inside else encode_id(path)
