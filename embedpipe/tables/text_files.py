"""The text of a file, decoded by its byte-order mark, and the objects of JSON Lines."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any

__all__ = ["Pairs", "TableError", "decode", "json_objects"]


class TableError(Exception):
    """A table that cannot be read; the reader turns it into the caller's kind of error."""


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


class Pairs(list[tuple[str, Any]]):
    """The keys and values of an object in their order; a key may come twice."""


def json_objects(text: str, file: str) -> Iterator[tuple[int, Pairs]]:
    """Yield the line and the content of each object; blank lines are left out."""
    decoder = json.JSONDecoder(object_pairs_hook=Pairs)
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped:
            continue
        where = f"{file}, line {number}"
        try:
            found = decoder.decode(stripped)
        except json.JSONDecodeError as error:
            column = error.colno + len(line) - len(line.lstrip())
            raise TableError(f"{where}: not JSON: {error.msg} (column {column}).") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, nesting
            raise TableError(f"{where}: not JSON that can be read: {error}.") from None
        if not isinstance(found, Pairs):
            raise TableError(f"{where}: not a JSON object.")
        yield number, found
