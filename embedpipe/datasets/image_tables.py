"""Parquet and Arrow files with the bytes of images, as Hugging Face datasets writes them."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from .._pixels.opening import COPY_AGAIN
from ..errors import DatasetError
from ..tables.parquet_columns import can_be_text, texts
from .identifiers import encode_id
from .source import MAX_BYTES, no_memory, too_large

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TABLE_SUFFIXES", "ImageTable", "TableColumns", "has_images", "open_table"]

TABLE_SUFFIXES = frozenset({".parquet", ".arrow"})
"""Suffixes of files that may have a column of images, in lower case."""

_USUAL_IMAGES, _USUAL_LABELS = ("image", "img"), ("label", "labels")
"""Names of columns that are preferred to others of the same type."""

_ROWS = 32
"""Rows of a Parquet file whose images are in memory at the same time."""

_BUFFER = 1 << 20
"""Bytes of a Parquet file that are read at once."""


@dataclass(frozen=True)
class TableColumns:
    """The columns that are used, by the schema of a file."""

    image: str
    label: str | None
    names: tuple[str, ...] | None  # of the classes, if labels are numbers of classes
    other_images: tuple[str, ...]

    def described(self, path: str) -> list[str]:
        """Return the columns of a listing: that of the path, and the labels if there are any."""
        return [path] if self.label is None else [path, self.label]


class ImageTable(ABC):
    """A file with a column of images; rows are numbered from 0."""

    def __init__(self, path: str, schema: pa.Schema) -> None:
        columns = columns_of(schema)
        if columns is None:
            raise DatasetError(
                f"{encode_id(path)} has no column of images, which are structures of `bytes` and "
                "`path`."
            )
        self.path, self.columns = path, columns

    @abstractmethod
    def descriptions(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches of two columns: structures with the path, and the label if used."""

    @abstractmethod
    def images(self, rows: Sequence[int]) -> Iterator[tuple[int, bytes | OSError]]:
        """Yield each of `rows`, in ascending order, with the bytes of its image."""

    def listing(self) -> Iterator[tuple[str | None, str | None]]:
        """Yield the path and the label of each row; None where one is missing."""
        import pyarrow as pa

        chosen = self.columns
        for batch in self.descriptions():
            paths = batch.column(0).field("path").to_pylist()
            labels: Sequence[str | None] = [None] * len(paths)
            if chosen.label is not None:
                column = batch.column(chosen.label)
                if chosen.names is None:
                    labels = [text.strip() or None for text in texts(pa.chunked_array([column]))]
                else:
                    labels = [self._class(number) for number in column.to_pylist()]
            yield from zip(paths, labels, strict=True)

    def _class(self, number: int | None) -> str | None:
        """Return the name of a class; -1 is a missing label."""
        names = self.columns.names or ()
        if number is None or number == -1:
            return None
        if not 0 <= number < len(names):
            raise DatasetError(
                f"{encode_id(self.path)} has the label {number} in the column "
                f"{self.columns.label!r} of {len(names)} classes. Correct the file."
            )
        return names[number]


