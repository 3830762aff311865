"""How a value becomes the text of a cell."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

__all__ = ["column_of", "text_of", "whole_numbers"]

_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))(?:\.0+)?", re.ASCII)

_MISSING_TYPES = frozenset({"NAType", "NaTType"})
"""Types of pandas' missing values, recognised without importing pandas."""


def text_of(value: object) -> str:
    """Return a value as text; a missing value (None, NaN, NaT, NA) is ``""``.

    Raises
    ------
    TypeError
        If the value is a list, a mapping or another type that is not one cell.

    Examples
    --------
    >>> text_of(3), text_of(2.5), text_of(True), text_of(None), text_of(float("nan"))
    ('3', '2.5', 'True', '', '')
    """
    if isinstance(value, str):
        return str(value)
    if value is None or type(value).__name__ in _MISSING_TYPES:
        return ""
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return ""
        return repr(float(value)) if isinstance(value, float) else str(value)
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, Decimal):
        return "" if value.is_nan() else format(value, "f")
    if isinstance(value, np.datetime64):
        return text_of(value.astype("datetime64[us]").item())
    if isinstance(value, dt.datetime):
        midnight = value.time() == dt.time(0)
        return value.date().isoformat() if midnight else value.isoformat(sep=" ")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not the value of one cell")


def whole_numbers(cells: Sequence[str]) -> list[str]:
    """Return a column without ``.0`` if each of its cells is a whole number.

    Class numbers with gaps become floating-point numbers in many programs: ``1.0``, blank,
    ``2.0`` is the column ``1``, blank, ``2``. A column with any other text stays as it is.

    Examples
    --------
    >>> whole_numbers(["1.0", "", "2.0"]), whole_numbers(["1.0", "1.10"]), whole_numbers(["01"])
    (['1', '', '2'], ['1.0', '1.10'], ['01'])
    """
    distinct = set(cells) - {""}
    if not any("." in cell for cell in distinct):
        return list(cells)
    spelling = {"": ""}
    for cell in distinct:
        match = _WHOLE.fullmatch(cell)
        if match is None:
            return list(cells)
        spelling[cell] = "0" if match[1] == "-0" else match[1]
    return [spelling[cell] for cell in cells]


def column_of(values: Iterable[Any]) -> list[str]:
    """Return values in memory as the column that a table with them would give.

    Blanks around a text are dropped, missing values are ``""``, and whole numbers have no ``.0``.

    Raises
    ------
    TypeError
        If a value is not one cell.

    Examples
    --------
    >>> column_of([1.0, None, 2.0]), column_of([" Test ", float("nan")])
    (['1', '', '2'], ['Test', ''])
    """
    return whole_numbers([text_of(value).strip() for value in values])
