"""Text and JSON that say in which line they are damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...errors import FormatError
from ...tables.faults import TableError
from ...tables.text import decode

__all__ = ["parse_json", "read_json", "read_text"]


def read_text(path: Path) -> str:
    """Return the text of a file: UTF-8, or UTF-16 with a byte-order mark."""
    try:
        return decode(path.read_bytes(), str(path))
    except TableError as error:
        raise FormatError(str(error)) from None


def read_json(path: Path) -> Any:
    """Return what a JSON file holds."""
    return parse_json(read_text(path), str(path))


def parse_json(text: str, file: str, line: int = 1) -> Any:
    """Return what a JSON text holds that begins in line `line` of `file`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{file}, line {line + error.lineno - 1}"
        raise FormatError(f"{where}: not JSON: {error.msg} (column {error.colno}).") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, deep nesting
        raise FormatError(f"{file}, line {line}: not JSON that can be meant: {error}.") from None
