"""Parquet columns as text."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from .values import text_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["can_be_text", "is_text", "texts"]


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of this type contains text, or only nulls."""
    from pyarrow import types

    kind = _plain_type(kind)
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_null(kind)
    )


def can_be_text(kind: pa.DataType) -> bool:
    """Return whether a column of this type can become text: text, numbers, dates and times."""
    from pyarrow import types

    kind = _plain_type(kind)
    return bool(
        is_text(kind)
        or types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_date(kind)
        or types.is_time(kind)
        or types.is_timestamp(kind)
    )


def texts(column: pa.ChunkedArray) -> list[str]:
    """Return the cells of a column as text; `can_be_text` must be true for its type."""
    import pyarrow as pa
    from pyarrow import types

    plain = _plain_type(column.type)
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array(
            [chunk.storage for chunk in column.chunks], column.type.storage_type
        )
    if column.type != plain:  # categories of pandas
        column = column.cast(plain)
    if types.is_float16(plain) or types.is_float32(plain):
        # Python floats would show the rounding of float32: 0.1 as 0.10000000149011612.
        return [text_of(value) for value in column.to_numpy()]
    if types.is_timestamp(plain):
        return _times(column.cast(pa.timestamp("us", plain.tz), safe=False).to_pylist())
    if types.is_time64(plain):
        column = column.cast(pa.time64("us"), safe=False)
    return [text_of(value) for value in column.to_pylist()]


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values, without extension types and dictionaries."""
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _times(values: list[Any]) -> list[str]:
    """Return dates without times if every time is midnight, else dates with times."""
    if all(value is None or value.time() == dt.time(0) for value in values):
        return [text_of(value) for value in values]
    return ["" if value is None else value.isoformat(sep=" ") for value in values]
