"""Text and JSON files: decoding by the byte-order mark, JSON Lines, JSON documents."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Pairs", "TableError", "decode", "json_objects", "read_json", "write_json"]


class TableError(Exception):
    """A file that cannot be read; callers convert it to a public error class."""


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this mark
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, file: str) -> str:
    """Return the text of a file: UTF-8, or UTF-16 or UTF-32 with a byte-order mark."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        kind = "UTF-8" if encoding.startswith("utf-8") else encoding.upper()
        raise TableError(
            f"{file}, line {line}: the text is not {kind}. Save the file as UTF-8."
        ) from None
    null = text.find("\0")
    if null >= 0:
        line = text.count("\n", 0, null) + 1
        raise TableError(
            f"{file}, line {line}: null character found, as in UTF-16 without a byte-order mark. "
            "Save the file as UTF-8."
        )
    return text


class Pairs(list[tuple[str, Any]]):
    """The keys and values of a JSON object in order; a key may occur twice."""


def json_objects(text: str, file: str) -> Iterator[tuple[int, Pairs]]:
    """Yield the line number and content of each object of JSON Lines, without blank lines."""
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
            raise TableError(f"{where}: invalid JSON: {error.msg} (column {column}).") from None
        except (ValueError, RecursionError) as error:  # for example, deep nesting
            raise TableError(f"{where}: invalid JSON: {error}.") from None
        if not isinstance(found, Pairs):
            raise TableError(f"{where}: expected a JSON object, one per line.")
        yield number, found


def read_json(path: Path) -> Any:
    """Return the content of a JSON file."""
    try:
        return json.loads(decode(path.read_bytes(), str(path)))
    except json.JSONDecodeError as error:
        where = f"{path}, line {error.lineno}"
        raise TableError(f"{where}: invalid JSON: {error.msg} (column {error.colno}).") from None
    except (ValueError, RecursionError) as error:  # for example, deep nesting
        raise TableError(f"{path}, line 1: invalid JSON: {error}.") from None


def write_json(path: Path, content: object, *, indent: int | None = None) -> None:
    """Write `content` as UTF-8; with an indent, the file ends with a line break."""
    end = "" if indent is None else "\n"
    text = json.dumps(content, ensure_ascii=False, indent=indent)
    path.write_bytes(f"{text}{end}".encode())
