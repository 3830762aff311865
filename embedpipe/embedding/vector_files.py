"""Files of vectors that other programs wrote: one reader for each format, and a writer.

A reader returns the path of each row, and a function that yields the rows in blocks. So it needs
memory for the paths and for one block. Only an array of an ``.npz`` file is in memory as a whole,
and a CSV table is copied to a temporary file of 4 bytes for each number.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .._files import map_array, temporary_file
from ..errors import UsageError, VectorFileError
from ..tables import read_table
from ..tables.lightly_table import lightly_rows
from ..tables.parquet_columns import is_text, texts
from ..tables.text_files import TableError, decode, read_json

if TYPE_CHECKING:
    from .embeddings import Embeddings

__all__ = ["READERS", "VectorFile", "VectorSource", "write_vectors"]

BLOCK_ROWS = 4096
"""Maximum rows of a block."""

PATHS_BESIDE = (".txt", ".csv", ".json")
"""Suffixes of a file of paths with the name of a ``.npy`` file, beside it."""

PATH_SUFFIXES = (*PATHS_BESIDE, ".jsonl", ".parquet")
"""Suffixes of a file of paths."""

PATH_NAMES = ("path", "paths", "file_name", "filename", "filenames", "filepath")
"""Names of a column or an array of paths; the first that exists is used."""

VECTOR_NAMES = ("embedding", "embeddings", "vector", "vectors")
"""Names of a column or an array of vectors, used if there are several."""

DAMAGED_ARCHIVE = (
    *(ValueError, EOFError, zipfile.BadZipFile, zlib.error, tokenize.TokenError),
    *(NotImplementedError, RuntimeError, MemoryError),  # encryption, or a stated size
)
"""Errors of reading a damaged ``.npz`` file, or one with pickled objects."""

_ARRAY = "the array of vectors"

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class VectorFile:
    """The vectors of a file: the path of each of its n rows, and `dim` numbers in each row.

    `dtype` is the type of the numbers in the file, and `blocks` yields arrays of this type with at
    most `BLOCK_ROWS` rows. Rows are counted from 0.
    """

    file: str
    paths: Sequence[str]
    dim: int
    dtype: str
    blocks: Callable[[], Iterator[NDArray[Any]]]

    def vectors(self) -> Iterator[tuple[int, Vectors]]:
        """Yield the first row and the finite vectors, (rows, dim), of each block."""
        start = 0
        for block in self.blocks():
            with np.errstate(over="ignore"):
                vectors = np.ascontiguousarray(block, np.float32)
            finite = np.isfinite(vectors).all(axis=1)  # (rows,)
            if not finite.all():
                row = start + int(np.argmin(finite))
                raise _fault(
                    self.file,
                    f"the vector of {self.paths[row]!r} (row {row}) has NaN, infinity or a number "
                    "beyond float32",
                )
            yield start, vectors
            start += len(vectors)


@dataclass(frozen=True)
class VectorSource:
    """Vectors to import, and how to import them.

    `data` is a file or an (n, d) array. `paths` are a file of paths, or the paths; None for paths
    in the file, or beside a ``.npy`` file. With `skip_unknown`, paths that are not in the dataset
    are left out. With `again`, a file that was imported before is read again.
    """

    data: Path | NDArray[Any]
    paths: Path | Sequence[str] | None = None
    skip_unknown: bool = False
    again: bool = False

    @classmethod
    def of(cls, given: Any) -> VectorSource:
        """Return the source of the option ``vectors``."""
        return given if isinstance(given, cls) else cls(Path(given).expanduser())

    def check(self) -> None:
        """Refuse a file that does not exist, or whose format is unknown."""
        with _reading(self.name):
            self._stamp()
        if isinstance(self.data, Path):
            self._reader()

    def check_unchanged(self) -> None:
        """Raise an error if the file was changed since its digest was computed."""
        with _reading(self.name):
            stamp = self._stamp()
        if stamp != self._digested[1]:
            raise _fault(self.name, "it was changed while it was read. Run the command again")

    def _stamp(self) -> tuple[int, int] | None:
        """Return the size and the time of the file."""
        if not isinstance(self.data, Path):
            return None
        status = self.data.stat()
        return status.st_size, status.st_mtime_ns

    @property
    def name(self) -> str:
        """The file, for messages."""
        return str(self.data) if isinstance(self.data, Path) else _ARRAY

    @property
    def digest(self) -> str:
        """SHA-256 of the file, in hexadecimal; with paths elsewhere, of both digests."""
        return self._digested[0]

    @functools.cached_property
    def _digested(self) -> tuple[str, tuple[int, int] | None]:
        with _reading(self.name):
            stamp = self._stamp()
            digests = [_digest(each) for each in (self.data, self._paths()) if each is not None]
        if len(digests) == 1:
            return digests[0], stamp
        return hashlib.sha256("".join(digests).encode()).hexdigest(), stamp

    def open(self) -> VectorFile:
        """Return the vectors of the file; their numbers are checked when they are read."""
        with _reading(self.name):
            given = self._paths()
            paths = list(_read_paths(given) if isinstance(given, Path) else given or ())
            if isinstance(self.data, np.ndarray):
                found = _of_array(self.name, self.data, paths)
            else:
                found = self._reader()(self.data, paths)
        if not found.paths:
            raise _fault(self.name, "there are no vectors")
        return found

    def _paths(self) -> Path | Sequence[str] | None:
        """Return the paths that are not in the file."""
        is_npy = isinstance(self.data, Path) and self.data.suffix.lower() == ".npy"
        if self.paths is None and is_npy:
            assert isinstance(self.data, Path)
            return _paths_beside(self.data)
        return self.paths

    def _reader(self) -> Reader:
        assert isinstance(self.data, Path)
        suffix = self.data.suffix.lower()
        if suffix not in READERS:
            raise UsageError(
                f"{self.data} is not a file of vectors: its name must end in {', '.join(READERS)}."
            )
        if self.paths is not None and suffix not in (".npy", ".npz"):
            raise UsageError(f"{self.data} has its own paths: leave the file of paths out.")
        return READERS[suffix]


Reader = Callable[[Path, list[str]], VectorFile]
"""Function from a file, and the paths that are not in it, to the vectors."""


def _fault(file: object, clause: str) -> VectorFileError:
    return VectorFileError(f"{file}: {clause}. Nothing was stored.")


@contextlib.contextmanager
def _reading(file: object) -> Iterator[None]:
    """Give the errors of reading a file one class."""
    try:
        yield
    except FileNotFoundError as error:
        raise VectorFileError(f"there is no file at {error.filename or file}.") from None
    except TableError as error:
        raise VectorFileError(f"{str(error).removesuffix('.')}. Nothing was stored.") from None
    except OSError as error:
        raise _fault(file, f"it cannot be read ({error.strerror or error})") from error


def _digest(part: Path | NDArray[Any] | Sequence[str]) -> str:
    """Return the SHA-256 of a file, of the files of a folder, of an array or of paths."""
    if isinstance(part, np.ndarray):
        _check_numbers(_ARRAY, part.dtype)
        return hashlib.sha256(np.ascontiguousarray(part).data).hexdigest()
    if not isinstance(part, Path):
        return hashlib.sha256("\n".join(part).encode(errors="surrogatepass")).hexdigest()
    if part.is_dir():
        files = sorted(each for each in part.rglob("*") if each.is_file())
        named = [f"{each.relative_to(part).as_posix()} {_digest(each)}" for each in files]
        return hashlib.sha256("\n".join(named).encode(errors="surrogatepass")).hexdigest()
    with part.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _paths_beside(file: Path) -> Path:
    """Return the file of paths with the name of a ``.npy`` file."""
    file.stat()  # a missing file is reported before its paths
    found = [each for suffix in PATHS_BESIDE if (each := file.with_suffix(suffix)).exists()]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(each.name for each in found)
        raise _fault(file, f"the paths are ambiguous: {names}. Keep one, or give --paths FILE")
    raise _fault(
        file,
        f"it has no paths: write {file.with_suffix('.txt').name} beside it, with a path on each "
        "line, or give another file to `import-vectors --paths`",
    )


def _read_paths(file: Path) -> list[str]:
    """Return the paths in a file: lines of text, a JSON list, or a column of a table."""
    suffix = file.suffix.lower()
    if suffix not in PATH_SUFFIXES:
        raise UsageError(
            f"{file} is not a file of paths: its name must end in {', '.join(PATH_SUFFIXES)}."
        )
    if suffix == ".txt":
        lines = decode(file.read_bytes(), str(file)).replace("\r\n", "\n").split("\n")
        return lines[:-1] if lines[-1] == "" else lines
    if suffix == ".json":
        found = read_json(file)
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise _fault(file, "expected a JSON list of paths")
        return found
    table = read_table(
        file,
        ("path",),
        error=VectorFileError,
        what="file of paths",
        synonyms={"path": "file_name"},
        exact_paths=True,
    )
    return table.columns["path"]


def _of_array(file: str, array: NDArray[Any], paths: list[str]) -> VectorFile:
    """Return the vectors of a two-dimensional array."""
    if array.ndim != 2 or not array.shape[1]:
        raise _fault(file, f"expected an array of rows x dimensions; got the shape {array.shape}")
    _check_numbers(file, array.dtype)
    if len(paths) != len(array):
        raise _fault(
            file,
            f"{len(array):,} vectors, but {len(paths):,} paths. Give one path for each vector, in "
            "the same order",
        )

    def blocks() -> Iterator[NDArray[Any]]:
        for start in range(0, len(array), BLOCK_ROWS):
            yield array[start : start + BLOCK_ROWS]

    return VectorFile(file, paths, array.shape[1], array.dtype.name, blocks)


def _check_numbers(file: object, dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "fiu":
        name = "Python objects" if dtype.hasobject else f"the type {dtype.name}"
        raise _fault(file, f"the array has {name}; expected numbers, such as float32")


def _npy(file: Path, paths: list[str]) -> VectorFile:
    """Return the vectors of a NumPy array, which is mapped into memory."""
    with file.open("rb") as opened:
        try:
            array = map_array(opened)
        except (ValueError, EOFError) as error:  # `map_array` executes no pickle
            raise _fault(file, f"it is not an array of numbers ({error})") from error
    return _of_array(str(file), array, paths)


def _npz(file: Path, paths: list[str]) -> VectorFile:
    """Return the vectors of named arrays: two arrays, of vectors and paths, or one for each path.

    Two arrays need 8 bytes of memory for each number at most, and arrays by path those of a block.
    """
    if file.is_file() and not zipfile.is_zipfile(file):
        raise _fault(file, "it is not an archive of arrays, or it is damaged")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            names = list(arrays)
            key = next((each for each in PATH_NAMES if each in names), None)
            if key is None and not paths and not (len(names) == 1 and arrays[names[0]].ndim == 2):
                return _by_path(file, names, arrays)
            if key is not None and not paths:
                column = arrays[key].ravel()
                text = np.char.decode(column, "utf-8") if column.dtype.kind == "S" else column
                paths = [str(each) for each in text.tolist()]
            others = [each for each in names if each != key]
            vectors = arrays[_one_of(file, "array", others)]
    except DAMAGED_ARCHIVE as error:
        raise _fault(file, f"it is not an archive of arrays of numbers ({error})") from error
    return _of_array(str(file), vectors, paths)


def _by_path(file: Path, names: list[str], arrays: Mapping[str, NDArray[Any]]) -> VectorFile:
    """Return the vectors of an archive with an array for each path."""
    if not names:
        raise _fault(file, "there are no vectors")
    first = arrays[names[0]]
    _check_numbers(file, first.dtype)

    def blocks() -> Iterator[NDArray[Any]]:
        with _reading(file), np.load(file, allow_pickle=False) as opened:
            for start in range(0, len(names), BLOCK_ROWS):
                yield np.stack([vector(opened, name) for name in names[start : start + BLOCK_ROWS]])

    def vector(opened: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
        try:
            found = opened[name]
        except DAMAGED_ARCHIVE as error:
            raise _fault(file, f"the array {name!r} cannot be read ({error})") from error
        _check_numbers(file, found.dtype)
        if found.shape != first.shape or found.ndim != 1:
            raise _fault(
                file,
                f"the array {name!r} has the shape {found.shape}; expected vectors of one length, "
                f"such as {(first.size,)}",
            )
        return found

    return VectorFile(str(file), names, first.size, first.dtype.name, blocks)


def _one_of(file: Path, what: str, names: Sequence[str]) -> str:
    """Return the name of the column or array of vectors."""
    named = [each for each in VECTOR_NAMES if each in names]
    if len(names) == 1 or named:
        return named[0] if named else names[0]
    has = ", ".join(names[:5]) or "none"
    raise _fault(file, f"expected one {what} of vectors, or one called embedding; it has: {has}")


def _lightly(file: Path, paths: list[str]) -> VectorFile:
    """Return the vectors of Lightly's table; they are copied to a temporary file."""
    found: list[str] = []
    dim = 0
    with tempfile.TemporaryFile() as copy:
        for row in lightly_rows(file):
            found.append(row.path)
            dim = row.vector.size
            copy.write(row.vector.tobytes())
        copy.flush()
        if not found:
            raise _fault(file, "there are no vectors")
        array = np.memmap(copy, np.float32, "r", shape=(len(found), dim))
    return _of_array(str(file), array, found)


