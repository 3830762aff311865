"""One look at every image: its size, whether anything is on it, and a small grey copy."""

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
from ..embedding import Remark

__all__ = ["SIDE", "Looks", "Progress", "look"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""

SIDE = 24
"""Pixels along each side of the grey copies."""

SHRUNKEN = 64
"""Pixels along each side of what the spread of colours is measured on."""

AHEAD, AHEAD_BYTES = 256, 256 << 20
"""Images, and bytes of their files, that are in memory at once at the most."""


@dataclass(frozen=True)
class Looks:
    """What one look at each of n images gave.

    Attributes
    ----------
    seen
        (n,) bool: whether it could be read; if not, the other arrays hold zeros.
    sizes
        (n, 2) int32 width and height in pixels, as the image is meant to be seen.
    spreads
        (n,) float32 largest standard deviation of a colour channel, from 0 to 127.5, after the
        image was shrunk to 64 x 64 pixels.
    greys
        (n, 24, 24) uint8 grey copies, stretched to a square.
    failures
        What could not be read, and why.
    remarks
        What a person should know about files that could be read.
    """

    seen: NDArray[np.bool_]
    sizes: NDArray[np.int32]
    spreads: NDArray[np.float32]
    greys: NDArray[np.uint8]
    failures: tuple[Failure, ...]
    remarks: tuple[Remark, ...] = ()


class _Look(NamedTuple):
    size: tuple[int, int]
    spread: float
    grey: NDArray[np.uint8]
    remarks: tuple[str, ...]


def look(
    source: Source, ids: Sequence[str], first: NDArray[np.int64], progress: Progress | None = None
) -> Looks:
    """Look at images, each file once, in all threads there are.

    JPEGs are decoded at an eighth of their size where that is enough. What cannot be read is
    told, and stops nothing.

    Parameters
    ----------
    source
        Gives the bytes.
    ids
        (n,) items.
    first
        (n,) int64: the first row with the same bytes, from `first_of_content`. Other rows are
        not read.
    progress
        Called with ``"look"``.

    Notes
    -----
    600 bytes of memory an item; at most 256 images or 256 MB of files at once.
    """
    n = len(ids)
    seen, sizes = np.zeros(n, np.bool_), np.zeros((n, 2), np.int32)
    spreads, greys = np.zeros(n, np.float32), np.zeros((n, SIDE, SIDE), np.uint8)
    failures: list[tuple[int, Failure]] = []
    remarks: list[tuple[int, Remark]] = []
    rows = {ids[row]: row for row in np.flatnonzero(first == np.arange(n)).tolist()}
    for done, (item_id, found) in enumerate(_looked_at(source, list(rows)), start=1):
        row = rows[item_id]
        if isinstance(found, Failure):
            failures.append((row, found))
        else:
            seen[row], sizes[row], spreads[row], greys[row] = True, *found[:3]
            remarks += [(row, Remark(item_id, text)) for text in found.remarks]
        if progress:
            progress("look", done, len(rows))
    failures.sort(key=lambda entry: entry[0])  # sources read in any order
    remarks.sort(key=lambda entry: entry[0])
    others = np.flatnonzero(first != np.arange(n))
    for values in (seen, sizes, spreads, greys):
        values[others] = values[first[others]]
    return Looks(
        seen,
        sizes,
        spreads,
        greys,
        tuple(failure for _, failure in failures),
        tuple(remark for _, remark in remarks),
    )


def _looked_at(source: Source, ids: list[str]) -> Iterator[tuple[str, _Look | Failure]]:
    """Yield each item with what was seen, in the order in which they are read."""
    with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        pending: deque[tuple[str, Future[_Look | Failure], int]] = deque()
        held = 0
        try:
            for item_id, content in source.read(ids):
                size = 0 if isinstance(content, OSError) else len(content)
                while pending and (len(pending) >= AHEAD or held + size > AHEAD_BYTES):
                    name, future, released = pending.popleft()
                    held -= released
                    yield name, future.result()
                pending.append((item_id, pool.submit(_look_at, item_id, content), size))
                held += size
            while pending:
                name, future, _ = pending.popleft()
                yield name, future.result()
        finally:
            for _, future, _ in pending:
                future.cancel()


def _look_at(item_id: str, content: bytes | OSError) -> _Look | Failure:
    if isinstance(content, OSError):
        return Failure(item_id, None, "read", str(content.strerror or content))
    try:
        return decoded(content, _seen, shrink=2 * SHRUNKEN)
    except DecodeError as error:
        return Failure(item_id, None, "decode", str(error))


def _seen(picture: Picture) -> _Look:
    from PIL import Image

    small = picture.rgb.resize((SHRUNKEN, SHRUNKEN), Image.Resampling.BOX)
    grey = small.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    colours = np.asarray(small, dtype=np.float64).reshape(-1, 3)  # (p, 3)
    spread = float(colours.std(axis=0).max())
    return _Look(picture.size, spread, np.asarray(grey), picture.remarks)
