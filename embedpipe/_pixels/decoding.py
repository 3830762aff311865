"""The one way from a file's bytes to the pixels for the encoder and for people."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image, ImageFile

from .deep import is_deep_colour
from .opening import DecodeError, as_remarks, open_image, warned
from .rgb import keeps_older_pixels, to_rgb

__all__ = [
    "Budget",
    "Picture",
    "budget",
    "decoded",
    "is_plain",
    "is_unaffected",
    "return_freed_memory",
]

BYTES = 1 << 30
"""Bytes of decoded images in memory at once, on up to eight processors."""

BYTES_PER_PROCESSOR = 128 << 20
"""The same for each processor, where there are more than eight."""


class Budget:
    """Bytes that threads may hold together; one that asks for more than all holds them alone.

    Parameters
    ----------
    total
        Bytes.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Hold `size` bytes; wait until they are free, in turn, so that nobody waits for ever."""
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
"""Of this process."""


def return_freed_memory() -> None:
    """Return memory that was freed to the system, where the C library keeps it for its thread."""
    # Otherwise each thread that ever decoded a large image would keep as much memory.
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Return the function of glibc, None in other C libraries."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # a TypeError on Windows
        return None


T = TypeVar("T")

BYTES_PER_PIXEL, BYTES_PER_DEEP_PIXEL = 8, 16
"""Bytes in memory for each pixel while an image is decoded, and one of 16-bit colour."""

LARGE = 128 << 20
"""Bytes of a decoded image after which freed memory is returned to the system."""

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
"""Orientations in which width and height change places."""


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes
    ----------
    rgb
        8-bit RGB, upright; smaller than the file states if it was shrunk while decoding.
    size
        Width and height in pixels as stated by the file, upright.
    remarks
        What a person should know about the file; each is a clause about "it".
    """

    rgb: Image.Image
    size: tuple[int, int]
    remarks: tuple[str, ...]


def decoded(data: bytes, use: Callable[[Picture], T], *, shrink: int | None = None) -> T:
    """Decode an image file and return the result of `use`."""
    # `use` gets the image, which counts as memory of decoded images until it returns. `shrink` lets
    # a JPEG be decoded at a half, a quarter or an eighth, with sides of no fewer pixels than this.
    # Threads share a budget of memory: a large image waits for others, and is decoded alone. An
    # image that finds too little memory is tried once more, alone. A DecodeError has the reason.
    if not data:
        raise DecodeError("the file is empty")
    for alone in (False, True):
        try:
            return _decoded(data, use, shrink, alone)
        except DecodeError:
            raise
        except MemoryError:
            continue  # after this block, when nothing holds its pixels any more
        # Pillow's plugins raise nearly anything on malformed input; each is a reason, not a bug.
        except Exception as error:
            if "out of memory" not in str(error):
                raise DecodeError(_reason_of(error)) from error
    raise DecodeError("there is not enough memory to decode it: free some, and try it again")


def _decoded(data: bytes, use: Callable[[Picture], T], shrink: int | None, alone: bool) -> T:
    with warned() as messages:
        image = open_image(data)
        size = image.size
        if shrink is not None:
            image.draft(None, (shrink, shrink))  # only JPEG heeds it
        per_pixel = BYTES_PER_DEEP_PIXEL if is_deep_colour(image) else BYTES_PER_PIXEL
        held = image.size[0] * image.size[1] * per_pixel
        with budget.taken(budget.total if alone else held):
            try:
                return use(_picture(image, data, size, messages))
            finally:
                image.close()  # its pixels are freed before the next image may take their place
                if held >= LARGE:
                    return_freed_memory()


def _picture(
    image: ImageFile.ImageFile, data: bytes, size: tuple[int, int], messages: list[str]
) -> Picture:
    rgb, remarks = to_rgb(image, data)
    orientation, damage = _orientation(image)
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    if orientation in _TURNED:
        size = size[::-1]
    said = dict.fromkeys([*remarks, *damage, *as_remarks(messages)])
    return Picture(rgb, size, tuple(said))


def _orientation(image: Image.Image) -> tuple[int, list[str]]:
    """Return the EXIF orientation of an image that has been loaded, and remarks."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    # Damaged metadata raise nearly anything; the pixels are there none the less.
    except Exception:  # noqa: BLE001
        return 1, as_remarks(["Corrupt EXIF"])
    return (value, []) if isinstance(value, int) else (1, [])


def is_plain(data: bytes) -> bool:
    """Return whether a browser shows a file with the pixels that the encoder sees."""
    # Not so if it has transparent pixels, frames, more than 8 bits, inks, a colour profile, or an
    # orientation that not all browsers heed.

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


def is_unaffected(data: bytes) -> bool:
    """Return whether older rules for colours gave the same pixels, by the header of a file."""
    return _by_header(data, keeps_older_pixels)


def _by_header(data: bytes, test: Callable[[ImageFile.ImageFile], bool]) -> bool:
    """Return `test` of an image whose header has been read; false if it is damaged."""
    with warned():
        try:
            with open_image(data) as image:
                return test(image)
        # Pillow's plugins raise nearly anything on malformed input.
        except Exception:  # noqa: BLE001
            return False


def _reason_of(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
