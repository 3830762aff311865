r"""Paths that stay inside the folder, and names that any tree of files can hold.

Where a format makes a class or an item into a folder or a file, these are written as ``%`` and two
hexadecimal digits, and nothing else is changed: ``/ \ :`` and control characters anywhere; a dot
at the beginning, and the first character of a name that systems or formats keep for themselves
(``__MACOSX``, ``_unlabeled``); a ``%`` that would otherwise look like such an escape. Different
names have different escapes, and a name from elsewhere such as ``50% a%20b`` reads as it stands.
"""

from __future__ import annotations

import re

from ...datasets.suffixes import is_visible

__all__ = ["UNLABELLED", "escape", "escape_path", "tidy_path", "unescape"]

UNLABELLED = frozenset({"_unlabeled", "_unlabelled"})
"""Folders beside those of the classes that hold items without a label."""

_CONTROL = [chr(code) for code in (*range(32), 127)]
_CODES = "|".join(f"{ord(character):02X}" for character in ["%", *"/\\:._@$ST", *_CONTROL])
_ESCAPE = re.compile(f"%({_CODES})")
_TO_ESCAPE = re.compile(rf"[/\\:\x00-\x1f\x7f]|%(?=(?:{_CODES}))")
_DRIVE = re.compile(r"[A-Za-z]:")


def tidy_path(path: object) -> str:
    r"""Return a path from a file as the id of an item: relative, without empty or ``.`` parts.

    Raises
    ------
    ValueError
        If it is no text, is blank, or leads out of the folder: it has a ``..``, is absolute,
        begins with a drive, or holds a null character. The message is a clause.

    Examples
    --------
    >>> tidy_path("./hats//1.jpg")
    'hats/1.jpg'
    >>> tidy_path("..\\1.jpg")
    Traceback (most recent call last):
    ValueError: the path '..\\1.jpg' leaves the folder: a path is relative to it and has no '..'
    """
    if not isinstance(path, str) or not path.strip():
        raise ValueError(f"the path is {path!r}; it must be a text that is not empty")
    if not is_unicode(path) or "\0" in path:
        raise ValueError(f"the path {path!r} holds characters that no path has")
    parts = re.split(r"[/\\]", path)
    if path[0] in "/\\" or _DRIVE.match(path) or ".." in parts:
        raise ValueError(
            f"the path {path!r} leaves the folder: a path is relative to it and has no '..'"
        )
    tidy = "/".join(part for part in path.split("/") if part not in ("", "."))
    if not tidy:
        raise ValueError(f"the path {path!r} is the folder itself")
    return tidy


def is_unicode(text: str) -> bool:
    """Return whether `text` can be written as UTF-8: it has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escape(name: str) -> str:
    """Return a name for one file or folder that stands for `name`.

    Examples
    --------
    >>> escape("t-shirt"), escape("and/or"), escape("..")
    ('t-shirt', 'and%2For', '%2E.')
    """
    safe = _TO_ESCAPE.sub(lambda match: f"%{ord(match[0]):02X}", name)
    if not is_visible(safe) or safe in UNLABELLED:
        safe = f"%{ord(safe[0]):02X}{safe[1:]}"
    return safe


def escape_path(path: str) -> str:
    """Return the path of files and folders that stands for `path`, part by part."""
    return "/".join(escape(part) for part in path.split("/"))


def unescape(name: str) -> str:
    """Return the name or path that an escaped one stands for.

    Examples
    --------
    >>> unescape("and%2For"), unescape("50% a%20b")
    ('and/or', '50% a%20b')
    """
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), name)