def _parquet(file: Path, paths: list[str]) -> VectorFile:
    """Return the vectors of a column of lists of equal length."""

    def batches(column: str) -> Iterator[pa.Array]:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(BLOCK_ROWS, columns=[column], use_threads=False):
                yield batch.column(0)

    try:
        with pq.ParquetFile(file) as opened:
            schema = opened.schema_arrow
        return _of_columns(file, schema, batches, (pa.ArrowException,))
    except (pa.ArrowException, UnicodeDecodeError) as error:  # in a path or the name of a column
        raise _fault(file, f"it is damaged ({_line(error)})") from error


def _lance(file: Path, paths: list[str]) -> VectorFile:
    """Return the vectors of a Lance dataset, as those of a Parquet file."""
    try:
        import lance
    except ImportError:
        raise UsageError("Lance is not installed: `pip install 'embedpipe[lance]'`.") from None
    if not file.exists():
        raise FileNotFoundError(file)

    def batches(column: str) -> Iterator[pa.Array]:
        for batch in opened.to_batches(columns=[column], batch_size=BLOCK_ROWS):
            yield batch.column(0)

    try:
        opened = lance.dataset(str(file))
    except (ValueError, RuntimeError) as error:
        raise _fault(file, f"it is not a Lance dataset ({_line(error)})") from error
    return _of_columns(file, opened.schema, batches, (pa.ArrowException, ValueError, RuntimeError))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _of_columns(
    file: Path,
    schema: pa.Schema,
    batches: Callable[[str], Iterator[pa.Array]],
    damage: tuple[type[Exception], ...],
) -> VectorFile:
    """Return the vectors of a column of lists; `damage` are the errors of a damaged file."""
    path = next((each for each in PATH_NAMES if each in schema.names), None)
    if path is None or not is_text(schema.field(path).type):
        expected = f"expected {', '.join(PATH_NAMES[:-1])} or {PATH_NAMES[-1]}"
        has = ", ".join(schema.names)
        raise _fault(file, f"there is no column of paths: {expected}; it has: {has}")
    lists = [each for each in schema.names if _numbers_of(schema.field(each).type) is not None]
    column = _one_of(file, "column", lists)

    def read(name: str) -> Iterator[pa.Array]:
        try:
            with _reading(file):
                yield from batches(name)
        except damage as error:
            raise _fault(file, f"it is damaged ({_line(error)})") from error

    chunks = list(read(path))
    paths = texts(pa.chunked_array(chunks, schema.field(path).type))
    nulls = sum(chunk.null_count for chunk in chunks)
    if nulls:
        raise _fault(file, f"{nulls} rows have no path")
    dim = _length(next(read(column), pa.nulls(1, schema.field(column).type))) if paths else 0
    if paths and not dim:
        raise _fault(file, "the vector of row 0 is empty")

    def blocks() -> Iterator[NDArray[Any]]:
        start = 0
        for batch in read(column):
            yield _matrix(file, batch, dim, start)
            start += len(batch)

    kind = _numbers_of(schema.field(column).type)
    assert kind is not None  # it is a column of lists
    return VectorFile(str(file), paths, dim, np.dtype(kind.to_pandas_dtype()).name, blocks)


