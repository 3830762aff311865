"""Lightly: the table of embeddings with labels."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError, UsageError
from ...tables import csv_writer
from ...tables.text_files import read_json, write_json
from .entries import Entry, Labelled
from .format import Format, ReadOptions, WriteOptions, formats
from .safe_paths import tidy_path

__all__ = ["LightlyFormat", "read_lightly_embeddings"]

TABLE, CLASSES = "embeddings.csv", "classes.json"
UNLABELLED = -1

_EMBEDDING = re.compile(r"embedding_(0|[1-9][0-9]*)", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_Row = tuple[str, str, NDArray[np.float32], int]
"""Where it stands, the path, the vector and the number of the class."""


@formats.register("lightly")
class LightlyFormat(Format):
    """Lightly's embeddings.csv: vectors and labels of every item.

    Written is a folder with ``embeddings.csv``, whose columns are ``filenames``,
    ``embedding_0`` and so on, ``labels``, and with ``classes.json``, the name of each class by its
    number, because the table holds whole numbers alone. ``filenames`` holds the items' own paths,
    so two files of one base name are two rows. All items are in it, -1 for those without a sure
    label. The option ``embeddings`` is required: (n, d) float32, aligned with the items.

    Read are the folder or the table; without ``classes.json`` beside it a class is called by its
    number.

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
                f"There is no {file.with_name(CLASSES)}: the classes are called by their numbers."
            )
        for where, item, _, number in _rows(file):
            if number != UNLABELLED and names is not None and str(number) not in names:
                raise FormatError(f"{where}: {CLASSES} has no class of the number {number}.")
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
    r"""Read the vectors that Lightly has computed, or that were written for it.

    Takes 8 bytes a number while it reads, 4 afterwards.

    Parameters
    ----------
    path
        The ``embeddings.csv``, or the folder with it.

    Returns
    -------
    paths : list of str
        The (n,) paths, in the order of the file.
    matrix : ndarray
        (n, d) float32, finite.
    labels : ndarray
        (n,) int64, the numbers of the classes.

    Raises
    ------
    FormatError
        If it is missing, damaged, names a path twice, or holds a number that is not finite in
        float32; it names the line.

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
            raise FormatError(f"{where}: {tidy!r} is there twice: keep one of the two.")
        seen.add(tidy)
        paths.append(tidy)
        vectors.append(vector)
        labels.append(number)
    if not paths:
        raise FormatError(f"{file} holds no rows.")
    return paths, np.stack(vectors), np.array(labels, dtype=np.int64)  # (n, d)


def _rows(file: Path) -> Iterator[_Row]:
    """Yield the rows one by one: a table of vectors may be larger than the memory."""
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
        raise FormatError(f"{file}, after line {line}: not UTF-8 text.") from None
    except csv.Error as error:
        raise FormatError(f"{file}, line {line}: not CSV: {error}.") from None


def _check_header(where: str, header: Sequence[str]) -> tuple[int, int]:
    """Return the first column of the vector, and the one behind its last."""
    if header[:1] != ["filenames"] or header[-1:] != ["labels"]:
        raise FormatError(
            f"{where}: the first column must be 'filenames' and the last 'labels', not "
            f"{', '.join(map(repr, [*header[:1], *header[-1:]])) or 'none'}."
        )
    between = list(header[1:-1])
    vector = [name for name in between if name not in ("masked", "selected")]
    others = [name for name in vector if not _EMBEDDING.fullmatch(name)]
    if others:
        raise FormatError(
            f"{where}: the column {others[0]!r} is none of embedding_<n>, masked, selected."
        )
    if vector != [f"embedding_{axis}" for axis in range(len(vector))] or not vector:
        raise FormatError(f"{where}: the columns embedding_0, embedding_1, ... are not in order.")
    first = header.index("embedding_0")
    if list(header[first : first + len(vector)]) != vector:
        raise FormatError(f"{where}: the columns embedding_<n> do not stand side by side.")
    return first, first + len(vector)


def _row(where: str, fields: Sequence[str], width: int, first: int, last: int) -> _Row:
    if not fields:
        raise FormatError(f"{where}: blank; take the line out.")
    if len(fields) != width:
        raise FormatError(f"{where}: {len(fields)} fields under a header of {width}.")
    try:
        with np.errstate(over="ignore"):
            vector = np.array([float(text) for text in fields[first:last]], dtype=np.float32)
    except ValueError as error:
        raise FormatError(f"{where}: {error}.") from None
    if not np.isfinite(vector).all():
        raise FormatError(f"{where}: a number of the vector is not finite in float32.")
    if not _INTEGER.fullmatch(fields[-1]):
        raise FormatError(f"{where}: the label {fields[-1]!r} is not a whole number.")
    return where, fields[0], vector, int(fields[-1])


def _class_names(file: Path) -> dict[str, str] | None:
    """Return the names by number, None if they are not kept."""
    if not file.is_file():
        return None
    names = read_json(file)
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise FormatError(f"{file} is not a JSON object of names by number.")
    return names


def _texts(vector: NDArray[np.float32]) -> list[str]:
    """Return the shortest decimals that are read as the same float32."""
    import pyarrow as pa

    texts: list[str] = pa.array(vector).cast(pa.string()).to_pylist()
    return texts


def _matrix(embeddings: Any, n: int) -> NDArray[np.float32]:
    """Return the embeddings as (n, d) float32."""
    if embeddings is None:
        raise UsageError("the format lightly holds vectors: give `embeddings`, (n, d).")
    matrix = np.asarray(embeddings, dtype=np.float32)
    if matrix.ndim != 2 or len(matrix) != n or not matrix.shape[1]:
        raise UsageError(f"the embeddings have the shape {matrix.shape}; {n} items need ({n}, d).")
    if not np.isfinite(matrix).all():
        raise UsageError("the embeddings hold numbers that are not finite.")
    return matrix
