"""Image suffixes, and the meaning of folders: wrapping, splits, classes.

Rules, in order, for the relative paths of all images:

1. Folders that contain all images are a wrapping and are removed from the ids:
   ``clothing-dataset-small-master/train/hat/x.jpg`` becomes ``train/hat/x.jpg``. A folder named
   like a split is not a wrapping. A folder on disk may grow, so its wrapping is removed only
   if it contains splits. Otherwise a second folder beside the wrapping would change every id.
2. The first-level folders are splits if all of them are named like splits, or if they name at
   least two different splits (``train/ test/ docs/`` are splits; ``bus/ car/ train/`` are not).
3. Inside the splits, or at the top of a dataset without splits, the first-level folders are classes
   if they have at least two different names. With one class, all items are unlabelled. Deeper
   folders belong to the class above them.
4. Images beside the class folders or outside the splits are unlabelled. Images in a class folder
   called ``_unlabeled``, ``_unlabelled`` (FiftyOne) or ``no_label`` (CVAT) are unlabelled too.
5. By default, folder names are labels only in an unmistakable layout; see `doubt_about`.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from sys import intern

from .._pixels import can_read, remedy
from .._pixels.video import VIDEO_SUFFIXES
from .dataset import Item, canonical_split

__all__ = [
    "EXPORTS_FOLDER",
    "PREDICTIONS",
    "UNLABELLED",
    "are_splits",
    "arrange",
    "doubt_about",
    "image_suffixes",
    "images_beside",
    "is_image",
    "is_visible",
    "no_images",
    "remedy_for",
    "skipped_files",
    "suffix_of",
]

_UNSUPPORTED = frozenset(
    {".jxl", ".jp2", ".psd", ".svg", ".cr2", ".nef", ".arw", ".dng"},
)
"""Suffixes of image formats that are not supported."""

_SUPPORTED = frozenset(
    {
        *(".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"),
        *(".jpg", ".jpeg", ".jpe", ".jfif"),
    }
)
"""Suffixes of images in lower case; file names are compared without case."""

_OPTIONAL = {".heic": "HEIF", ".heif": "HEIF", ".hif": "HEIF", ".avif": "AVIF"}
"""Suffixes of images that an installation can read or not, and Pillow's name of their format."""

EXPORTS_FOLDER = "embedpipe-exports"
"""Name of the folder of the labelling page's exports; datasets leave out the images in it."""

_SYSTEM_FILES = frozenset(
    {
        *("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "Thumbs.db"),
        EXPORTS_FOLDER,
    }
)
"""Names of files and folders with copies, thumbnails, deleted files or exports of programs."""

PREDICTIONS = "sorted_by_prediction.csv"
"""Name of the table in an exported folder that lists the images in folders of predicted classes."""

UNLABELLED = frozenset({"_unlabeled", "_unlabelled", "no_label"})
"""Names of folders beside the class folders in which other programs put unlabelled images."""


_MONTHS = "january february march april may june july august september october november december"

_NO_CLASS = re.compile(
    r"""[\d\s._()-]+                                  # a number or a date
    | (19|20)\d\d([^\d].*|\d{4}.*)                   # a name that begins with a year
    | (\d+[\s._-]*)?(MONTHS)
    | dcim | \d{3}[a-z_]\w{4} | camera([\s_-]?roll)? | screenshots?
    | (trip|holiday|vacation|album|import|export|backup|upload|download)s?
    | (photo|picture|image|pic|img|file)s? | new[\s_-]folder.* | untitled.*
    | (trip|holiday|vacation|album|day|week|event|session|batch|folder|part|roll|film|card|disc|cam
      |camera|set|group|series|shoot)[\s_-]*(\d+|[a-z])""".replace(
        "MONTHS", "|".join(f"{name[:3]}|{name}" for name in _MONTHS.split())
    ),
    re.IGNORECASE | re.VERBOSE,
)
"""Pattern of folder names that are dates, numbers, or folders of cameras and albums."""


def suffix_of(name: str) -> str:
    """Return the suffix of a file name in lower case with its dot, or ""."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


@functools.cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes of the images that can be read here, in lower case."""
    return _SUPPORTED | {suffix for suffix, name in _OPTIONAL.items() if can_read(name)}


def is_image(name: str) -> bool:
    """Return whether the file name has the suffix of an image."""
    return suffix_of(name) in image_suffixes()


def skipped_files(others: Mapping[str, int]) -> dict[str, int]:
    """Return the number of image files and videos by suffix that are left out."""
    return {
        suffix: count
        for suffix, count in sorted(others.items())
        if suffix in _UNSUPPORTED or suffix in _OPTIONAL or suffix in VIDEO_SUFFIXES
    }


def remedy_for(suffix: str) -> str:
    """Return a clause: why files with a suffix of `skipped_files` are left out, and the remedy."""
    if suffix in _OPTIONAL:
        return remedy(_OPTIONAL[suffix])
    if suffix in VIDEO_SUFFIXES:
        return "give --every 1s to use one frame of each second"
    return "unsupported format; convert them to JPEG or PNG"


def is_visible(name: str) -> bool:
    """Return whether a file or folder is neither hidden nor one of `_SYSTEM_FILES`."""
    return not name.startswith(".") and name not in _SYSTEM_FILES


def no_images(place: str, others: Mapping[str, int]) -> str:
    """Return the message for a place without images, given its number of files by suffix."""
    wanted = ", ".join(sorted(image_suffixes()))
    common = Counter(others).most_common(5)
    found = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in common)
    text = f"no images in {place}: expected {wanted}; found {found or 'no files at all'}."
    known = [suffix for suffix, _ in common if suffix in skipped_files(others)]
    return f"{text} For {known[0]} files: {remedy_for(known[0])}." if known else text


