"""The store of one spec: vectors, failures and the canary.

The canary is a set of vectors of fixed test images; each machine must reproduce these vectors.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .._files import write_atomically
from .._storage import StoredPath, map_parallel
from .._text import sentence_about
from .._workspace import Workspace
from ..errors import CacheError, DamagedFileError, DriftError
from .fragments import (
    FIX,
    fragment_paths,
    read_checked,
    read_columns,
    read_content_ids,
    unwritable,
    vectors_of,
    write_fragment,
)

__all__ = ["COMBINED", "CONTENT_ID", "Failure", "Row", "Spec", "Store"]

COMBINED = "combined"
"""Library of a combined spec."""


@dataclass(frozen=True)
class Spec:
    """The embedding spec: everything besides the image that determines a vector.

    The runtime and the processor are not part of it. `TOLERANCE` limits the differences that they
    cause. A combined spec has `parts`: its vectors are derived from theirs.

    Attributes
    ----------
    backbone
        Library, architecture, pooling, ``dim`` and the digest of the weights.
    preprocess
        Sizes, interpolation, crop, mean, std, and the rules for EXIF, colour and decoding.
    precision
        ``"fp32"`` or ``"bf16"``.

    Examples
    --------
    >>> spec = Spec({"architecture": "toy", "dim": 48}, {"size": [32, 32]}, "fp32")
    >>> spec == Spec.from_json(spec.to_json())
    True
    >>> len(spec.id)
    64
    """

    backbone: dict[str, Any]
    preprocess: dict[str, Any]
    precision: str

    @classmethod
    def combined(cls, parts: Sequence[Spec]) -> Spec:
        """Return the spec of the joined vectors of specs with the same precision, in order."""
        (precision,) = {part.precision for part in parts}
        backbone = {
            "library": COMBINED,
            "architecture": "+".join(str(part.backbone["architecture"]) for part in parts),
            "scaling": "unit_length",
            "dim": sum(part.dim for part in parts),
            "parts": [asdict(part) for part in parts],
        }
        return cls(backbone, {}, precision)

    @property
    def parts(self) -> tuple[Spec, ...]:
        """The specs whose vectors are joined; empty unless the spec is combined."""
        if self.backbone.get("library") != COMBINED:
            return ()
        return tuple(Spec(**part) for part in self.backbone["parts"])

    def to_json(self) -> str:
        """Return the canonical JSON: sorted keys, no spaces, ASCII."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Spec:
        """Read a spec from its canonical JSON."""
        fields = json.loads(text)
        return cls(fields["backbone"], fields["preprocess"], fields["precision"])

    @functools.cached_property
    def id(self) -> str:
        """The SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def dim(self) -> int:
        """The dimension of the vectors."""
        return int(self.backbone["dim"])

    def __hash__(self) -> int:
        return hash(self.id)


CONTENT_ID = pa.binary(32)

SEARCHED = 1 << 20
"""Minimum stored content ids of a search."""

AHEAD = 4
"""Maximum fragments of an object store that are read at a time; each is in memory as a whole."""

FORMAT = "1"
CANARY = "canary.json"

TOLERANCE = {"fp32": 1e-3, "bf16": 0.02}
"""Maximum mean distance of the canary's vectors, relative to their length, by precision.

Measured distances in fp32: 1e-5 between runtimes. In bf16: 0.007 between processors, and 0.13
between runtimes. Bilinear resizing instead of bicubic resizing: 0.09.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One embedded image; `width` and `height` are the size of the upright image."""

    content_id: bytes
    embedding: np.ndarray
    width: int
    height: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An image without a vector.

    `path` is the id of the image's item. `content_id` is the SHA-256 of the image's bytes, or None.
    `stage` is ``"read"``, ``"decode"``, ``"encode"`` or ``"import"``. `error` is the reason, as a
    clause in which "it" is the image.
    """

    path: str
    content_id: bytes | None
    stage: str
    error: str

    @property
    def message(self) -> str:
        """A sentence for the user."""
        return sentence_about(self.path, self.error)


