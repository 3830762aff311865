"""Opening of image files within limits, with Pillow's warnings as remarks."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from PIL import Image, ImageFile, UnidentifiedImageError, features

__all__ = [
    "COPY_AGAIN",
    "FORMATS",
    "MAX_PIXELS",
    "DecodeError",
    "as_remarks",
    "can_read",
    "collect_warnings",
    "open_image",
    "remedy",
]

COPY_AGAIN = "Copy it again from the source"

_METADATA = "its metadata (EXIF or TIFF tags) are damaged; its orientation may be lost"

_REMARKS = (
    ("Corrupt EXIF", _METADATA),
    ("Possibly corrupt EXIF", _METADATA),
    ("Tag ", _METADATA),
    ("Truncated File Read", _METADATA),
    ("Metadata Warning", _METADATA),
    (
        "Image appears to be a malformed MPO",
        "its list of images is damaged; the first image is used",
    ),
    ("Invalid APNG", "its animation is damaged; the still image is used"),
)
"""Beginnings of Pillow's warnings, and the remarks for them."""

_SILENT = ("Image size (", "Palette images with Transparency")
"""Beginnings of warnings that are ignored."""


def as_remarks(messages: list[str]) -> list[str]:
    """Return a remark for each kind of warning, in order."""
    remarks = dict.fromkeys(
        next(
            (remark for start, remark in _REMARKS if message.startswith(start)),
            f"Pillow reports: {message}",
        )
        for message in messages
        if not message.startswith(_SILENT)
    )
    return list(remarks)


_lock = threading.Lock()
_inside = 0
_outer: contextlib.ExitStack | None = None
_thread = threading.local()


@contextlib.contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Collect the text of Pillow's warnings in this thread; silence libtiff and Pillow's log."""
    # The settings belong to the process: the first of several threads changes them, and the last
    # restores them.
    global _inside, _outer  # noqa: PLW0603
    with _lock:
        _inside += 1
        if _outer is None:
            _outer = contextlib.ExitStack()
            _outer.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("always", module=r"PIL\.")
            warnings.showwarning = _collecting(warnings.showwarning)
            _outer.enter_context(_silent_libtiff())
            _outer.enter_context(_silent_log())
    before, _thread.messages = getattr(_thread, "messages", None), []
    try:
        yield _thread.messages
    finally:
        _thread.messages = before
        with _lock:
            _inside -= 1
            if not _inside and _outer is not None:
                _outer.close()
                _outer = None


def _collecting(show: Callable[..., None]) -> Callable[..., None]:
    """Return a `warnings.showwarning` that appends to the thread's list, or calls `show`."""

    def collect(message: Warning | str, *place: object) -> None:
        messages = getattr(_thread, "messages", None)
        if messages is None:
            show(message, *place)
        else:
            messages.append(" ".join(str(message).split()))

    return collect


@contextlib.contextmanager
def _silent_log() -> Iterator[None]:
    """Keep Pillow's log off standard error if logging is not configured."""
    logger, handler = logging.getLogger("PIL"), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextlib.contextmanager
def _silent_libtiff() -> Iterator[None]:
    """Keep Pillow's libtiff from writing to standard error."""
    set_handler = _error_handler_of_libtiff()
    if set_handler is None:
        yield
        return
    before = set_handler(None)
    try:
        yield
    finally:
        set_handler(before)


@functools.cache
def _error_handler_of_libtiff() -> Callable[[int | None], int | None] | None:
    """Return libtiff's function that replaces its error handler; None if not exported."""
    import ctypes

    from PIL import _imaging

    try:
        function = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (AttributeError, OSError):
        return None
    function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    return function


FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF")
"""Pillow's names of supported formats; see `can_read` for the last two.

The decoders of these formats start no program and read no other file.
"""

MAX_PIXELS = 120_000_000
"""Maximum pixels of an image, by its header."""

_UNSUPPORTED = (
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"%PDF", "PDF"),
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x01\x00", "an icon (ICO)"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"SIMPLE  =", "FITS"),
    (b"\x89HDF", "HDF5"),
    (b"DDS ", "DDS"),
    (b"icns", "an icon (ICNS)"),
    (b"qoif", "QOI"),
    (b"<svg", "SVG"),
)
"""First bytes of unsupported formats, and their names."""

_WEB_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body")

_AVIF = (b"avif", b"avis")
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"miaf")
"""Brands of files in the ISO base media format."""

