"""Decoding of image files within a budget of memory."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image, ImageFile

from .deep import is_deep_colour
from .derived import DerivedImage
from .opening import COPY_AGAIN, DecodeError, as_remarks, collect_warnings, open_image
from .rgb import is_same_in_older_rule, to_rgb

__all__ = [
    "Budget",
    "Picture",
    "budget",
    "decoded",
    "is_plain",
    "is_same_by_older_rule",
    "return_freed_memory",
]

BYTES = 1 << 30
"""Minimum budget for decoded images, in bytes."""

BYTES_PER_PROCESSOR = 128 << 20
"""Budget for decoded images for each processor, in bytes."""


class Budget:
    """A memory budget in bytes that threads share; a request above it reserves all of it."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Reserve `size` bytes in a block; wait until they are free."""
        size = min(size, self.total)
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


budget = Budget(max(BYTES, BYTES_PER_PROCESSOR * (os.cpu_count() or 1)))
"""Budget for decoded images in this process."""


def return_freed_memory() -> None:
    """Return freed memory to the system; otherwise glibc keeps it for each thread."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Return glibc's function, or None with other C libraries."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # a TypeError on Windows
        return None


T = TypeVar("T")

BYTES_PER_PIXEL, BYTES_PER_DEEP_PIXEL = 8, 16
"""Bytes of memory per pixel during decoding: for most images, and for images of 16-bit colour."""

LARGE = 128 << 20
"""Bytes of a decoded image above which freed memory is returned to the system."""

_ORIENTATION = 0x0112

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_TURNED = (5, 6, 7, 8)
"""Orientations that swap width and height."""


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    `rgb` is upright 8-bit RGB. `size` is the upright width and height before a reduced decoding.
    `format` is one of `FORMATS`. `mode` is Pillow's mode of the file, with ``;16`` for 16-bit
    colour. `orientation` is the EXIF orientation, from 1 (upright) to 8. Each remark is a clause in
    which "it" is the image, such as "its animation is damaged".
    """

    rgb: Image.Image
    size: tuple[int, int]
    format: str
    mode: str
    orientation: int
    remarks: tuple[str, ...]


def decoded(data: bytes, use: Callable[[Picture], T], *, shrink: int | None = None) -> T:
    """Decode an image file, and return the result of `use` for the decoded image."""
    # The image counts against the budget of memory until `use` returns. After a MemoryError, it
    # is decoded once more, with the whole budget. `shrink` allows a JPEG to be decoded at a half, a
    # quarter or an eighth of its size; its sides keep at least `shrink` pixels.
    if not data:
        raise DecodeError(f"it is empty. {COPY_AGAIN}")
    for alone in (False, True):
        try:
            return _decoded(data, use, shrink, alone)
        except DecodeError:
            raise
        except MemoryError:
            continue  # the end of this block frees the pixels
        # Pillow's plugins raise many kinds of exceptions for malformed files.
        except Exception as error:
            if "out of memory" not in str(error):
                raise DecodeError(f"it is damaged ({_damage(error)}). {COPY_AGAIN}") from error
    raise DecodeError("it does not fit into memory. Free some memory and try again")


def _decoded(data: bytes, use: Callable[[Picture], T], shrink: int | None, alone: bool) -> T:
    with collect_warnings() as messages:
        image = open_image(data)
        size = image.size
        if shrink is not None:
            image.draft(None, (shrink, shrink))  # JPEG only
        per_pixel = BYTES_PER_DEEP_PIXEL if is_deep_colour(image) else BYTES_PER_PIXEL
        held = image.size[0] * image.size[1] * per_pixel
        with budget.reserve(budget.total if alone else held):
            try:
                return use(_picture(image, data, size, messages))
            finally:
                image.close()  # frees its pixels before the budget is released
                if held >= LARGE:
                    return_freed_memory()


def _picture(
    image: ImageFile.ImageFile, data: bytes, size: tuple[int, int], messages: list[str]
) -> Picture:
    kind = "JPEG" if image.format == "MPO" else str(image.format)  # an MPO is several JPEGs
    mode = f"{image.mode};16" if is_deep_colour(image) else image.mode
    rgb, remarks = to_rgb(image, data)
    orientation, damage = _orientation(image)
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    if orientation in _TURNED:
        size = size[::-1]
    derived = data.remarks if isinstance(data, DerivedImage) else ()
    unique = dict.fromkeys([*derived, *remarks, *damage, *as_remarks(messages)])
    return Picture(rgb, size, kind, mode, orientation, tuple(unique))


def _orientation(image: Image.Image) -> tuple[int, list[str]]:
    """Return the EXIF orientation of a loaded image, and remarks."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    # Damaged metadata raise many kinds of exceptions; the pixels are still valid.
    except Exception:  # noqa: BLE001
        return 1, as_remarks(["Corrupt EXIF"])
    return (value, []) if value in range(1, 9) else (1, [])


def is_plain(data: bytes) -> bool:
    """Return whether browsers show a file with the pixels that the encoder gets."""

    def plain(image: ImageFile.ImageFile) -> bool:
        return (
            image.mode in ("L", "RGB", "P", "1")
            and not image.has_transparency_data
            and not is_deep_colour(image)
            and not getattr(image, "is_animated", False)
            and not image.info.get("icc_profile")
            and (image.format == "JPEG" or "exif" not in image.info)
        )

    return _by_header(data, plain)


def is_same_by_older_rule(data: bytes) -> bool:
    """Return whether, by the file's header, older rules give the same pixels as `COLOUR_RULE`."""
    return _by_header(data, is_same_in_older_rule)


def _by_header(data: bytes, test: Callable[[ImageFile.ImageFile], bool]) -> bool:
    """Return the result of `test` for the header of an image; false if the file is damaged."""
    with collect_warnings():
        try:
            with open_image(data) as image:
                return test(image)
        # Pillow's plugins raise many kinds of exceptions for malformed files.
        except Exception:  # noqa: BLE001
            return False


def _damage(error: Exception) -> str:
    """Return the damage that an exception reports, as a phrase."""
    if re.search("truncated|unexpected end|EOF", str(error), re.IGNORECASE):
        return "file ends early"
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