def _numbers_of(kind: pa.DataType) -> pa.DataType | None:
    """Return the type of the numbers in a column of lists; None for other columns."""
    if isinstance(kind, pa.BaseExtensionType):  # tensors
        kind = kind.storage_type
    types = pa.types
    if not (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
        return None
    inner = kind.value_type
    return inner if types.is_floating(inner) or types.is_integer(inner) else None


def _length(column: pa.Array) -> int:
    """Return the length of the first vector of a column; 0 if it is missing."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    return int(pc.list_value_length(column[:1])[0].as_py() or 0)


def _matrix(file: Path, column: pa.Array, dim: int, start: int) -> NDArray[Any]:
    """Return the vectors of rows from `start` on, (rows, dim)."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(lengths != dim)
    if wrong.size:
        row, length = start + int(wrong[0]), int(lengths[wrong[0]])
        found = "no vector" if length < 0 else f"a vector of {length} numbers"
        raise _fault(file, f"row {row} has {found}; the first vector has {dim}")
    values = column.flatten()
    if values.null_count:
        row = start + int(pc.index(pc.is_null(values), True).as_py()) // dim
        raise _fault(file, f"the vector of row {row} has a missing number")
    matrix: NDArray[Any] = values.to_numpy(zero_copy_only=False).reshape(len(column), dim)
    return matrix


READERS: dict[str, Reader] = {
    ".npy": _npy,
    ".npz": _npz,
    ".parquet": _parquet,
    ".csv": _lightly,
    ".lance": _lance,
}
"""The reader of each format, by the suffix of the file."""


def write_vectors(embeddings: Embeddings, path: str | Path) -> Path:
    """Write the vectors of a dataset to a Parquet file, which `import_vectors` reads.

    Columns: ``path`` (the id of the item) and ``embedding`` (a list of d float32 numbers). The
    vectors are equal bit for bit. The metadata of the schema have the spec as ``embedpipe_spec``.

    Parameters
    ----------
    embeddings
        The embeddings of n items.
    path
        The file, with a name that ends in ``.parquet``. It is replaced if it exists.

    Raises
    ------
    UsageError
        If the name has another suffix, or the file cannot be written.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.load_dataset("digits").subset("test")
    >>> embeddings = ep.embed(digits, backbone="toy", workspace=tmp)
    >>> file = ep.write_vectors(embeddings, tmp / "vectors.parquet")
    >>> again = ep.import_vectors(digits, file, name="toy", workspace=tmp)
    >>> np.array_equal(again, embeddings)
    True
    """
    path = Path(path)
    check_output(path)
    dim = embeddings.shape[1]
    schema = pa.schema(
        [pa.field("path", pa.string()), pa.field("embedding", pa.list_(pa.float32(), dim))],
        {"embedpipe_spec": embeddings.spec.to_json()},
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_file(path) as temporary:
            with pq.ParquetWriter(temporary, schema, use_dictionary=False) as writer:
                for start in range(0, len(embeddings), BLOCK_ROWS):
                    block = np.ascontiguousarray(embeddings.matrix[start : start + BLOCK_ROWS])
                    flat = pa.array(block.reshape(-1))
                    ids = [each.id for each in embeddings.items[start : start + BLOCK_ROWS]]
                    columns = [pa.array(ids), pa.FixedSizeListArray.from_arrays(flat, dim)]
                    writer.write_batch(pa.record_batch(columns, schema=schema))
            temporary.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}.") from error
    return path


def check_output(path: Path) -> None:
    """Raise UsageError unless a file of vectors can have this name."""
    if path.suffix.lower() != ".parquet":
        raise UsageError(f"cannot write {path}: its name must end in .parquet.")
