"""Which files are looked at: images by their suffix, and nothing hidden."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

__all__ = ["IMAGE_SUFFIXES", "is_image", "is_visible", "no_images", "suffix_of"]

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
    """Return whether the file name has the suffix of an image.

    Examples
    --------
    >>> is_image("IMG_001.JPG"), is_image("notes.txt")
    (True, False)
    """
    return suffix_of(name) in IMAGE_SUFFIXES


def is_visible(name: str) -> bool:
    """Return whether a file or folder of this name is looked at: not hidden, not litter."""
    return not name.startswith(".") and name not in _LITTER


def no_images(what: str, others: Mapping[str, int]) -> str:
    """Return the message for a place that holds no image, given what it holds by suffix."""
    wanted = ", ".join(sorted(IMAGE_SUFFIXES))
    common = Counter(others).most_common(5)
    found = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in common)
    return f"no images in {what}: looked for {wanted}; found {found or 'no files at all'}."
