r"""File names as text: an id is always valid Unicode and always leads back to its file.

A file name on disk is a string of bytes. Nearly all are UTF-8 and are their own id. A byte that
is not is written ``\xNN`` in the id, where `NN` is its value, and a name that happens to hold such
an escape as plain text has its backslash written ``\x5c``. Different names have different ids.
"""

from __future__ import annotations

import re

__all__ = ["decode_id", "encode_id"]

_ESCAPE = re.compile(r"\\x(5c|[89a-f][0-9a-f])")
_TO_ESCAPE = re.compile(r"[\udc80-\udcff]|\\(?=x(?:5c|[89a-f][0-9a-f]))")
_SURROGATE = 0xDC00  # os.fsdecode turns the undecodable byte b into the code point 0xDC00 + b


def encode_id(path: str) -> str:
    r"""Return the id of the relative path `path`, as :func:`os.fsdecode` gives it.

    Examples
    --------
    >>> encode_id("Größe 50%/a b.jpg")
    'Größe 50%/a b.jpg'
    >>> print(encode_id(b"caf\xe9.jpg".decode("utf-8", "surrogateescape")))
    caf\xe9.jpg
    """
    if path.isascii() and "\\" not in path:
        return path
    return _TO_ESCAPE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", path)


def decode_id(id: str) -> str:
    r"""Return the path that `id` stands for: the inverse of :func:`encode_id`.

    Examples
    --------
    >>> decode_id(r"caf\xe9.jpg").encode("utf-8", "surrogateescape")
    b'caf\xe9.jpg'
    """
    if "\\" not in id:
        return id
    return _ESCAPE.sub(lambda match: _character(int(match[1], 16)), id)


def _character(byte: int) -> str:
    return "\\" if byte == ord("\\") else chr(_SURROGATE + byte)
