"""JSON files: what is damaged is named with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...errors import FormatError
from ...tables.text_files import TableError, decode

__all__ = ["read_json", "write_json"]


def read_json(path: Path) -> Any:
    """Return the content of a JSON file: UTF-8, or UTF-16 with a byte-order mark."""
    try:
        return json.loads(decode(path.read_bytes(), str(path)))
    except TableError as error:
        raise FormatError(str(error)) from None
    except json.JSONDecodeError as error:
        where = f"{path}, line {error.lineno}"
        raise FormatError(f"{where}: not JSON: {error.msg} (column {error.colno}).") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, deep nesting
        raise FormatError(f"{path}, line 1: not JSON that can be meant: {error}.") from None


def write_json(path: Path, content: object, *, indent: int | None = None) -> None:
    """Write `content` as UTF-8; indented, it ends with a line break."""
    end = "" if indent is None else "\n"
    text = json.dumps(content, ensure_ascii=False, indent=indent)
    path.write_bytes(f"{text}{end}".encode())
