"""Datasets listed in a manifest: a CSV, JSON Lines or Parquet file with a `path` column."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import os
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
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
from .media_fragments import Box, part_of, with_box
from .media_source import MediaSource
from .object_source import AddressSource, ObjectSource
from .registry import Request
from .source import FolderSource, Source

__all__ = ["BOX", "MANIFEST_SUFFIXES", "load_manifest"]

BOX = ("x", "y", "w", "h")
"""Columns of a crop in pixels of the upright image; used only if a manifest has all four."""


def load_manifest(path: str, request: Request | None = None) -> Dataset:
    """Return the dataset of a manifest; a row with status ``skip`` or ``unsure`` has no label.

    A row with numbers in the columns ``x``, ``y``, ``w`` and ``h`` is a crop of its image.
    """
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
    has_parts = False
    boxes = [table.columns[name] for name in BOX] if table.columns.keys() >= set(BOX) else None
    columns = (table.columns["path"], sure_labels(table), *map(table.column, ("split", "bucket")))
    for row, (given, label, split, bucket) in enumerate(zip(*columns, strict=True)):
        id = file = _id(given, root)
        if (listed := part_of(id)) is not None and not is_url(id):
            file, has_parts = listed.file, True
        if (address := _address(given, file, images)) is not None:
            addresses[file] = address
        if not id.strip():
            raise table.fault(row, "the path is blank. Fill it in or remove the row.")
        try:
            part = split_of(split)
        except ValueError as error:
            raise table.fault(row, f"{error}.") from None
        if boxes is not None and any(column[row] for column in boxes):
            id, has_parts = with_box(id, _box(table, row)), True
        if id in first:
            raise table.fault(
                row,
                f"{id!r} is listed twice, also in {table.unit} {table.places[first[id]]}; keep one "
                "of them.",
            )
        if boundary is not None:
            boundary.check(table, row, given, file, is_address=file in addresses)
        first[id] = row
        items.append(Item(id, intern(label) or None, part, intern(bucket) or None))
    if not items:
        raise table.fault(None, "no images are listed: the manifest has no rows.")
    items.sort(key=lambda item: item.id)
    remote = is_url(path) and isinstance(images, str | ObjectSource)
    if addresses or isinstance(images, str):
        images = AddressSource(addresses, images)
    if has_parts:
        images = MediaSource(images)
    return Dataset(name, tuple(items), images, sorted_class_names(items), remote=remote)


def _address(given: str, file: str, images: Source | str) -> str | None:
    """Return the address of the image `file`, which a manifest lists as `given`; None if none."""
    if is_url(given) and is_url(file):
        return clean_url(given)
    return f"{images}/{quote(decode_id(file))}" if isinstance(images, str) else None


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
        ("label", "status", "split", "bucket", *BOX),
        error=DatasetError,
        what="manifest",
        synonyms={"path": "file_name"} if from_hub else None,
        guarded=not from_hub,  # other programs write such files without guards
    )


def _box(table: Table, row: int) -> Box:
    """Return the box of a row in pixels; its edges are rounded to the nearest pixel."""
    cells = [table.columns[name][row] for name in BOX]
    try:
        x, y, w, h = (Decimal(cell) for cell in cells)
        if not all(map(Decimal.is_finite, (x, y, w, h))):
            raise ValueError
    except (InvalidOperation, ValueError):
        shown = ", ".join(f"{name}={cell!r}" for name, cell in zip(BOX, cells, strict=True))
        raise table.fault(
            row, f"the box {shown} must have four numbers, or four blank cells for the whole image."
        ) from None
    if w < 1 or h < 1:
        raise table.fault(
            row,
            f"the box has w={w} and h={h}; expected at least 1 pixel each. If the numbers are "
            "shares of the image, multiply them by its width and height in pixels.",
        )
    left, top, right, bottom = (
        int(edge.to_integral_value(ROUND_HALF_UP)) for edge in (x, y, x + w, y + h)
    )
    return left, top, right - left, bottom - top


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

    def check(self, table: Table, row: int, given: str, file: str, *, is_address: bool) -> None:
        """Refuse a row whose file is outside of the folder."""
        outside = file if is_address else self._outside(file)
        if outside is not None:
            shown = file if is_address else given
            raise table.fault(
                row,
                f"the path {shown!r} leads to {outside!r}, outside of {encode_id(self._root)!r}; "
                "correct the row or allow another folder.",
            )

    def _outside(self, id: str) -> str | None:
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