LabelAndSplit = tuple["str | None", "str | None"]


def arrange(paths: Iterable[str], *, growing: bool = False) -> tuple[str, list[Item]]:
    """Return the wrapping folders of `paths`, and the items inside them sorted by id."""
    # The wrapping is "" or ends in "/". With `growing`, the ids keep a wrapping without splits.
    ordered = sorted(paths)
    wrapping = _wrapping(ordered)
    ids = [path[len(wrapping) :] for path in ordered] if wrapping else ordered
    folders = [id.rpartition("/")[0] for id in ids]
    found = _labels_and_splits(set(folders))  # computed once for each folder
    if growing and not any(split for _, split in found.values()):
        wrapping, ids = "", ordered
    return wrapping, [Item(id, *found[folder]) for id, folder in zip(ids, folders, strict=True)]


def images_beside(items: Sequence[Item]) -> int:
    """Return the number of images beside the class folders; `items` are from `arrange`."""
    with_classes = {item.split for item in items if item.label is not None}
    return sum(
        item.label is None
        and item.split in with_classes
        and UNLABELLED.isdisjoint(item.id.split("/"))
        for item in items
    )


def doubt_about(items: Sequence[Item]) -> str | None:
    """Return the reason why folder names may be no classes, as a clause; None without doubt.

    `items` are from `arrange`. There is no doubt if the class folders are inside splits. Otherwise
    no image may be in a deeper folder, and no class may be named like a date, a number, an album or
    a folder of a camera. Numbers are accepted if the names of all classes are consecutive numbers
    from 0 or 1.
    """
    if any(item.split for item in items):
        return None
    names = {item.label for item in items if item.label is not None}
    deeper = next((item for item in items if _is_deeper(item)), None)
    if deeper is not None:
        return f"`{deeper.id.rpartition('/')[0]}` is a folder inside another folder"
    doubtful = [name for name in sorted(names) if _NO_CLASS.fullmatch(name)]
    if doubtful and not _are_numbered(names):
        return f"the folder `{doubtful[0]}` is named like an album or a date"
    return None


def _are_numbered(names: Collection[str]) -> bool:
    """Return whether names are consecutive whole numbers from 0 or 1."""
    if not all(name.isascii() and name.isdecimal() for name in names):
        return False
    numbers = sorted(int(name) for name in names)
    return numbers[0] < 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _is_deeper(item: Item) -> bool:
    """Return whether an image is in a folder inside its class folder."""
    return item.label is not None and item.id.split("/")[-2] != item.label


def _wrapping(ordered: list[str]) -> str:
    """Return the outer folders that all paths share, given the sorted paths."""
    if not ordered:
        return ""
    shared = ""
    first, last = (path.split("/")[:-1] for path in (ordered[0], ordered[-1]))
    for one, other in zip(first, last, strict=False):
        if one != other or canonical_split(one):
            break
        shared += one + "/"
    return shared


def are_splits(folders: set[str]) -> bool:
    """Return whether all folders are named like a split."""
    return bool(folders) and all(canonical_split(folder) for folder in folders)


def _splits(folders: set[str]) -> dict[str, str]:
    """Return the split of each first-level folder; empty if the folders are not splits."""
    splits = {folder: split for folder in folders if (split := canonical_split(folder)) is not None}
    is_split = len(splits) == len(folders) or len(set(splits.values())) > 1
    return splits if is_split else {}


def _labels_and_splits(folders: set[str]) -> dict[str, LabelAndSplit]:
    """Return the label and the split of each folder."""
    splits = _splits({folder.split("/", 1)[0] for folder in folders if folder})
    found = {folder: _label_and_split(folder, splits) for folder in folders}
    classes = {label for label, _ in found.values() if label is not None}
    if len(classes) < 2:
        return {folder: (None, split) for folder, (_, split) in found.items()}
    return found


def _label_and_split(folder: str, splits: dict[str, str]) -> LabelAndSplit:
    names = folder.split("/") if folder else []
    split = splits.get(names[0]) if names else None
    if splits:
        names = names[1:] if split else []
    if not names or names[0] in UNLABELLED:
        return None, split
    return intern(names[0]), split
