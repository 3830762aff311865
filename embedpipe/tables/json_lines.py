"""JSON Lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .faults import TableError

__all__ = ["Pairs", "objects"]


class Pairs(list[tuple[str, Any]]):
    """The keys and values of an object in their order; a key may come twice."""


def objects(text: str, file: str) -> Iterator[tuple[int, Pairs]]:
    """Yield the line and the content of each object; blank lines are left out.

    Raises
    ------
    TableError
        If a line is not a JSON object.
    """
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
