"""Which files are images, and what their folders mean: wrapping, splits, classes.

The rules, in order, for the relative paths of all images:

1. Folders that hold everything are a wrapping and are taken off:
   ``clothing-dataset-small-master/train/hat/x.jpg`` becomes ``train/hat/x.jpg``. A folder named
   like a split is not a wrapping. In a folder on disk, which may grow, a wrapping is taken off
   the ids only if there are splits inside it: otherwise a second folder beside it would give
   every image another id, and its label would be lost.
2. The first-level folders are splits if all of them are named like splits, or if they name at
   least two different ones (so ``train/ test/ docs/`` is split, and vehicles in ``bus/ car/
   train/`` are not).
3. The first-level folders, inside the split folders if there are such, are classes if there are
   at least two. One class tells nothing apart: its items are unlabelled. What lies deeper belongs
   to the class above it.
4. Images beside the class folders, outside of the split folders, or in a class folder called
   ``_unlabeled``, ``_unlabelled`` (FiftyOne) or ``no_label`` (CVAT) are unlabelled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from sys import intern

from .item import Item, canonical_split

__all__ = [
    "IMAGE_SUFFIXES",
    "UNLABELLED",
    "are_splits",
    "arrange",
    "is_image",
    "is_visible",
    "no_images",
    "suffix_of",
]

FOREIGN_SUFFIXES = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".jp2", ".psd", ".svg", ".cr2", ".nef", ".arw", ".dng"}
)
"""Suffixes of images that are not read; a user is told when there are some."""

IMAGE_SUFFIXES = frozenset(
    {
        *(".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"),
        *(".jpg", ".jpeg", ".jpe", ".jfif"),
    }
)
"""In lower case; files are compared in any case."""

_LITTER = frozenset(
    # Copies, thumbnails and deleted files that systems leave beside the images.
    {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "Thumbs.db"}
)


def suffix_of(name: str) -> str:
    """Return the suffix of a file name in lower case with its dot, or ""."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


def is_image(name: str) -> bool:
    """Return whether the file name has the suffix of an image."""
    return suffix_of(name) in IMAGE_SUFFIXES


def is_visible(name: str) -> bool:
    """Return whether a file or folder of this name is looked at: not hidden, not litter."""
    return not name.startswith(".") and name not in _LITTER


def no_images(what: str, others: Mapping[str, int]) -> str:
    """Return the message for a place without images, given its number of files by suffix."""
    wanted = ", ".join(sorted(IMAGE_SUFFIXES))
    common = Counter(others).most_common(5)
    found = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in common)
    return f"no images in {what}: looked for {wanted}; found {found or 'no files at all'}."


Place = tuple["str | None", "str | None"]

UNLABELLED = frozenset({"_unlabeled", "_unlabelled", "no_label"})
"""Folders beside those of the classes in which other programs put images without a label."""


def arrange(paths: Iterable[str], *, growing: bool = False) -> tuple[str, list[Item]]:
    """Return the wrapping folders of `paths`, and the items inside them sorted by id."""
    # The wrapping is "" or ends in "/". `growing` keeps it in the ids unless splits are inside it.
    ordered = sorted(paths)
    wrapping = _wrapping(ordered)
    ids = [path[len(wrapping) :] for path in ordered] if wrapping else ordered
    folders = [id.rpartition("/")[0] for id in ids]
    places = _places(set(folders))  # looked up per image, worked out per folder
    if growing and not any(split for _, split in places.values()):
        wrapping, ids = "", ordered
    return wrapping, [Item(id, *places[folder]) for id, folder in zip(ids, folders, strict=True)]


def _wrapping(ordered: list[str]) -> str:
    """Return the folders that all paths share: in sorted order, those of the first and last."""
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
    """Return whether every one of some folders is named like a split."""
    return bool(folders) and all(canonical_split(folder) for folder in folders)


def _splits(folders: set[str]) -> dict[str, str]:
    """Return the split of each first-level folder, empty if they are not splits."""
    splits = {folder: split for folder in folders if (split := canonical_split(folder)) is not None}
    meant = len(splits) == len(folders) or len(set(splits.values())) > 1
    return splits if meant else {}


def _places(folders: set[str]) -> dict[str, Place]:
    """Return the label and the split of each folder."""
    splits = _splits({folder.split("/", 1)[0] for folder in folders if folder})
    places = {folder: _place(folder, splits) for folder in folders}
    classes = {label for label, _ in places.values() if label is not None}
    if len(classes) < 2:
        return {folder: (None, split) for folder, (_, split) in places.items()}
    return places


def _place(folder: str, splits: dict[str, str]) -> Place:
    names = folder.split("/") if folder else []
    split = None
    if splits:
        split = splits.get(names[0]) if names else None
        names = names[1:] if split else []
    if not names or names[0] in UNLABELLED:
        return None, split
    return intern(names[0]), split