NAMES = {"AVIF": "AVIF", "HEIF": "HEIC"}
"""Common names of formats that an installation may lack."""

_INSTALL = {"AVIF": "pip install --upgrade pillow", "HEIF": "pip install 'embedpipe[heif]'"}


def remedy(name: str) -> str:
    """Return the two ways to use files of a format that cannot be read here."""
    return f"`{_INSTALL[name]}` to read it, or convert it to JPEG"


_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


class DecodeError(Exception):
    """An image file that cannot be decoded; the message is a clause in which "it" is the image."""


@functools.cache
def can_read(name: str) -> bool:
    """Return whether the installed packages can read one of `FORMATS`."""
    if name == "HEIF":
        return importlib.util.find_spec("pillow_heif") is not None
    return name != "AVIF" or features.check("avif") is True


@functools.cache
def _formats() -> list[str]:
    Image.init()
    if can_read("HEIF"):
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)
    return [name for name in FORMATS if name in Image.OPEN]


def open_image(data: bytes) -> ImageFile.ImageFile:
    """Return an image whose header has been read and whose pixels have not."""
    try:
        image = Image.open(io.BytesIO(data), formats=_formats())
    except Image.DecompressionBombError:
        limit = min(MAX_PIXELS, 2 * (Image.MAX_IMAGE_PIXELS or MAX_PIXELS))
        raise DecodeError(f"it has more than {limit:,} pixels. Reduce the image") from None
    except UnidentifiedImageError:
        raise DecodeError(_reason_unsupported(data)) from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DecodeError(
            f"it has {width:,} x {height:,} pixels; the limit is {MAX_PIXELS:,}. Reduce the image"
        )
    if image.format == "TIFF":
        _check_tiff(image, image.tag_v2)  # type: ignore[attr-defined]
    return image


_PLANES, _BITS, _TILE_WIDTH, _TILE_LENGTH = 284, 258, 322, 323


def _check_tiff(image: ImageFile.ImageFile, tags: Mapping[int, Any]) -> None:
    """Refuse large tiles; let libtiff read separate planes with more than 8 bits."""
    # Pillow's own reader assumes 8 bits for uncompressed planes.
    tile = tags.get(_TILE_WIDTH, 1), tags.get(_TILE_LENGTH, 1)
    if all(isinstance(side, int) for side in tile) and tile[0] * tile[1] > MAX_PIXELS:
        raise DecodeError(
            f"it has tiles of {tile[0]:,} x {tile[1]:,} pixels. Save it with smaller tiles"
        )
    bits = tags.get(_BITS, (1,))
    if tags.get(_PLANES) != 2 or max(bits) <= 8 or image.tile[0].codec_name == "libtiff":
        return
    if image.mode in ("I;16", "I;16B"):  # one plane
        image.tile = [tile._replace(args=(image.mode, 0, 1)) for tile in image.tile]
    elif max(bits) == 16 and image.mode in ("RGB", "RGBA"):
        args = (f"{image.mode};16N", False, tags.offset)  # type: ignore[attr-defined]
        image.tile = [ImageFile._Tile("libtiff", (0, 0, *image.size), 0, args)]
        image.use_load_libtiff = True  # type: ignore[attr-defined]
    else:
        raise DecodeError("it is a TIFF with planes of an unsupported kind. Save it as 8-bit RGB")


def _reason_unsupported(data: bytes) -> str:
    """Return the reason why a file matches no supported format, and the next step."""
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the image. Run `git lfs pull`"
    if start.lower().startswith(_WEB_PAGES):
        return "it is a web page, not an image. Download it again"
    if start.startswith(_TIFF):
        return "it is a damaged TIFF, or a TIFF of an unsupported kind. Save it as 8-bit RGB"
    name = next((name for magic, name in _UNSUPPORTED if data.startswith(magic)), None)
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        kind = "AVIF" if brand in _AVIF else "HEIF" if brand in _HEIF else None
        if kind is None:
            return "it is a video. Rename it to .mp4 and give --every 1s to use its frames"
        if can_read(kind):
            return f"it is damaged ({NAMES[kind]} without an image). {COPY_AGAIN}"
        return f"it is {NAMES[kind]}: {remedy(kind)}"
    if name is None and start.startswith(b"<?xml") and b"<svg" in data[:4096]:
        name = "SVG"
    if name is None:
        return "it is not an image in a supported format"
    return f"it is {name}, an unsupported format. Convert it to PNG or JPEG"
