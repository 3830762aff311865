"""Datasets of image files: in a folder, in an archive, or listed one by one."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Protocol

from .._pixels.video import VIDEO_SUFFIXES
from .._text import sentence_about
from ..errors import DatasetError
from .archive import ArchiveSource, open_binary
from .dataset import Dataset, FolderLabels, Item, path_name, sorted_class_names
from .identifiers import decode_id, encode_id, no_such_path
from .image_tables import TABLE_SUFFIXES
from .layout import (
    PREDICTIONS,
    arrange,
    doubt_about,
    image_suffixes,
    images_beside,
    is_image,
    is_visible,
    no_images,
    skipped_files,
    suffix_of,
)
from .media_fragments import is_video, part_of
from .media_source import MediaSource, frame_ids
from .samples import chosen_labels
from .source import FolderSource, Source
from .tar_source import TarSource
from .zip_source import ZipSource

__all__ = [
    "ARCHIVE_SUFFIXES",
    "load_archive",
    "load_files",
    "load_folder",
    "load_video",
    "needs_interval",
    "open_archive",
    "walk",
    "with_folder_labels",
    "with_items",
    "with_members",
]

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""Supported suffixes of archives, in lower case."""

SHARD_SUFFIXES = frozenset({".tar", *TABLE_SUFFIXES})
"""Suffixes of files in a folder that may contain its images, in lower case."""

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


class ShardLoader(Protocol):
    """Function that returns the dataset of shards below a folder; None if they have no images."""

    def __call__(self, root: str, ids: Sequence[str], *, images: bool) -> Dataset | None:
        """Load the shards; `images` is whether there are image files too."""


FolderId = tuple[int, int]
"""Device and inode of a folder."""


def load_folder(
    path: str | os.PathLike[str],
    folder_labels: bool | None = None,
    every: Fraction | None = None,
    load_shards: ShardLoader | None = None,
) -> Dataset:
    """Return the dataset of the images in a folder, and of frames of its videos.

    See `load_dataset` for `folder_labels`. `every` is the time between two frames in seconds;
    without it, videos are left out. `load_shards` returns the dataset of tables and archives with
    images; without it, these files are left out.
    """
    root = os.path.abspath(os.fspath(path))
    others: Counter[str] = Counter()
    videos = {} if every is None else {suffix: list[str]() for suffix in VIDEO_SUFFIXES}
    shards = {} if load_shards is None else {suffix: list[str]() for suffix in SHARD_SUFFIXES}
    paths = sorted(walk(root, others, videos | shards))
    names = list(chain.from_iterable(shards.values()))
    if names and load_shards is not None:
        dataset = load_shards(root, names, images=bool(paths))
        if dataset is not None:
            return dataset
        others.update({suffix: len(found) for suffix, found in shards.items() if found})
    if every is not None:
        paths += frame_ids(root, list(chain.from_iterable(videos.values())), every)
    wrapping, items = arrange(paths, growing=True)
    if not items:
        raise DatasetError(no_images(f"folder {encode_id(root)!r}", others))
    source: Source = FolderSource(os.path.join(root, decode_id(wrapping)))
    if every is not None or not VIDEO_SUFFIXES.isdisjoint(others):
        source = MediaSource(source, has_parts=every is not None)
    dataset = Dataset(path_name(root), (), source, skipped=skipped_files(others))
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


def needs_interval(video: str) -> str:
    """Return the message for a video without the time between frames."""
    return (
        f'{video!r} is a video: give --every 1s (in Python, `every="1s"`) to use one frame of '
        "each second."
    )


def _with_frames(root: str, paths: Iterable[str], every: Fraction) -> list[str]:
    """Return the ids of images, and of the frames of videos in place of the videos."""
    found = list(paths)
    videos = list(filter(is_video, found))
    if not videos:
        return found
    return [path for path in found if not is_video(path)] + frame_ids(root, videos, every)


def load_video(path: str, every: Fraction) -> Dataset:
    """Return the dataset of frames of one video."""
    folder, file = os.path.split(os.path.abspath(path))
    ids = sorted(frame_ids(folder, [encode_id(file)], every))
    source = MediaSource(FolderSource(folder))
    dataset = Dataset(path_name(path), tuple(map(Item, ids)), source)
    if part_of(ids[0]) is None:
        ((_, reason),) = source.read(ids)
        raise DatasetError(sentence_about(encode_id(path), str(reason)))
    return dataset


def walk(
    root: str, others: Counter[str], more: Mapping[str, list[str]] | None = None
) -> Iterator[str]:
    """Yield the id of every image below `root`; count the other files by suffix in `others`.

    Files whose suffix is in `more` are appended to its lists, and not counted.
    """
    more = more or {}
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
            elif (suffix := suffix_of(entry.name)) not in image_suffixes() and suffix not in more:
                others[suffix] += 1
            elif _is_file_or_broken_link(entry):
                name = prefix + encode_id(entry.name)
                if suffix not in more:
                    yield name
                else:
                    more[suffix].append(name)


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
    return with_members(dataset, source, folder_labels)


def with_members(dataset: Dataset, archive: ArchiveSource, wanted: bool | None) -> Dataset:
    """Return the dataset with the items of an archive, and the labels beside its images.

    Without such labels, or if `wanted` is true, the folder names may be labels.
    """
    labels = {} if wanted else chosen_labels(archive.sample_labels)
    if not labels:
        predicted = archive.with_predictions
        return with_items(dataset, archive.items, wanted, predicted=predicted)
    items = tuple(replace(item, label=labels.get(item.id)) for item in archive.items)
    return replace(dataset, items=items, class_names=sorted_class_names(items))


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


def load_files(paths: Sequence[str | os.PathLike[str]], every: Fraction | None = None) -> Dataset:
    """Return the dataset of listed image files; ids are relative to the files' common folder.

    With `every`, the time between two frames in seconds, videos may be listed too.
    """
    if not paths:
        raise DatasetError("the list of image files is empty: give at least one path.")
    absolute = [_checked_path(path, every is not None) for path in paths]
    ((most, times),) = Counter(absolute).most_common(1)
    if times > 1:
        raise DatasetError(f"{encode_id(most)!r} is listed {times} times; list each file once.")
    folder = os.path.commonpath([os.path.dirname(path) for path in absolute])
    ids = [encode_id(os.path.relpath(path, folder)).replace(os.sep, "/") for path in absolute]
    if every is not None:
        ids = _with_frames(folder, ids, every)
    source = FolderSource(folder)
    name_from = absolute[0] if len(absolute) == 1 else folder
    return Dataset(
        path_name(name_from, "\0".join(sorted(absolute))),
        tuple(Item(id) for id in sorted(ids)),
        source if every is None else MediaSource(source),
        listed=True,
    )


def _checked_path(given: str | os.PathLike[str], videos: bool) -> str:
    """Return the absolute path of an image file, or of a video if these are used."""
    path = os.path.abspath(os.path.expanduser(os.fspath(given)))
    shown = encode_id(os.fspath(given))
    if os.path.isdir(path):
        raise DatasetError(f"{shown!r} is a folder: give one folder alone, or image files.")
    if not os.path.exists(path):
        raise no_such_path("No file", os.fspath(given))
    if is_video(path):
        if videos:
            return path
        raise DatasetError(needs_interval(shown))
    if not is_image(os.path.basename(path)):
        raise DatasetError(
            f"{shown!r} is not an image file: each path in a list must end in "
            f"{', '.join(sorted(image_suffixes()))}."
        )
    return path
