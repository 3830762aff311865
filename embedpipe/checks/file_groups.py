"""Groups of images by the format and the size of their files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..datasets.layout import suffix_of
from .image_stats import FileProperties

__all__ = ["SizeGroup", "format_counts", "format_of_name", "misnamed_rows", "size_groups"]

SIDES = (100, 300, 1000, 3000)
"""Limits between the groups of sizes: pixels of the shorter side."""

_FORMATS = dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG") | {
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""Names of formats by suffix; other formats have their suffix as name."""

_SAME = {"PGM": "PPM"}
"""Formats by suffix that Pillow reads as another format."""


@dataclass(frozen=True)
class SizeGroup:
    """The number of images whose shorter side has from `least` to below `below` pixels."""

    least: int
    below: int | None  # None for the last group
    count: int


def format_of_name(name: str) -> str:
    """Return the format of a file by its suffix, such as ``"JPEG"``."""
    suffix = suffix_of(name)
    return _FORMATS.get(suffix, suffix.removeprefix(".").upper())


def format_counts(names: Iterable[str]) -> dict[str, int]:
    """Return the number of files of each format by suffix, the most common first."""
    return dict(Counter(map(format_of_name, names)).most_common())


def misnamed_rows(names: Iterable[str], files: FileProperties) -> NDArray[np.int64]:
    """Return the rows of readable files whose content has another format than their suffix."""
    expected = map(format_of_name, names)
    wrong = [
        found != "" and found not in (name, _SAME.get(name))
        for name, found in zip(expected, files.formats, strict=True)
    ]
    return np.flatnonzero(wrong)


def size_groups(sizes: NDArray[np.integer]) -> list[SizeGroup]:
    """Return the groups that have images; `sizes` are (n, 2) with zeros for unread images.

    Examples
    --------
    >>> for group in size_groups(np.array([[640, 480], [500, 300], [4000, 3000], [0, 0]])):
    ...     print(group.least, group.below, group.count)
    300 1000 2
    3000 None 1
    """
    sides = sizes.min(axis=1)
    found = []
    for least, below in pairwise((1, *SIDES, None)):
        inside = sides >= (least or 0)
        if below is not None:
            inside &= sides < below
        if inside.any():
            found.append(SizeGroup(least or 0, below, int(np.count_nonzero(inside))))
    return found
