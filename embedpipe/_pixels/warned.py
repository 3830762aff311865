"""Warnings that Pillow raises about a file, as remarks about that file."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import warnings
from collections.abc import Callable, Iterator

__all__ = ["as_remarks", "warned"]

_METADATA = "its metadata (EXIF or TIFF tags) are damaged; they may hold its orientation"

_REMARKS = (
    ("Corrupt EXIF", _METADATA),
    ("Possibly corrupt EXIF", _METADATA),
    ("Tag ", _METADATA),
    ("Truncated File Read", _METADATA),
    ("Metadata Warning", _METADATA),
    ("Image appears to be a malformed MPO", "its list of pictures is damaged; the first is used"),
    ("Invalid APNG", "its animation is damaged; the still image is used"),
)
"""Start of a warning of Pillow's, and the remark about the file."""

_SILENT = ("Image size (", "Palette images with Transparency")
"""Warnings without a consequence here: the number of pixels has a limit of its own."""


def as_remarks(messages: list[str]) -> list[str]:
    """Return a remark for each kind of warning, in the order in which they came.

    Examples
    --------
    >>> as_remarks(["Corrupt EXIF data. Expecting to read 4 bytes", "Image size (10 pixels) ex"])
    ['its metadata (EXIF or TIFF tags) are damaged; they may hold its orientation']
    """
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
def warned() -> Iterator[list[str]]:
    """Collect the text of the warnings that Pillow raises in this thread.

    Libtiff and Pillow's log write errors to the terminal as well. They are silent: Pillow raises
    what ends the decoding.

    These settings are those of the whole process, so threads that decode at the same time share
    them: the first thread sets them and the last one restores them. Warnings of other code are
    shown as they would be without it.
    """
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
    """Return a replacement of `warnings.showwarning` that collects in threads that ask for it."""

    def collect(message: Warning | str, *place: object) -> None:
        messages = getattr(_thread, "messages", None)
        if messages is None:
            show(message, *place)
        else:
            messages.append(" ".join(str(message).split()))

    return collect


@contextlib.contextmanager
def _silent_log() -> Iterator[None]:
    """Keep the log of Pillow from standard error where nobody has set up logging."""
    logger, handler = logging.getLogger("PIL"), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextlib.contextmanager
def _silent_libtiff() -> Iterator[None]:
    """Keep the libtiff that Pillow is linked with from writing to standard error."""
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
    """Return libtiff's function that replaces its error handler, None if it is not exported."""
    import ctypes

    from PIL import _imaging

    try:
        function = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (AttributeError, OSError):
        return None
    function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    return function
