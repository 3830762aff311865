"""Datasets of image files: in a folder, in an archive, or listed one by one."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import DatasetError
from .archive import ArchiveSource, open_binary
from .dataset import Dataset, FolderLabels, Item, path_name, sorted_class_names
from .identifiers import decode_id, encode_id, no_such_path
from .layout import (
    IMAGE_SUFFIXES,
    PREDICTIONS,
    UNSUPPORTED_SUFFIXES,
    arrange,
    doubt_about,
    images_beside,
    is_image,
    is_visible,
    no_images,
    suffix_of,
)
from .source import FolderSource
from .tar_source import TarSource
from .zip_source import ZipSource

__all__ = [
    "ARCHIVE_SUFFIXES",
    "load_archive",
    "load_files",
    "load_folder",
    "open_archive",
    "walk",
    "with_folder_labels",
    "with_items",
]

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""Supported suffixes of archives, in lower case."""

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")

FolderId = tuple[int, int]
"""Device and inode of a folder."""


def load_folder(path: str | os.PathLike[str], folder_labels: bool | None = None) -> Dataset:
    """Return the dataset of the images in a folder; see `load_dataset` for `folder_labels`."""
    root = os.path.abspath(os.fspath(path))
    others: Counter[str] = Counter()
    wrapping, items = arrange(walk(root, others), growing=True)
    if not items:
        raise DatasetError(no_images(f"folder {encode_id(root)!r}", others))
    source = FolderSource(os.path.join(root, decode_id(wrapping)))
    skipped = {suffix: n for suffix, n in sorted(others.items()) if suffix in UNSUPPORTED_SUFFIXES}
    dataset = Dataset(path_name(root), (), source, skipped=skipped)
    predicted = os.path.exists(os.path.join(root, PREDICTIONS))
    return with_items(dataset, items, folder_labels, predicted=predicted)


def with_folder_labels(dataset: Dataset, wanted: bool) -> Dataset:
    """Return the dataset of a folder or an archive with or without its folder names as labels."""
    _, items = arrange((item.id for item in dataset.items), growing=True)
    return with_items(dataset, items, wanted)


def with_items(
    dataset: Dataset, items: list[Item], wanted: bool | None, *, predicted: bool = False
) -> Dataset:
    """Return the dataset with items from `arrange`, with or without labels from folder names.

    If `wanted` is None, the folder names are labels if there is no doubt about them. `predicted` is
    whether some folder names are predictions.
    """
    names, found = sorted_class_names(items), None
    if names:
        beside = images_beside(items)
        doubt = f"images beside these folders: {beside:,}" if beside else doubt_about(items)
        if predicted:
            doubt = f"`{PREDICTIONS}` lists images whose folder is only a prediction"
        used = doubt is None if wanted is None else wanted
        found = FolderLabels(names, used, doubt, mixed=beside > 0 or predicted)
        if not used:
            items = [replace(item, label=None) for item in items]
    return replace(
        dataset, items=tuple(items), class_names=sorted_class_names(items), folder_labels=found
    )


def walk(root: str, others: Counter[str]) -> Iterator[str]:
    """Yield the id of every image below `root`; count the other files by suffix in `others`."""
    # Links are followed, but not to a folder above. A broken link is an item, so that it is
    # reported as unreadable.
    above_root = frozenset(_folder_id(str(parent)) for parent in Path(root).parents)
    pending: list[tuple[str, str, frozenset[FolderId]]] = [(root, "", above_root)]
    while pending:
        folder, prefix, above = pending.pop()
        folder_id = _folder_id(folder)
        if folder_id in above:  # a link to a folder above
            continue
        for entry in _entries(folder):
            if not is_visible(entry.name):
                continue
            if _is_folder(entry):
                inside = f"{prefix}{encode_id(entry.name)}/"
                pending.append((entry.path, inside, above | {folder_id}))
            elif (suffix := suffix_of(entry.name)) not in IMAGE_SUFFIXES:
                others[suffix] += 1
            elif _is_file_or_broken_link(entry):
                yield prefix + encode_id(entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # the entry is a link to itself
        return False


def _is_file_or_broken_link(entry: os.DirEntry[str]) -> bool:
    """Return false for a pipe or a device, because reading it might never end."""
    if entry.is_symlink() and not os.path.exists(entry.path):  # a link to itself too
        return True
    return entry.is_file()


def _folder_id(folder: str) -> FolderId:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DatasetError(
            f"folder {encode_id(folder)!r} cannot be listed: {error.strerror}."
        ) from error


def load_archive(path: str | os.PathLike[str], folder_labels: bool | None = None) -> Dataset:
    """Return the dataset of the images in an archive, which is read in place."""
    source = open_archive(path)
    dataset = Dataset(path_name(os.fspath(path)), (), source)
    predicted = source.with_predictions
    return with_items(dataset, source.items, folder_labels, predicted=predicted)


def open_archive(path: str | os.PathLike[str]) -> ArchiveSource:
    """Return the source for an archive; its first bytes or its suffix show whether it is a zip."""
    text = os.fspath(path)
    try:
        with open_binary(text) as file:
            magic = file.read(4)
    except OSError as error:
        raise DatasetError(
            f"archive {encode_id(text)!r} cannot be opened: {error.strerror}."
        ) from error
    is_zip = magic in _ZIP or text.lower().endswith(".zip")
    return ZipSource(text) if is_zip else TarSource(text)


def load_files(paths: Sequence[str | os.PathLike[str]]) -> Dataset:
    """Return the dataset of listed image files; ids are relative to the files' common folder."""
    if not paths:
        raise DatasetError("the list of image files is empty: give at least one path.")
    absolute = [_checked_path(path) for path in paths]
    ((most, times),) = Counter(absolute).most_common(1)
    if times > 1:
        raise DatasetError(f"{encode_id(most)!r} is listed {times} times; list each file once.")
    folder = os.path.commonpath([os.path.dirname(path) for path in absolute])
    ids = sorted(encode_id(os.path.relpath(path, folder)).replace(os.sep, "/") for path in absolute)
    name_from = absolute[0] if len(absolute) == 1 else folder
    return Dataset(
        path_name(name_from, "\0".join(sorted(absolute))),
        tuple(Item(id) for id in ids),
        FolderSource(folder),
        listed=True,
    )


def _checked_path(given: str | os.PathLike[str]) -> str:
    """Return the absolute path of an image file that exists."""
    path = os.path.abspath(os.path.expanduser(os.fspath(given)))
    shown = encode_id(os.fspath(given))
    if os.path.isdir(path):
        raise DatasetError(f"{shown!r} is a folder: give one folder alone, or image files.")
    if not os.path.exists(path):
        raise no_such_path("No file", os.fspath(given))
    if not is_image(os.path.basename(path)):
        raise DatasetError(
            f"{shown!r} is not an image file: each path in a list must end in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    return path
