"""The text of a file, by its byte-order mark."""

from __future__ import annotations

import codecs

from .faults import TableError

__all__ = ["decode"]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark its own begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, file: str) -> str:
    """Return the text of a file: UTF-8, or UTF-16 or UTF-32 with a byte-order mark.

    Raises
    ------
    TableError
        If it is another encoding.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        kind = "UTF-8" if encoding.startswith("utf-8") else encoding.upper()
        raise TableError(f"{file}, line {line}: not {kind} text. Save it again as UTF-8.") from None
    null = text.find("\0")
    if null >= 0:
        line = text.count("\n", 0, null) + 1
        raise TableError(
            f"{file}, line {line}: a null character, as in UTF-16 text without a byte-order mark. "
            "Save it again as UTF-8."
        )
    return text
