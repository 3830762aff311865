"""Numeric metadata of items from a table, such as sharpness, temperature or priority."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..datasets.resolver import PathResolver
from ..tables import read_table, tidy

__all__ = ["read_metadata"]

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf", re.ASCII)
"""A decimal number or infinity, in lower case."""

_TRUTH = {"true": 1.0, "false": 0.0}

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""Words for a missing number, in lower case."""


def read_metadata(path: str | Path, ids: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    r"""Read the numeric columns of a table for the items of a dataset.

    Parameters
    ----------
    path
        A ``.csv``, ``.jsonl`` or ``.parquet`` table with the column ``path`` (relative to the
        dataset's folder). Columns without numbers are ignored.
    ids
        The (n,) ids of the items. Every item needs one row; other paths are ignored.

    Returns
    -------
    dict
        Numeric columns by name: (n,) float64 arrays, aligned with `ids`.

    Examples
    --------
    >>> file = tmp / "sharpness.csv"
    >>> _ = file.write_text("path,sharpness,camera\nb.jpg,0.5,x\na.jpg,2,y\n")
    >>> read_metadata(file, ["a.jpg", "b.jpg"])["sharpness"].tolist()
    [2.0, 0.5]
    """
    table = read_table(path, ("path",), None)
    resolver = PathResolver(ids)
    row_of: dict[str, int] = {}
    for row, cell in enumerate(table.columns["path"]):
        item = resolver.resolve(cell).id or tidy(cell)
        if row_of.setdefault(item, row) != row:
            raise table.fault(row, f"second row for {item!r}. Keep one of the two.")
    missing = [item for item in ids if item not in row_of]
    if missing:
        raise table.fault(
            None,
            f"{len(missing)} of {len(ids)} images have no row, for example {missing[0]!r}. Add a "
            "row for each image.",
        )
    rows = np.array([row_of[item] for item in ids], dtype=np.int64)  # (n,)
    found = {}
    for name, cells in table.columns.items():
        numbers = None if name == "path" else _numbers(cells)
        if numbers is not None:
            found[name] = numbers[rows]  # (n,)
    if not found:
        raise table.fault(
            None,
            "no column besides 'path' contains only numbers. Write decimals with a point: 0.5.",
        )
    for name, values in found.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise table.fault(
                row_of[ids[bad[0]]],
                f"the value of {name!r} for {ids[bad[0]]!r} is missing or infinite. Fill it in.",
            )
    return found


def _numbers(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """Return a column as numbers, with NaN for missing values; None if it is not numeric."""
    texts = [cell.lower() for cell in cells]
    values = [math.nan if text in _MISSING else _number(text) for text in texts]
    if None in values or all(text in _MISSING for text in texts):
        return None
    return np.array(values, dtype=np.float64)


def _number(text: str) -> float | None:
    if text in _TRUTH:
        return _TRUTH[text]
    return float(text) if _NUMBER.fullmatch(text) else None
