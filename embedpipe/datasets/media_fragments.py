"""Ids of parts of files, in the syntax of W3C Media Fragments URI 1.0.

``clip.mp4#t=12.0`` is the frame that is shown 12 seconds after the first frame of a video.
``photo.jpg#xywh=10,20,100,80`` is a crop: x, y, width and height in pixels of the upright image.
``clip.mp4#t=12.0&xywh=10,20,100,80`` is a crop of a frame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from .._pixels.video import VIDEO_SUFFIXES
from ..errors import UsageError
from .layout import suffix_of

__all__ = ["Box", "Part", "format_time", "is_video", "part_of", "read_interval", "with_box"]

Box = tuple[int, int, int, int]
"""x, y, width and height of a crop, in pixels of the upright image."""

_FRAGMENT = re.compile(
    r"(?P<file>.+?)#(?:t=(?P<time>\d+(?:\.\d{1,3})?)(?:&(?=x))?)?"
    r"(?:xywh=(?:pixel:)?(?P<box>-?\d+,-?\d+,\d+,\d+))?",
    re.ASCII,
)

_INTERVAL = re.compile(r"([0-9.]+)\s*(ms|s|min|h)?", re.ASCII)

_SECONDS = {"ms": Fraction(1, 1000), "s": Fraction(1), "min": Fraction(60), "h": Fraction(3600)}


@dataclass(frozen=True, slots=True)
class Part:
    """A frame or a crop of the file with the id `file`."""

    file: str
    time: Fraction | None  # in seconds after the first frame
    box: Box | None

    @property
    def fragment(self) -> str:
        """The part in one canonical form, such as ``t=12.0``."""
        time = None if self.time is None else f"t={format_time(self.time)}"
        box = None if self.box is None else f"xywh={','.join(map(str, self.box))}"
        return "&".join(filter(None, (time, box)))


def part_of(id: str) -> Part | None:
    """Return the part that an id names; None for the id of a whole file."""
    match = _FRAGMENT.fullmatch(id) if "#" in id else None
    if match is None or not (match["time"] or match["box"]):
        return None
    file, time, box = match["file"], match["time"], match["box"]
    if is_video(file) != (time is not None):  # times belong to videos, and only to videos
        return None
    numbers = None if box is None else tuple(map(int, box.split(",")))
    return Part(file, None if time is None else Fraction(time), numbers)  # type: ignore[arg-type]


def is_video(id: str) -> bool:
    """Return whether an id has the suffix of a video."""
    return suffix_of(id) in VIDEO_SUFFIXES


def with_box(id: str, box: Box) -> str:
    """Return the id of a crop of an image or a frame."""
    numbers = ",".join(map(str, box))
    return f"{id}{'#' if part_of(id) is None else '&'}xywh={numbers}"


def format_time(seconds: Fraction) -> str:
    """Return a time with one to three decimals.

    Examples
    --------
    >>> format_time(Fraction(12)), format_time(Fraction(1, 8))
    ('12.0', '0.125')
    """
    text = f"{float(seconds):.3f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def read_interval(given: str | float) -> Fraction:
    """Return the time between two frames in seconds, from ``"1s"``, ``"500ms"``, or a number.

    Examples
    --------
    >>> read_interval("500ms"), read_interval("2min"), read_interval(1)
    (Fraction(1, 2), Fraction(120, 1), Fraction(1, 1))
    """
    match = _INTERVAL.fullmatch(str(given).strip())
    try:
        seconds = Fraction(Decimal(match[1])) * _SECONDS[match[2] or "s"] if match else Fraction(0)
    except InvalidOperation:
        seconds = Fraction(0)
    if seconds <= 0 or (seconds * 1000).denominator != 1:
        raise UsageError(
            f"the time between frames must be at least 1 ms in whole milliseconds, such as 1s, "
            f"500ms or 2min; got {given!r}."
        )
    return seconds
