"""Fragments: immutable Parquet files, each named by the SHA-256 of its bytes.

In a folder, a fragment is written to a temporary name, synced and renamed; on an object store, it
is written by one request. So it is always complete.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .._files import TEMPORARY_PREFIX, is_read_only, read_parquet, write_atomically
from .._storage import ObjectPath, StoredPath, entries
from ..errors import CacheError, DamagedFileError, ReadOnlyError

__all__ = [
    "KINDS",
    "describe_damage",
    "digest_of_ids",
    "fragment_paths",
    "fragments_of_all_specs",
    "is_whole",
    "read_checked",
    "read_columns",
    "read_content_ids",
    "spec_id_of",
    "unwritable",
    "vectors_of",
    "write_fragment",
]

SUFFIX = ".parquet"
KINDS = ("fragments", "failures", "imports")
"""Folders of a spec that contain fragments."""

OTHER_SPEC = "a fragment of another spec"
FIX = "Run `embedpipe cache gc` to remove damaged files; the next `embed` computes them again."


MAX_COLUMNS = 1024
"""Maximum columns of content ids from an object store in memory, of 32 bytes a row."""


def fragment_paths(folder: StoredPath) -> list[StoredPath]:
    """Return the finished fragments in `folder`, sorted by name."""
    return [
        path
        for path in entries(folder)
        if path.suffix == SUFFIX and not path.name.startswith(TEMPORARY_PREFIX)
    ]


def fragments_of_all_specs(cache: StoredPath, kind: str) -> Iterator[StoredPath]:
    """Yield the finished fragments of one of `KINDS` of every spec in a cache."""
    for folder in entries(cache):
        yield from fragment_paths(folder / kind)


def write_fragment(folder: StoredPath, table: pa.Table, metadata: dict[str, str]) -> StoredPath:
    """Write a table with a column ``content_id`` as one fragment."""
    metadata = metadata | {
        "rows": str(table.num_rows),
        "ids_sha256": digest_of_ids(table["content_id"]),
    }
    if "embedding" in table.column_names:
        digest = hashlib.sha256(vectors_of(table).tobytes()).hexdigest()
        metadata["vectors_sha256"] = digest
    stamped = table.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    pq.write_table(
        stamped,
        sink,
        use_dictionary=False,
        write_statistics=["content_id"],
        compression="none",
        store_schema=True,
    )
    data = sink.getvalue().to_pybytes()
    path = folder / f"{hashlib.sha256(data).hexdigest()}{SUFFIX}"
    if path.exists() and is_whole(path, path.read_bytes()):
        return path
    try:
        write_atomically(path, data)
    except OSError as error:
        raise unwritable(
            f"cannot write to the cache at {folder}: {error.strerror or error}. Nothing was "
            "changed. Free space or permit writing, then run the same command again.",
            error,
        ) from error
    return path


def unwritable(message: str, error: OSError) -> CacheError:
    """Return the error of a failed write: a `ReadOnlyError` if writing is not permitted."""
    return ReadOnlyError(message) if is_read_only(error) else CacheError(message)


def read_checked(path: StoredPath, spec: str) -> pa.Table:
    """Read a fragment, and check its bytes and its spec; `spec` is canonical JSON."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CacheError(f"cannot read {path}: {error.strerror or error}.") from error
    if not is_whole(path, data):
        raise DamagedFileError(f"{path} is {describe_damage(data)}. {FIX}")
    table = pq.read_table(pa.BufferReader(data), use_threads=False)
    _check_spec(path, table.schema, spec)
    return table


def _check_spec(path: StoredPath, schema: pa.Schema, spec: str) -> None:
    if (schema.metadata or {}).get(b"spec", b"").decode() != spec:
        raise DamagedFileError(f"{path} is {OTHER_SPEC}. {FIX}")


def is_whole(path: StoredPath, data: bytes) -> bool:
    """Return whether the digest of `data` is the name of the file."""
    return f"{hashlib.sha256(data).hexdigest()}{SUFFIX}" == path.name


def spec_id_of(data: bytes) -> str:
    """Return the spec id in the bytes of a fragment."""
    metadata = pq.read_schema(pa.BufferReader(data)).metadata or {}
    return hashlib.sha256(metadata.get(b"spec", b"")).hexdigest()


def describe_damage(data: bytes) -> str:
    """Return the damage of a file whose digest is not its name, as a clause."""
    if not data:
        return "empty"
    if not data.startswith(b"PAR1"):
        return "not a fragment of this cache"
    if not data.endswith(b"PAR1"):
        return "truncated"
    return "altered: its bytes do not match its name"


def read_content_ids(path: StoredPath, spec: str) -> pa.ChunkedArray:
    """Read only the column ``content_id``, and check its digest and the fragment's spec."""
    if isinstance(path, ObjectPath):
        return _content_ids_of_object(path, spec)
    return read_columns(path, spec, ["content_id"])["content_id"]


@functools.lru_cache(maxsize=MAX_COLUMNS)
def _content_ids_of_object(path: ObjectPath, spec: str) -> pa.ChunkedArray:
    # A run reads the column several times. It cannot change, because its name is its digest.
    return read_columns(path, spec, ["content_id"])["content_id"]


def read_columns(path: StoredPath, spec: str, columns: Sequence[str]) -> pa.Table:
    """Read columns including ``content_id``, after a check of that column's digest and the spec."""
    try:
        table = read_parquet(path, columns=list(columns))
        expected = (table.schema.metadata or {}).get(b"ids_sha256", b"").decode()
    except OSError as error:
        raise CacheError(f"cannot read {path}: {error.strerror or error}.") from error
    except (pa.ArrowException, ValueError) as error:
        raise DamagedFileError(f"{path} is not a whole fragment. {FIX}") from error
    if digest_of_ids(table["content_id"]) != expected:
        raise DamagedFileError(f"{path} is altered: its rows do not match their digest. {FIX}")
    _check_spec(path, table.schema, spec)
    return table


def vectors_of(table: pa.Table) -> np.ndarray:
    """Return the column ``embedding`` as an array of shape (rows, dimensions)."""
    column = table["embedding"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # an empty table has no chunk to combine
        return np.empty((0, table.schema.field("embedding").type.list_size), np.float32)
    values: np.ndarray = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), column.type.list_size)


def digest_of_ids(column: pa.Array | pa.ChunkedArray) -> str:
    """Return the SHA-256 of content ids in order, in hexadecimal; null is hashed as ``-``."""
    digest = hashlib.sha256()
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        if chunk.null_count:
            digest.update(b"".join(value or b"-" for value in chunk.to_pylist()))
        elif len(chunk):
            start = 32 * chunk.offset
            digest.update(memoryview(chunk.buffers()[1])[start : start + 32 * len(chunk)])
    return digest.hexdigest()
