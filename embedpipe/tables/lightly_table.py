"""Lightly's table of vectors, ``embeddings.csv``."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .text_files import TableError

__all__ = ["LightlyRow", "lightly_rows"]

_EMBEDDING = re.compile(r"embedding_(0|[1-9][0-9]*)", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


class LightlyRow(NamedTuple):
    """Place in the file, path, vector (d,) and class number of a row."""

    where: str
    path: str
    vector: NDArray[np.float32]
    label: int


def lightly_rows(file: Path) -> Iterator[LightlyRow]:
    """Yield the rows one by one, because the table may be larger than the memory."""
    line = 1
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)
            header = next(reader, [])
            first, last = _check_header(f"{file}, line 1", header)
            for fields in reader:
                line = reader.line_num
                yield _row(f"{file}, line {line}", fields, len(header), first, last)
    except UnicodeDecodeError:
        raise TableError(f"{file}, after line {line}: the text is not UTF-8.") from None
    except csv.Error as error:
        raise TableError(f"{file}, line {line}: invalid CSV: {error}.") from None


def _check_header(where: str, header: Sequence[str]) -> tuple[int, int]:
    """Return the position of the first vector column, and the position after the last one."""
    if header[:1] != ["filenames"] or header[-1:] != ["labels"]:
        raise TableError(
            f"{where}: the first column must be 'filenames' and the last 'labels'; got "
            f"{', '.join(map(repr, [*header[:1], *header[-1:]])) or 'no columns'}."
        )
    between = list(header[1:-1])
    vector = [name for name in between if name not in ("masked", "selected")]
    others = [name for name in vector if not _EMBEDDING.fullmatch(name)]
    if others:
        raise TableError(
            f"{where}: unknown column {others[0]!r}; expected embedding_<n>, masked or selected."
        )
    if vector != [f"embedding_{axis}" for axis in range(len(vector))] or not vector:
        raise TableError(f"{where}: the columns must be embedding_0, embedding_1, ... in order.")
    first = header.index("embedding_0")
    if list(header[first : first + len(vector)]) != vector:
        raise TableError(f"{where}: the columns embedding_<n> must be next to each other.")
    return first, first + len(vector)


def _row(where: str, fields: Sequence[str], width: int, first: int, last: int) -> LightlyRow:
    if not fields:
        raise TableError(f"{where}: blank line. Remove it.")
    if len(fields) != width:
        raise TableError(f"{where}: {len(fields)} fields, but the header has {width} columns.")
    try:
        with np.errstate(over="ignore"):
            vector = np.array([float(text) for text in fields[first:last]], dtype=np.float32)
    except ValueError as error:
        raise TableError(f"{where}: {error}.") from None
    if not np.isfinite(vector).all():
        raise TableError(f"{where}: a number of the vector is not finite in float32.")
    if not _INTEGER.fullmatch(fields[-1]):
        raise TableError(f"{where}: the label is {fields[-1]!r}; expected a whole number.")
    return LightlyRow(where, fields[0], vector, int(fields[-1]))
