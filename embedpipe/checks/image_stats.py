"""Image statistics: size, contrast and a small grey copy; tiny and blank images."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._pixels import DecodeError, Picture, decoded
from ..cache import Failure
from ..datasets import Source
from ..datasets.source import read_failure
from ..embedding import Remark

__all__ = [
    "SIDE",
    "FileProperties",
    "ImageStats",
    "Progress",
    "blank_rows",
    "image_stats",
    "tiny_rows",
]

Progress = Callable[[str, int, int], None]
"""Function that takes the stage, the number of finished items, and the total number."""

SIDE = 24
"""Side of the grey copies in pixels."""

SHRUNKEN = 64
"""Side in pixels of the copy on which the spread of colours is measured."""

AHEAD, AHEAD_BYTES = 256, 256 << 20
"""Maximum number of images in memory at once, and maximum bytes of their files."""

FEW_PIXELS = 32
"""Shorter side in pixels below which an image has few details for a backbone."""

USUAL_SHARE = 1 / 8
"""Usual limit for tiny images, as a share of the median shorter side."""

MOST_SHARE = 1 / 2
"""Maximum limit for tiny images, as a share of the median shorter side."""

BLANK_SPREAD = 2.0
"""Maximum standard deviation of a blank image, in levels from 0 to 255; it allows for noise."""


@dataclass(frozen=True)
class FileProperties:
    """Properties of n image files; zeros and blank texts for unreadable images.

    Attributes
    ----------
    n_bytes
        (n,) int64, bytes of each file.
    formats
        (n,) object, format of the content, such as ``"JPEG"``, whatever the name of the file is.
    modes
        (n,) object, Pillow's mode, such as ``"CMYK"``; ``"RGB;16"`` has 16 bits per sample.
    orientations
        (n,) uint8, EXIF orientation from 1 (upright) to 8.
    """

    n_bytes: NDArray[np.int64]
    formats: NDArray[np.object_]
    modes: NDArray[np.object_]
    orientations: NDArray[np.uint8]

    @classmethod
    def unread(cls, n: int) -> FileProperties:
        """Return the properties of n files that were not read."""
        blank = np.full(n, "", dtype=object)
        return cls(np.zeros(n, np.int64), blank, blank.copy(), np.zeros(n, np.uint8))


@dataclass(frozen=True)
class ImageStats:
    """Statistics of n images; zeros for unreadable images."""

    seen: NDArray[np.bool_]  # (n,) whether the image could be read
    sizes: NDArray[np.int32]  # (n, 2) width and height in pixels, upright
    spreads: NDArray[np.float32]  # (n,) largest standard deviation of a colour channel
    greys: NDArray[np.uint8]  # (n, 24, 24) grey copies, stretched to a square
    files: FileProperties
    failures: tuple[Failure, ...]
    remarks: tuple[Remark, ...] = ()


class _Stats(NamedTuple):
    size: tuple[int, int]
    spread: float
    grey: NDArray[np.uint8]
    format: str
    mode: str
    orientation: int
    remarks: tuple[str, ...]
    n_bytes: int = 0


def image_stats(
    source: Source, ids: Sequence[str], first: NDArray[np.int64], progress: Progress | None = None
) -> ImageStats:
    """Return the statistics of images; only the `first` row of each content is read."""
    n = len(ids)
    seen, sizes = np.zeros(n, np.bool_), np.zeros((n, 2), np.int32)
    spreads, greys = np.zeros(n, np.float32), np.zeros((n, SIDE, SIDE), np.uint8)
    files = FileProperties.unread(n)
    failures: list[tuple[int, Failure]] = []
    remarks: list[tuple[int, Remark]] = []
    rows = {ids[row]: row for row in np.flatnonzero(first == np.arange(n)).tolist()}
    for done, (item_id, found) in enumerate(_stats_in_order(source, list(rows)), start=1):
        row = rows[item_id]
        if isinstance(found, Failure):
            failures.append((row, found))
        else:
            seen[row], sizes[row], spreads[row], greys[row] = True, *found[:3]
            files.formats[row], files.modes[row] = found.format, found.mode
            files.orientations[row], files.n_bytes[row] = found.orientation, found.n_bytes
            remarks += [(row, Remark(item_id, text)) for text in found.remarks]
        if progress:
            progress("look", done, len(rows))
    failures.sort(key=lambda entry: entry[0])  # sources yield images in any order
    remarks.sort(key=lambda entry: entry[0])
    copies = np.flatnonzero(first != np.arange(n))
    for values in (seen, sizes, spreads, greys, *vars(files).values()):
        values[copies] = values[first[copies]]
    return ImageStats(
        seen,
        sizes,
        spreads,
        greys,
        files,
        tuple(failure for _, failure in failures),
        tuple(remark for _, remark in remarks),
    )


def _stats_in_order(source: Source, ids: list[str]) -> Iterator[tuple[str, _Stats | Failure]]:
    """Yield the statistics of each item in the order of reading."""
    with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        pending: deque[tuple[str, Future[_Stats | Failure], int]] = deque()
        held = 0
        try:
            for item_id, content in source.read(ids):
                size = 0 if isinstance(content, OSError) else len(content)
                while pending and (len(pending) >= AHEAD or held + size > AHEAD_BYTES):
                    name, future, released = pending.popleft()
                    held -= released
                    yield name, future.result()
                pending.append((item_id, pool.submit(_stats_of_file, item_id, content), size))
                held += size
            while pending:
                name, future, _ = pending.popleft()
                yield name, future.result()
        finally:
            for _, future, _ in pending:
                future.cancel()


def _stats_of_file(item_id: str, content: bytes | OSError) -> _Stats | Failure:
    if isinstance(content, OSError):
        return Failure(item_id, None, "read", read_failure(content))
    try:
        found = decoded(content, _stats_of_picture, shrink=2 * SHRUNKEN)
    except DecodeError as error:
        return Failure(item_id, None, "decode", str(error))
    return found._replace(n_bytes=len(content))


def _stats_of_picture(picture: Picture) -> _Stats:
    from PIL import Image

    small = picture.rgb.resize((SHRUNKEN, SHRUNKEN), Image.Resampling.BOX)
    grey = small.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    colours = np.asarray(small, dtype=np.float64).reshape(-1, 3)  # (pixels, 3)
    spread = float(colours.std(axis=0).max())
    return _Stats(
        picture.size,
        spread,
        np.asarray(grey),
        picture.format,
        picture.mode,
        picture.orientation,
        picture.remarks,
    )


def tiny_side(sides: NDArray[np.integer]) -> float:
    """Return the limit in pixels of a tiny image, given one or more shorter sides.

    The limit is 32 or an eighth of the median side, whichever is larger, but at most half of the
    median side.
    """
    usual = float(np.median(sides))
    return min(max(FEW_PIXELS, USUAL_SHARE * usual), MOST_SHARE * usual)


def tiny_rows(stats: ImageStats) -> tuple[NDArray[np.int64], float | None]:
    """Return the rows of tiny images, and the limit `tiny_side`; None if no image was read."""
    sides = stats.sizes.min(axis=1)  # (n,)
    if not stats.seen.any():
        return np.empty(0, np.int64), None
    side = tiny_side(sides[stats.seen])
    return np.flatnonzero(stats.seen & (sides < side)), side


def blank_rows(stats: ImageStats) -> NDArray[np.int64]:
    """Return the rows of images of one colour, apart from noise and compression."""
    return np.flatnonzero(stats.seen & (stats.spreads < BLANK_SPREAD))