class ParquetTable(ImageTable):
    """A Parquet file; only the row groups of the requested rows are read."""

    def __init__(self, path: str) -> None:
        with self._open(path) as file:
            super().__init__(path, file.schema_arrow)

    @staticmethod
    def _open(path: str) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetFile(path, buffer_size=_BUFFER)

    def descriptions(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches of the paths and labels."""
        with self._open(self.path) as file:
            yield from file.iter_batches(
                columns=self.columns.described(f"{self.columns.image}.path")
            )

    def images(self, rows: Sequence[int]) -> Iterator[tuple[int, bytes | OSError]]:
        """Yield the images of rows; few rows of a row group are in memory."""
        with self._open(self.path) as file:
            counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            for group, begin, wanted in _by_part(rows, counts):
                batches = file.iter_batches(
                    batch_size=_ROWS, row_groups=[group], columns=[f"{self.columns.image}.bytes"]
                )
                yield from _pick(batches, begin, wanted)


class ArrowTable(ImageTable):
    """An Arrow file or stream, read through the memory map of the system."""

    def __init__(self, path: str) -> None:
        import pyarrow as pa

        with pa.memory_map(path) as file:
            self._is_file = file.read(6) == b"ARROW1"
            file.seek(0)
            reader = pa.ipc.open_file(file) if self._is_file else pa.ipc.open_stream(file)
            super().__init__(path, reader.schema)
            self._schema = reader.schema
            self._places: list[int] = []  # of the batches: in bytes for a stream
            self._counts: list[int] = []
            if self._is_file:
                self._places = list(range(reader.num_record_batches))
                self._counts = [reader.get_batch(i).num_rows for i in self._places]
                return
            while True:
                place = file.tell()
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
                self._places.append(place)
                self._counts.append(batch.num_rows)

    def descriptions(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches of images and labels; other columns are not read from the disk."""
        with self._batches() as batch_at:
            for part in range(len(self._counts)):
                yield _checked(batch_at(part).select(self.columns.described(self.columns.image)))

    def images(self, rows: Sequence[int]) -> Iterator[tuple[int, bytes | OSError]]:
        """Yield the images of rows."""
        with self._batches() as batch_at:
            for part, begin, wanted in _by_part(rows, self._counts):
                batch = _checked(batch_at(part).select([self.columns.image]))
                yield from _pick(iter([batch]), begin, wanted)

    def _batches(self) -> Any:
        return _ArrowBatches(self.path, self._is_file, self._places, self._schema)


class _ArrowBatches:
    """A context with a function that returns the batch at a position."""

    def __init__(self, path: str, is_file: bool, places: Sequence[int], schema: pa.Schema) -> None:
        self._path, self._is_file, self._places, self._schema = path, is_file, places, schema

    def __enter__(self) -> Callable[[int], pa.RecordBatch]:
        import pyarrow as pa

        self._file = pa.memory_map(self._path)
        if self._is_file:
            reader = pa.ipc.open_file(self._file)
            return reader.get_batch  # type: ignore[no-any-return]

        def batch_at(part: int) -> pa.RecordBatch:
            self._file.seek(self._places[part])
            return pa.ipc.read_record_batch(pa.ipc.read_message(self._file), self._schema)

        return batch_at

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch of a memory map; raise ArrowInvalid if a value would be outside of it."""
    batch.validate(full=True)
    return batch


def _by_part(rows: Sequence[int], counts: Sequence[int]) -> Iterator[tuple[int, int, list[int]]]:
    """Yield each part of a file that has some of `rows`, its first row, and these rows."""
    begins = [0, *accumulate(counts)]
    at = 0
    while at < len(rows):
        part = bisect_right(begins, rows[at]) - 1
        end = at
        while end < len(rows) and rows[end] < begins[part + 1]:
            end += 1
        yield part, begins[part], list(rows[at:end])
        at = end


def _pick(
    batches: Iterator[pa.RecordBatch], begin: int, wanted: Sequence[int]
) -> Iterator[tuple[int, bytes | OSError]]:
    """Yield the images of the `wanted` rows from batches that start at row `begin`."""
    at = 0
    for batch in batches:
        column = batch.column(0).field("bytes")
        while at < len(wanted) and wanted[at] < begin + len(column):
            yield wanted[at], _content(column[wanted[at] - begin])
            at += 1
        if at == len(wanted):
            return
        begin += len(column)


def _content(value: Any) -> bytes | OSError:
    if not value.is_valid:
        return OSError("it has no bytes in its row. Save the dataset with its images in the files")
    try:
        size = value.as_buffer().size
        return too_large(size) if size > MAX_BYTES else value.as_py()
    except MemoryError:
        return no_memory()


def open_table(path: str) -> ImageTable:
    """Return the table of a file; raise DatasetError if it is damaged or has no images."""
    import pyarrow as pa

    try:
        return ParquetTable(path) if path.lower().endswith(".parquet") else ArrowTable(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(path, error) from error


def has_images(path: str) -> bool:
    """Return whether a file is a table with a column of images; false if it is damaged."""
    try:
        open_table(path)
    except DatasetError:
        return False
    return True


def damaged(path: str, error: Exception) -> DatasetError:
    """Return the error for a damaged file."""
    return DatasetError(f"{encode_id(path)} is damaged ({one_line(error)}). {COPY_AGAIN}.")


def one_line(error: Exception) -> str:
    """Return the text of an error without line breaks and its full stop."""
    return " ".join(str(error).split()).rstrip(".")[:200]


def columns_of(schema: pa.Schema) -> TableColumns | None:
    """Return the columns with images and labels, from the metadata or the types; None if none."""
    features = _features(schema)
    structures = [field.name for field in schema if _is_image(field.type)]
    stated = [name for name in structures if _kind(features.get(name)) == "Image"]
    images = stated or structures
    if not images:
        return None
    image = next((name for name in _USUAL_IMAGES if name in images), images[0])
    classes = [field.name for field in schema if _has_classes(field.type, features.get(field.name))]
    label = next((name for name in (*_USUAL_LABELS, *classes) if name in classes), None)
    names = tuple(map(str, features[label]["names"])) if label is not None else None
    if label is None:
        usual = (name for name in _USUAL_LABELS if name in schema.names)
        label = next((name for name in usual if can_be_text(schema.field(name).type)), None)
    others = tuple(name for name in images if name != image)
    return TableColumns(image, label, names, others)


def _features(schema: pa.Schema) -> Mapping[str, Any]:
    """Return the features in the metadata of the library `datasets`; empty if there are none."""
    try:
        stated = json.loads((schema.metadata or {})[b"huggingface"])
        return dict(stated["info"]["features"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}


def _kind(feature: Any) -> str | None:
    return feature.get("_type") if isinstance(feature, dict) else None


def _has_classes(kind: pa.DataType, feature: Any) -> bool:
    """Return whether a column has numbers of classes, whose names are in the metadata."""
    from pyarrow import types

    if _kind(feature) != "ClassLabel" or not types.is_integer(kind):
        return False
    names = feature.get("names")
    return isinstance(names, list) and bool(names)


def _is_image(kind: pa.DataType) -> bool:
    """Return whether a type is a structure of the bytes and the path of an image."""
    from pyarrow import types

    if not types.is_struct(kind):
        return False
    found = {field.name: field.type for field in kind}
    if not {"bytes", "path"} <= found.keys():
        return False
    return bool(types.is_binary(found["bytes"]) or types.is_large_binary(found["bytes"]))
