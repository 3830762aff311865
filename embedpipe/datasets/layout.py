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
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from sys import intern

from .dataset import Item, canonical_split

__all__ = [
    "IMAGE_SUFFIXES",
    "UNLABELLED",
    "UNSUPPORTED_SUFFIXES",
    "are_splits",
    "arrange",
    "is_image",
    "is_visible",
    "no_images",
    "suffix_of",
]

UNSUPPORTED_SUFFIXES = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".jp2", ".psd", ".svg", ".cr2", ".nef", ".arw", ".dng"}
)
"""Suffixes of image formats that are not supported; such files are counted and reported."""

IMAGE_SUFFIXES = frozenset(
    {
        *(".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"),
        *(".jpg", ".jpeg", ".jpe", ".jfif"),
    }
)
"""Supported suffixes in lower case; file names are compared without case."""

_SYSTEM_FILES = frozenset(
    {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "Thumbs.db"}
)
"""Copies, thumbnails and deleted files that operating systems leave beside images."""

UNLABELLED = frozenset({"_unlabeled", "_unlabelled", "no_label"})
"""Names of folders beside the class folders in which other programs put unlabelled images."""


def suffix_of(name: str) -> str:
    """Return the suffix of a file name in lower case with its dot, or ""."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


def is_image(name: str) -> bool:
    """Return whether the file name has the suffix of an image."""
    return suffix_of(name) in IMAGE_SUFFIXES


def is_visible(name: str) -> bool:
    """Return whether a file or folder is neither hidden nor a file of the system."""
    return not name.startswith(".") and name not in _SYSTEM_FILES


def no_images(place: str, others: Mapping[str, int]) -> str:
    """Return the message for a place without images, given its number of files by suffix."""
    wanted = ", ".join(sorted(IMAGE_SUFFIXES))
    common = Counter(others).most_common(5)
    found = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in common)
    return f"no images in {place}: expected {wanted}; found {found or 'no files at all'}."


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
