"""Values and cells: conversion to text, missing values, whole numbers, paths."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "changed_number",
    "column_of",
    "label_array",
    "missing",
    "text_of",
    "tidy",
    "whole_numbers",
]

_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))(?:\.0+)?", re.ASCII)

_MISSING_TYPES = frozenset({"NAType", "NaTType"})
"""Names of the types of pandas' missing values. Names are used to avoid importing pandas."""


def text_of(value: object) -> str:
    """Return a value as text, ``""`` for None, NaN, NaT and NA; lists and mappings raise TypeError.

    Examples
    --------
    >>> text_of(3), text_of(2.5), text_of(True), text_of(None), text_of(float("nan"))
    ('3', '2.5', 'True', '', '')
    """
    if isinstance(value, str):
        return str(value)
    if _is_null(value):
        return ""
    if isinstance(value, float | np.floating):
        return repr(float(value)) if isinstance(value, float) else str(value)
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, np.datetime64):
        return text_of(value.astype("datetime64[us]").item())
    if isinstance(value, dt.datetime):
        midnight = value.time() == dt.time(0)
        return value.date().isoformat() if midnight else value.isoformat(sep=" ")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not the value of one cell")


def _is_null(value: object) -> bool:
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    if isinstance(value, Decimal):
        return value.is_nan()
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return value is None or type(value).__name__ in _MISSING_TYPES


def missing(values: ArrayLike) -> NDArray[np.bool_]:
    """Return an (n,) mask of missing values: None, NaN, NaT, NA or blank text.

    Examples
    --------
    >>> missing(["hat", None, float("nan"), " ", 0]).tolist()
    [False, True, True, True, False]
    """
    array = values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
    if array.dtype.kind == "f":
        return np.isnan(array)
    if array.dtype.kind in "US":
        return np.asarray(np.char.str_len(np.char.strip(array)) == 0)
    if array.dtype != object:
        return np.zeros(array.shape, dtype=np.bool_)
    found = [
        not value.strip() if isinstance(value, str | bytes) else _is_null(value)
        for value in array.ravel()
    ]
    return np.array(found, dtype=np.bool_).reshape(array.shape)


def label_array(given: ArrayLike) -> NDArray[Any]:
    """Return labels as an array without spaces around text; mixed types raise ValueError.

    The dtype is object only if a label is missing, or is neither text nor a number.

    Examples
    --------
    >>> label_array(["hat", "shoe"]).dtype.kind, label_array(["hat", None]).dtype.kind
    ('U', 'O')
    """
    array = np.array(given, dtype=object) if isinstance(given, list | tuple) else np.asarray(given)
    if array.dtype.kind == "U":
        return np.char.strip(array)
    if array.dtype != object or array.ndim != 1:
        return array
    array = array.copy()
    array[:] = [label.strip() if isinstance(label, str) else label for label in array]
    absent = missing(array)
    kinds = {type(label) for label in array[~absent]}
    texts = sum(issubclass(kind, str) for kind in kinds)
    truths = sum(issubclass(kind, bool | np.bool_) for kind in kinds)
    if 0 < texts < len(kinds) or 0 < truths < len(kinds):
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"mixes {names}: give all labels as texts, or all as numbers")
    return array if absent.any() else np.array(array.tolist())


def whole_numbers(cells: Sequence[str]) -> list[str]:
    """Return a column without ``.0`` if every cell is a whole number or blank.

    Many programs write class numbers as floats if some cells are blank: ``1.0``, blank, ``2.0``.

    Examples
    --------
    >>> whole_numbers(["1.0", "", "2.0"]), whole_numbers(["1.0", "1.10"]), whole_numbers(["01"])
    (['1', '', '2'], ['1.0', '1.10'], ['01'])
    """
    distinct = set(cells) - {""}
    if not any("." in cell for cell in distinct):
        return list(cells)
    whole = {"": ""}
    for cell in distinct:
        match = _WHOLE.fullmatch(cell)
        if match is None:
            return list(cells)
        whole[cell] = "0" if match[1] == "-0" else match[1]
    return [whole[cell] for cell in cells]


def changed_number(cells: Sequence[str]) -> int | None:
    """Return the position of the first cell that `whole_numbers` changes, or None.

    Examples
    --------
    >>> changed_number(["1", "2.0"]), changed_number(["1.0", "hat"])
    (1, None)
    """
    pairs = zip(cells, whole_numbers(cells), strict=True)
    return next((at for at, (given, read) in enumerate(pairs) if given != read), None)


def column_of(values: Iterable[Any]) -> list[str]:
    """Return values in memory as `read_table` would return them from a file.

    Examples
    --------
    >>> column_of([1.0, None, 2.0]), column_of([" Test ", float("nan")])
    (['1', '', '2'], ['Test', ''])
    """
    return whole_numbers([text_of(value).strip() for value in values])


def tidy(path: str) -> str:
    """Return a path without empty and ``.`` parts; an absolute path is not changed.

    Examples
    --------
    >>> tidy("./hats//1.jpg"), tidy("/data/1.jpg")
    ('hats/1.jpg', '/data/1.jpg')
    """
    if path.startswith("/"):
        return path
    return "/".join(part for part in path.split("/") if part not in ("", "."))