class Store:
    """The vectors of one spec: a set of fragments that only grows.

    If several fragments contain the same image, its vector is read from the fragment whose name is
    the first in alphabetical order. Several processes may read and add at the same time.
    """

    n_blocks = 1

    def __init__(self, workspace: Workspace, spec: Spec) -> None:
        self.spec = spec
        self.folder = workspace.cache / spec.id

    def create(self) -> None:
        """Write the file of the spec, if it is missing."""
        path = self.folder / "spec.json"
        expected = self.spec.to_json().encode()
        try:
            if not path.exists():
                write_atomically(path, expected, overwrite=False)
            found = path.read_bytes()
        except OSError as error:
            raise unwritable(
                f"cannot write to the cache at {self.folder}: {error.strerror or error}. Choose "
                "another place with --workspace.",
                error,
            ) from error
        if found != expected:
            raise DamagedFileError(f"{path} is altered: it does not match its folder's name. {FIX}")

    def exists(self) -> bool:
        """Return whether the file of the spec exists."""
        return (self.folder / "spec.json").exists()

    def runtime(self) -> str | None:
        """Return the runtime of the first stored vectors, such as ``"torch"``; None if unknown."""
        try:
            known = read_with_digest((self.folder / CANARY).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CacheError(f"cannot read {self.folder / CANARY}: {error.strerror}.") from error
        if known is None:
            return None
        return str(known["provenance"].get("runtime", "")).partition(" ")[0] or None

    def content_ids(self) -> pa.ChunkedArray:
        """Return the content ids of the images with a vector, as fixed-size binary(32)."""
        columns = self._columns(fragment_paths(self.folder / "fragments"))
        arrays = [chunk for column in columns for chunk in column.chunks]
        return pa.chunked_array(arrays, CONTENT_ID)

    def _columns(self, paths: Sequence[StoredPath]) -> Iterator[pa.ChunkedArray]:
        """Yield the content ids of each fragment."""
        spec = self.spec.to_json()
        return map_parallel(lambda path: read_content_ids(path, spec), paths)

    def add(self, rows: Sequence[Row], provenance: dict[str, str]) -> StoredPath:
        """Write at least one row of finite numbers as one fragment."""
        embeddings = np.stack([row.embedding for row in rows]).astype(np.float32)  # (rows, dim)
        if embeddings.shape[1] != self.spec.dim:
            raise CacheError(
                f"vectors of {embeddings.shape[1]} dimensions do not fit a spec of {self.spec.dim} "
                "dimensions."
            )
        flat = pa.array(embeddings.reshape(-1), pa.float32())
        table = pa.table(
            {
                "content_id": pa.array([row.content_id for row in rows], CONTENT_ID),
                "embedding": pa.FixedSizeListArray.from_arrays(flat, self.spec.dim),
                "width": pa.array([row.width for row in rows], pa.int32()),
                "height": pa.array([row.height for row in rows], pa.int32()),
                "n_bytes": pa.array([row.n_bytes for row in rows], pa.int64()),
            },
            schema=_schema(self.spec.dim),
        )
        return write_fragment(self.folder / "fragments", table, self._metadata(provenance))

    def copy_rows(self, older: Store, content_ids: pa.Array) -> int:
        """Copy rows and the canary from a spec with the same vectors; return the number of rows.

        No row is copied if this spec has another canary.
        """
        canary, own = older.folder / CANARY, self.folder / CANARY
        if not canary.exists():
            return 0
        known = canary.read_bytes()
        if not own.exists():
            write_atomically(own, known, overwrite=False)
        if own.read_bytes() != known:
            return 0
        copied = 0
        for path in fragment_paths(older.folder / "fragments"):
            table = read_checked(path, older.spec.to_json())
            provenance = json.loads((table.schema.metadata or {})[b"provenance"])
            rows = table.filter(pc.is_in(table["content_id"], value_set=content_ids))
            if len(rows):
                write_fragment(self.folder / "fragments", rows, self._metadata(provenance))
                copied += len(rows)
        return copied

    def vectors(self) -> Iterator[tuple[pa.Array, np.ndarray]]:
        """Yield the content ids and the vectors, (rows, dim), of each checked fragment."""
        yield from map_parallel(self._read, fragment_paths(self.folder / "fragments"), AHEAD)

    def vectors_for(
        self, content_ids: pa.Array
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield positions in `content_ids`, and the vectors of these images, by fragment."""
        paths = fragment_paths(self.folder / "fragments")
        ids = list(self._columns(paths))
        starts = np.cumsum([0, *(len(column) for column in ids)])  # first row of each fragment
        chunks = [chunk for column in ids for chunk in column.chunks]
        every = _combined(pa.chunked_array(chunks, CONTENT_ID))
        found = pc.fill_null(pc.index_in(content_ids, value_set=every), -1)
        rows = found.to_numpy(zero_copy_only=False).astype(np.int64)  # (n,), -1 if missing
        order = np.argsort(rows, kind="stable")
        bounds = np.searchsorted(rows[order], starts)
        wanted = [n for n in range(len(paths)) if bounds[n] < bounds[n + 1]]
        fragments = map_parallel(self._read, [paths[number] for number in wanted], AHEAD)
        for number, (_, vectors) in zip(wanted, fragments, strict=True):
            positions = order[bounds[number] : bounds[number + 1]]
            yield positions, vectors[rows[positions] - starts[number]]

    def sizes_for(self, content_ids: pa.Array) -> NDArray[np.int32]:
        """Return the (n, 2) width and height of images; 0 for an image without a vector."""
        columns = ["content_id", "width", "height"]
        spec, paths = self.spec.to_json(), fragment_paths(self.folder / "fragments")
        tables = list(map_parallel(lambda path: read_columns(path, spec, columns), paths))
        sizes = np.zeros((len(content_ids), 2), dtype=np.int32)
        if tables:
            known = pa.concat_tables([table.select(columns) for table in tables])
            rows = pc.index_in(content_ids, value_set=_combined(known["content_id"]))
            for column, name in enumerate(columns[1:]):
                sizes[:, column] = pc.fill_null(known[name].take(rows), 0).to_numpy()
        return sizes

    def blocks_for(
        self, content_ids: pa.Array
    ) -> Iterator[tuple[slice, NDArray[np.int64], NDArray[np.float32]]]:
        """Yield columns of a matrix, positions in `content_ids`, and the vectors of these images.

        Each position comes once for each of `n_blocks`.
        """
        for positions, vectors in self.vectors_for(content_ids):
            yield slice(0, self.spec.dim), positions, vectors

    def _read(self, path: StoredPath) -> tuple[pa.Array, np.ndarray]:
        table = read_checked(path, self.spec.to_json())
        return table["content_id"].combine_chunks(), vectors_of(table)

    def add_failures(self, failures: Sequence[Failure], provenance: dict[str, str]) -> StoredPath:
        """Write failures as one fragment."""
        table = pa.table(
            {
                "path": pa.array([failure.path for failure in failures], pa.string()),
                "content_id": pa.array([failure.content_id for failure in failures], CONTENT_ID),
                "stage": pa.array([failure.stage for failure in failures], pa.string()),
                "error": pa.array([failure.error for failure in failures], pa.string()),
            }
        )
        return write_fragment(self.folder / "failures", table, self._metadata(provenance))

    def add_import(self, content_ids: pa.Array, provenance: dict[str, str]) -> StoredPath:
        """Write the content ids of an imported file as one fragment, after its vectors.

        The digest of the file is the key ``file_sha256`` of `provenance`.
        """
        table = pa.table({"content_id": content_ids})
        return write_fragment(self.folder / "imports", table, self._metadata(provenance))

    def imports(self) -> dict[str, pa.Array]:
        """Return the content ids of each completely imported file by the digest of the file."""
        spec, found = self.spec.to_json(), dict[str, list[pa.Array]]()
        for path in fragment_paths(self.folder / "imports"):
            table = read_checked(path, spec)
            provenance = json.loads((table.schema.metadata or {})[b"provenance"])
            chunks = found.setdefault(provenance["file_sha256"], [])
            chunks += table["content_id"].chunks
        return {
            digest: _combined(pa.chunked_array(chunks, CONTENT_ID))
            for digest, chunks in found.items()
        }

    def failures(self) -> dict[bytes, Failure]:
        """Return the failures of images that still have no vector, by content id."""
        found: dict[bytes, Failure] = {}
        spec, paths = self.spec.to_json(), fragment_paths(self.folder / "failures")
        for table in map_parallel(lambda path: read_checked(path, spec), paths):
            for row in table.to_pylist():
                if row["content_id"] is not None:
                    found[row["content_id"]] = Failure(**row)
        if found:
            ids = pa.array(list(found), CONTENT_ID)
            embedded = pc.is_in(ids, value_set=_combined(self.content_ids())).to_pylist()
            for content_id, has_vector in zip(list(found), embedded, strict=True):
                if has_vector:
                    del found[content_id]
        return found

    def missing(self, content_ids: pa.Array) -> np.ndarray:
        """Return a boolean mask over `content_ids`: true for images without a vector.

        Memory for n content ids, however large the store is: about 200 bytes for each.
        """
        encoded = pc.dictionary_encode(content_ids)
        distinct = encoded.dictionary  # (k,)
        is_present = np.zeros(len(distinct) + 1, bool)  # the last one is for null
        columns = self._columns(fragment_paths(self.folder / "fragments"))
        # A search builds a table of `distinct`, so it searches as many stored ids at once.
        for stored in _batches(columns, max(len(distinct), SEARCHED)):
            found = pc.index_in(stored, value_set=distinct).drop_null()
            is_present[found.to_numpy()] = True
        codes = pc.fill_null(encoded.indices, len(distinct)).to_numpy()  # (n,)
        mask: np.ndarray = ~is_present[codes]
        return mask

    def check_canary(self, encode: Callable[[], np.ndarray], provenance: dict[str, str]) -> None:
        """Compare this machine's canary vectors with the stored ones; the first run stores them.

        Raises
        ------
        DriftError
            If the mean distance of the vectors exceeds `TOLERANCE`.
        """
        vectors = encode()
        path = self.folder / CANARY
        content = {"provenance": provenance, "vectors": vectors.astype(float).tolist()}
        try:
            if not path.exists():
                write_atomically(path, _with_digest(content), overwrite=False)
            known = read_with_digest(path.read_bytes())
        except OSError as error:
            raise unwritable(
                f"cannot write to the cache at {self.folder}: {error.strerror or error}.", error
            ) from error
        if known is None:
            raise DamagedFileError(f"{path} is damaged. {FIX}")
        expected = np.array(known["vectors"], np.float64)  # (images, dim)
        if expected.shape != vectors.shape:
            raise DriftError(
                f"the canary in {self.folder} has {len(expected)} test images; this version of "
                f"embedpipe has {len(vectors)}. Nothing was added. Use the other version or "
                f"another --workspace, or delete {path} to accept this version."
            )
        drift = relative_distance(vectors, expected)
        if not drift <= TOLERANCE[self.spec.precision]:
            raise DriftError(
                f"this machine's vectors differ by {drift:.2g} of their length from those in "
                f"{self.folder} (the limit is {TOLERANCE[self.spec.precision]:g}). The stored "
                f"vectors were computed with {known['provenance']}, the new vectors with "
                f"{provenance}. Nothing was added. Use the former --runtime and versions, "
                "--precision fp32, or another --workspace."
            )

    def _metadata(self, provenance: dict[str, str]) -> dict[str, str]:
        return {
            "format": FORMAT,
            "spec": self.spec.to_json(),
            "provenance": json.dumps(provenance, sort_keys=True),
        }


def _with_digest(content: dict[str, Any]) -> bytes:
    """Return the bytes of a JSON file with a content and its digest."""
    text = json.dumps(content, sort_keys=True)
    return json.dumps({"sha256": _digest(text), "content": content}, sort_keys=True).encode()


def read_with_digest(data: bytes) -> dict[str, Any] | None:
    """Return the content of a JSON file with a digest; None if it is damaged."""
    try:
        outer = json.loads(data)
        content: dict[str, Any] = outer["content"]
        whole = outer["sha256"] == _digest(json.dumps(content, sort_keys=True))
    except (ValueError, KeyError, TypeError):
        return None
    return content if whole and data == _with_digest(content) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def relative_distance(vectors: np.ndarray, expected: np.ndarray) -> float:
    """Return the mean distance to the expected vectors, as a share of their lengths."""
    lengths = np.maximum(np.linalg.norm(expected, axis=1), 1e-12)
    return float((np.linalg.norm(vectors - expected, axis=1) / lengths).mean())


def _batches(columns: Iterable[pa.ChunkedArray], size: int) -> Iterator[pa.ChunkedArray]:
    """Yield the chunks of columns together, at least `size` rows at a time."""
    chunks: list[pa.Array] = []
    rows = 0
    for column in columns:
        chunks += column.chunks
        rows += len(column)
        if rows >= size:
            yield pa.chunked_array(chunks, CONTENT_ID)
            chunks, rows = [], 0
    if rows:
        yield pa.chunked_array(chunks, CONTENT_ID)


def _combined(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.array([], column.type)


def _schema(dim: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field("content_id", CONTENT_ID, nullable=False),
            pa.field(
                "embedding",
                pa.list_(pa.field("element", pa.float32(), nullable=False), dim),
                nullable=False,
            ),
            pa.field("width", pa.int32(), nullable=False),
            pa.field("height", pa.int32(), nullable=False),
            pa.field("n_bytes", pa.int64(), nullable=False),
        ]
    )
