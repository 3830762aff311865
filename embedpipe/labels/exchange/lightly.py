"""The format lightly: Lightly's table of embeddings and labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError, UsageError
from ...tables import csv_writer
from ...tables.lightly_table import LightlyRow, lightly_rows
from ...tables.text_files import TableError, read_json, write_json
from .entries import Entry, Labelled
from .format import Format, ReadOptions, WriteOptions, formats
from .safe_paths import tidy_path

__all__ = ["LightlyFormat", "read_lightly_embeddings"]

TABLE, CLASSES = "embeddings.csv", "classes.json"
UNLABELLED = -1
"""Class number of items without a sure label."""


@formats.register("lightly")
class LightlyFormat(Format):
    """Lightly's embeddings.csv: the vector and the label of every item.

    Writing creates a folder with ``embeddings.csv`` (columns ``filenames``, ``embedding_0`` and so
    on, ``labels``) and ``classes.json`` (class names by number). Items without a sure label
    have the label -1. The option ``embeddings`` is required: float32 of the shape (items,
    dimensions). Reading accepts the folder or the table; without ``classes.json``, class names are
    numbers.

    Examples
    --------
    >>> items = [Labelled("x/1.jpg", "hat"), Labelled("y/1.jpg")]
    >>> folder = LightlyFormat().write(tmp / "lightly", items, embeddings=np.eye(2))
    >>> (folder / "embeddings.csv").read_text().splitlines()
    ['filenames,embedding_0,embedding_1,labels', 'x/1.jpg,1,0,0', 'y/1.jpg,0,1,-1']
    """

    holds_unlabelled = True
    write_options = frozenset({"embeddings"})

    def read_entries(self, path: Path, options: ReadOptions) -> Iterator[Entry]:
        """Yield the rows of the table, without their vectors."""
        file = path / TABLE if path.is_dir() else path
        names = _class_names(file.with_name(CLASSES))
        if names is None:
            options.notes.append(
                f"There is no {file.with_name(CLASSES)}, so the class names are numbers."
            )
        for where, item, _, number in _rows(file):
            if number != UNLABELLED and names is not None and str(number) not in names:
                raise FormatError(f"{where}: {CLASSES} has no class with the number {number}.")
            label = None if number == UNLABELLED else str(number)
            yield Entry(where, item, names[label] if names and label else label)

    def write_items(self, path: Path, items: Sequence[Labelled], options: WriteOptions) -> None:
        """Write ``embeddings.csv`` and ``classes.json``."""
        matrix = _matrix(options.extra.get("embeddings"), len(items))  # (n, d)
        classes = sorted({item.label for item in items if item.label is not None})
        number = {name: index for index, name in enumerate(classes)}
        with (path / TABLE).open("w", encoding="utf-8", newline="") as file:
            writer = csv_writer(file, (item.path for item in items))
            dimensions = [f"embedding_{axis}" for axis in range(matrix.shape[1])]
            writer.writerow(["filenames", *dimensions, "labels"])
            for item, vector in zip(items, matrix, strict=True):
                label = UNLABELLED if item.label is None else number[item.label]
                writer.writerow([item.path, *_texts(vector), label])
        write_json(path / CLASSES, {str(index): name for name, index in number.items()}, indent=1)


def read_lightly_embeddings(
    path: str | Path,
) -> tuple[list[str], NDArray[np.float32], NDArray[np.int64]]:
    r"""Return the paths, vectors and class numbers of a Lightly table.

    For n rows and d vector columns, these are n paths, an (n, d) float32 array and an (n,) int64
    array. `path` is the file ``embeddings.csv`` or its folder. Peak memory is 8 bytes for each
    vector element.

    Examples
    --------
    >>> file = tmp / "embeddings.csv"
    >>> _ = file.write_text("filenames,embedding_0,embedding_1,labels\na/1.jpg,0.5,2,3\n")
    >>> paths, matrix, labels = read_lightly_embeddings(file)
    >>> paths, matrix.tolist(), labels.tolist()
    (['a/1.jpg'], [[0.5, 2.0]], [3])
    """
    path = Path(path)
    file = path / TABLE if path.is_dir() else path
    if not file.is_file():
        raise FormatError(f"there is no file at {file}.")
    seen: set[str] = set()
    vectors, labels, paths = [], [], []
    for where, item, vector, number in _rows(file):
        try:
            tidy = tidy_path(item)
        except ValueError as error:
            raise FormatError(f"{where}: {error}.") from None
        if tidy in seen:
            raise FormatError(f"{where}: second row for {tidy!r}. Keep one of the two.")
        seen.add(tidy)
        paths.append(tidy)
        vectors.append(vector)
        labels.append(number)
    if not paths:
        raise FormatError(f"{file} contains no rows.")
    return paths, np.stack(vectors), np.array(labels, dtype=np.int64)  # (n, d)


def _rows(file: Path) -> Iterator[LightlyRow]:
    """Yield the rows of a table."""
    try:
        yield from lightly_rows(file)
    except TableError as error:
        raise FormatError(str(error)) from None


def _class_names(file: Path) -> dict[str, str] | None:
    """Return class names by number, or None if the file does not exist."""
    if not file.is_file():
        return None
    names = read_json(file)
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise FormatError(f"{file} must be a JSON object of class names by number.")
    return names


def _texts(vector: NDArray[np.float32]) -> list[str]:
    """Return the shortest decimal texts that give the same float32 numbers."""
    import pyarrow as pa

    texts: list[str] = pa.array(vector).cast(pa.string()).to_pylist()
    return texts


def _matrix(embeddings: Any, n: int) -> NDArray[np.float32]:
    """Return the embeddings as (n, d) float32."""
    if embeddings is None:
        raise UsageError("the format lightly needs `embeddings`, an (n, d) array.")
    matrix = np.asarray(embeddings, dtype=np.float32)
    if matrix.ndim != 2 or len(matrix) != n or not matrix.shape[1]:
        raise UsageError(f"`embeddings` must have the shape ({n}, d); got {matrix.shape}.")
    if not np.isfinite(matrix).all():
        raise UsageError("`embeddings` must be finite; it contains NaN or infinity.")
    return matrix
