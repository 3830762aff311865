r"""Safe relative paths, and escaped names of files and folders.

In names of files and folders, some characters are written as ``%`` and two hexadecimal digits.
They are ``/``, ``\``, ``:``, control characters, a dot at the beginning, the first character of a
reserved name (``__MACOSX``, ``_unlabeled``, ``no_label``), and a ``%`` before the digits of such a
character. Different names have different escaped names. Names without these characters, such as
``50% a%20b``, are not changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...datasets.layout import UNLABELLED, is_visible
from ...errors import FormatError

__all__ = [
    "UNLABELLED",
    "check_lengths",
    "escape",
    "escape_path",
    "tidy_path",
    "unescape",
    "unescape_path",
]

MAX_NAME_BYTES = 255
"""Maximum bytes of a file name on common file systems."""

_CONTROL = [chr(code) for code in (*range(32), 127)]
_CODES = "|".join(f"{ord(character):02X}" for character in ["%", *"/\\:._@$STn", *_CONTROL])
_ESCAPE = re.compile(f"%({_CODES})")
_TO_ESCAPE = re.compile(rf"[/\\:\x00-\x1f\x7f]|%(?=(?:{_CODES}))")
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")


def path_text(path: object) -> str:
    """Return a path from a file as text, or raise ValueError with a clause for a message."""
    if not isinstance(path, str) or not path.strip():
        raise ValueError(f"the path is {path!r}; expected text")
    if not is_unicode(path) or "\0" in path:
        raise ValueError(f"the path {path!r} contains invalid characters")
    return path


def leaves_folder(path: str) -> bool:
    """Return whether a path is absolute, begins with a drive, or has a part ``..``."""
    return path[0] in "/\\" or bool(_DRIVE.match(path)) or ".." in re.split(r"[/\\]", path)


def tidy_path(path: object) -> str:
    """Return a path as a tidy relative id, or raise ValueError with a clause for a message."""
    # Only for paths without a dataset, because an item of a dataset may have any path.
    path = path_text(path)
    if leaves_folder(path):
        raise ValueError(
            f"the path {path!r} is outside the folder; expected a relative path without '..'"
        )
    tidy = "/".join(part for part in path.split("/") if part not in ("", "."))
    if not tidy:
        raise ValueError(f"the path {path!r} is the folder itself; expected a path in it")
    return tidy


def is_unicode(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8 (has no lone surrogates)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escape(name: str) -> str:
    """Return the escaped name of a file or folder."""
    safe = _TO_ESCAPE.sub(lambda match: f"%{ord(match[0]):02X}", name)
    if not is_visible(safe) or safe in UNLABELLED:
        safe = f"%{ord(safe[0]):02X}{safe[1:]}"
    return safe


def escape_path(path: str) -> str:
    """Return a relative path of escaped parts, without ``..``, for any path."""
    slash = "%2F" if path.startswith("/") else ""
    return slash + "/".join(escape(part) for part in path.removeprefix("/").split("/"))


def unescape(name: str) -> str:
    """Return the original of an escaped name."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), name)


def unescape_path(path: str) -> str:
    """Return the original of an escaped path."""
    return "/".join(unescape(part) for part in path.split("/"))


def check_lengths(name: str, files: Iterable[tuple[str, str]]) -> None:
    """Refuse a file name that is too long; `files` has pairs of item path and file path."""
    for path, file in files:
        length = max(len(part.encode()) for part in file.split("/"))
        if length > MAX_NAME_BYTES:
            raise FormatError(
                f"the item {path!r} would have a file name of {length} bytes in the format {name}; "
                f"at most {MAX_NAME_BYTES} are possible. Choose a table format, such as csv."
            )
