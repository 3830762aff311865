"""Numbers about items, kept in a table beside the images: sharpness, temperature, priority."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LabelError
from ._formats import format_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_metadata"]


def read_metadata(path: str | Path, ids: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    r"""Read the numbers that a table holds for the items of a dataset.

    Parameters
    ----------
    path
        A ``.csv``, ``.jsonl`` or ``.parquet`` file with the column ``path`` (relative to the
        dataset's folder); its columns of numbers are read, others are ignored.
    ids
        The (n,) ids of the items. Paths that are not among them are ignored.

    Returns
    -------
    dict
        (n,) float64 by column name, aligned with `ids`.

    Raises
    ------
    LabelError
        If the file is missing or damaged, has no column ``path`` or none of numbers, names a
        path twice, or lacks an item or a number.

    Examples
    --------
    >>> file = tmp / "sharpness.csv"
    >>> _ = file.write_text("path,sharpness,camera\nb.jpg,0.5,x\na.jpg,2,y\n")
    >>> read_metadata(file, ["a.jpg", "b.jpg"])["sharpness"].tolist()
    [2.0, 0.5]
    """
    path = Path(path)
    table = _table(path)
    if "path" not in table.column_names:
        raise LabelError(
            f"{path} lacks the column 'path'; it has {', '.join(map(repr, table.column_names))}."
        )
    row_of: dict[str, int] = {}
    for row, item in enumerate(table.column("path").to_pylist()):
        if row_of.setdefault(str(item), row) != row:
            raise LabelError(f"{path} names {item!r} twice: keep one of the two.")
    missing = [item for item in ids if item not in row_of]
    if missing:
        raise LabelError(
            f"{path} says nothing of {len(missing)} of {len(ids)} items, {missing[0]!r} for one: "
            "add a line for each."
        )
    rows = np.array([row_of[item] for item in ids], dtype=np.int64)
    columns = _numbers(path, table, rows)
    for name, values in columns.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise LabelError(f"{path} has no finite {name!r} for {ids[bad[0]]!r}: fill it in.")
    return columns


def _numbers(path: Path, table: pa.Table, rows: NDArray[np.int64]) -> dict[str, Any]:
    import pyarrow as pa

    found = {}
    for field in table.schema:
        kind = field.type
        numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if field.name != "path" and (numeric or pa.types.is_boolean(kind)):
            values = table.column(field.name).cast(pa.float64()).to_numpy()
            found[field.name] = values[rows]  # (n,)
    if not found:
        raise LabelError(f"{path} has no column of numbers beside 'path'.")
    return found


def _table(path: Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv, json, parquet

    suffix = format_of(path)
    if not path.is_file():
        raise LabelError(f"there is no table at {path}.")
    try:
        if suffix == ".csv":
            return csv.read_csv(path, read_options=csv.ReadOptions(use_threads=False))
        if suffix == ".jsonl":
            return json.read_json(path, read_options=json.ReadOptions(use_threads=False))
        return parquet.read_table(path, use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise LabelError(f"{path} cannot be read as {suffix}: {error}.") from None
