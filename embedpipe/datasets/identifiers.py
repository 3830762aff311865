r"""File names as text: an id is valid Unicode and identifies exactly one file.

A file name on disk is a string of bytes. A name in UTF-8 is its own id. A byte that is not part of
UTF-8 text is written ``\xNN`` in the id, where `NN` is the value of the byte. If a name contains
such an escape as plain text, the backslash is written ``\x5c``. Different names have different ids.
"""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import os
import re
import unicodedata
from functools import lru_cache
from pathlib import PurePath

from ..errors import DatasetError

__all__ = ["decode_id", "encode_id", "existing_form", "no_such_path", "path_form", "similar_hint"]

_ESCAPE = re.compile(r"\\x(5c|[89a-f][0-9a-f])")
_TO_ESCAPE = re.compile(r"[\udc80-\udcff]|\\(?=x(?:5c|[89a-f][0-9a-f]))")
_SURROGATE = 0xDC00
"""`os.fsdecode` decodes an invalid byte b as the code point 0xDC00 + b."""


def encode_id(path: str) -> str:
    r"""Return the id of a relative path that :func:`os.fsdecode` has decoded."""
    if path.isascii() and "\\" not in path:
        return path
    return _TO_ESCAPE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", path)


def decode_id(id: str) -> str:
    r"""Return the path of `id`: the inverse of :func:`encode_id`."""
    if "\\" not in id:
        return id
    return _ESCAPE.sub(lambda match: _character(int(match[1], 16)), id)


def _character(byte: int) -> str:
    return "\\" if byte == ord("\\") else chr(_SURROGATE + byte)


def path_form(path: str) -> str:
    r"""Return a form that is equal for similar paths: in NFC, with ``/`` for ``\``."""
    slashed = path.replace("\\", "/")
    return slashed if slashed.isascii() else unicodedata.normalize("NFC", slashed)


def existing_form(path: str) -> str | None:
    """Return an existing path with the same form as the missing `path`, or None."""
    if path.isascii() and "\\" not in path:
        return None
    anchor, *parts = PurePath(path.replace("\\", "/")).parts
    found = anchor
    for part in parts:
        below = os.path.join(found, part)
        if not os.path.lexists(below):
            try:
                changed = os.stat(found).st_mtime_ns
                name = _names_by_form(found, changed).get(path_form(part))
            except OSError:
                return None
            if name is None:
                return None
            below = os.path.join(found, name)
        found = below
    return found if os.path.exists(found) else None  # not a broken link


def similar_hint(path: str, similar: str | None) -> str:
    """Return a clause that names `similar`, an existing path like `path`; blank for None."""
    if similar is None:
        return ""
    slashes = path_form(path) != unicodedata.normalize("NFC", path)
    kind = "slashes" if slashes else "Unicode form"
    return f"; the path {similar!r} differs only in its {kind}: use that one"


def no_such_path(fault: str, given: str) -> DatasetError:
    """Return the error for a path given by the user that does not exist."""
    similar = existing_form(os.path.abspath(os.path.expanduser(given)))
    if similar is not None and not os.path.isabs(given):
        similar = os.path.relpath(similar)
    hint = similar_hint(given, None if similar is None else encode_id(similar))
    return DatasetError(f"{fault} at `{encode_id(given)}`{hint}.")


@lru_cache(maxsize=4)  # many missing files may be in one folder
def _names_by_form(folder: str, changed: int) -> dict[str, str]:
    """Return the names in a folder by their form; `changed` makes the cache notice changes."""
    return {path_form(name): name for name in os.listdir(folder)}
