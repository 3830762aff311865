"""One spec's part of the store: its images with a vector, its failures, and the vectors."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .._files import write_atomically
from .._workspace import Workspace
from ..errors import CacheError, DamagedFileError, DriftError
from .fragments import (
    FIX,
    fragment_paths,
    read_checked,
    read_content_ids,
    unwritable,
    vectors_of,
    write_fragment,
)

__all__ = ["CONTENT_ID", "Failure", "Row", "Spec", "Store"]


@dataclass(frozen=True)
class Spec:
    """Everything that determines the vector of an image: backbone, preprocess, precision.

    What may merely change low bits (runtime, versions, threads, processor) is not part of it.

    Attributes
    ----------
    backbone
        Library, architecture, pooling, ``dim`` and the digest of the weights as loaded.
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
FORMAT = "1"
CANARY = "canary.json"

TOLERANCE = {"fp32": 1e-3, "bf16": 0.02}
"""Largest mean distance of the canary's vectors, relative to their length, by precision.

Two runtimes agree to 1e-5 in fp32. In bf16, one runtime agrees to 0.007 on processors with other
instruction sets; two runtimes differ by 0.13. Bilinear instead of bicubic resizing moves the
vectors by 0.09, weights that are 2 % off by 0.7.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One embedded image.

    Attributes
    ----------
    content_id
        SHA-256 of the file's bytes: 32 bytes.
    embedding
        Shape (d,), float32.
    width, height
        Of the image, in pixels, as it is meant to be seen.
    n_bytes
        Size of the file.
    """

    content_id: bytes
    embedding: np.ndarray
    width: int
    height: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that has no vector, and why.

    Attributes
    ----------
    path
        Where it was met: an item's id.
    content_id
        SHA-256 of its bytes, where they could be read.
    stage
        ``"read"``, ``"decode"`` or ``"encode"``.
    error
        The reason.
    """

    path: str
    content_id: bytes | None
    stage: str
    error: str


class Store:
    """The vectors of one spec: a set that only grows.

    Reading lists the fragments and takes the union by content; where two fragments hold the same
    image, the first by name counts. Adding writes one new file. Any number of processes may do
    both at once.

    Parameters
    ----------
    workspace
        The workspace that holds it.
    spec
        The spec of its vectors.
    """

    def __init__(self, workspace: Workspace, spec: Spec) -> None:
        self.spec = spec
        self.folder = workspace.cache / spec.id

    def create(self) -> None:
        """Write down the spec, if it is not.

        Raises
        ------
        DamagedFileError
            If what is written there is another spec.
        CacheError
            If it cannot be written.
        """
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
        """Return whether the spec is written down."""
        return (self.folder / "spec.json").exists()

    def runtime(self) -> str | None:
        """Return the runtime that made the first vectors, such as ``"torch"``; None if unknown."""
        try:
            known = unsealed((self.folder / CANARY).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CacheError(f"cannot read {self.folder / CANARY}: {error.strerror}.") from error
        if known is None:
            return None
        return str(known["provenance"].get("runtime", "")).partition(" ")[0] or None

    def content_ids(self) -> pa.ChunkedArray:
        """Return which images have a vector: fixed-size binary(32), 32 bytes a row.

        Raises
        ------
        DamagedFileError
            If a fragment is damaged; it is never passed over in silence.
        """
        chunks = [
            read_content_ids(path, self.spec.to_json())
            for path in fragment_paths(self.folder / "fragments")
        ]
        arrays = [chunk for column in chunks for chunk in column.chunks]
        return pa.chunked_array(arrays, CONTENT_ID)

    def add(self, rows: Sequence[Row], provenance: dict[str, str]) -> Path:
        """Write rows as one fragment.

        Parameters
        ----------
        rows
            At least one, no vector with NaN or infinity.
        provenance
            Runtime, versions and device: they may have changed low bits.
        """
        embeddings = np.stack([row.embedding for row in rows]).astype(np.float32)  # (rows, d)
        if embeddings.shape[1] != self.spec.dim:
            raise CacheError(
                f"vectors of {embeddings.shape[1]} dimensions do not fit a spec of {self.spec.dim}."
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

    def adopt(self, older: Store, content_ids: pa.Array) -> int:
        """Take over rows of another spec that this spec gives too; return their number.

        The canary comes with them, so that later rows are compared with the machine that computed
        these. Nothing is taken over where this spec has a canary of its own.

        Parameters
        ----------
        older
            The store of the other spec; it stays as it is.
        content_ids
            (n,) fixed-size binary(32): images that have the same vector under both specs.
        """
        canary, own = older.folder / CANARY, self.folder / CANARY
        if not canary.exists():
            return 0
        known = canary.read_bytes()
        if not own.exists():
            write_atomically(own, known, overwrite=False)
        if own.read_bytes() != known:
            return 0
        adopted = 0
        for path in fragment_paths(older.folder / "fragments"):
            table = read_checked(path, older.spec.to_json())
            provenance = json.loads((table.schema.metadata or {})[b"provenance"])
            rows = table.filter(pc.is_in(table["content_id"], value_set=content_ids))
            if len(rows):
                write_fragment(self.folder / "fragments", rows, self._metadata(provenance))
                adopted += len(rows)
        return adopted

    def vectors(self) -> Iterator[tuple[pa.Array, np.ndarray]]:
        """Yield each fragment's content ids and vectors (rows, d), every bit checked.

        One fragment is in memory at a time.
        """
        for path in fragment_paths(self.folder / "fragments"):
            yield self._read(path)

    def vectors_for(
        self, content_ids: pa.Array
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield positions in `content_ids` and their vectors, reading only fragments that matter.

        Parameters
        ----------
        content_ids
            (n,) fixed-size binary(32); positions without a vector are never yielded.

        Notes
        -----
        32 bytes for each row of the store and 12 for each of the n, and one fragment.
        """
        paths, spec = fragment_paths(self.folder / "fragments"), self.spec.to_json()
        ids = [read_content_ids(path, spec) for path in paths]
        starts = np.cumsum([0, *(len(column) for column in ids)])  # of each fragment's rows
        chunks = [chunk for column in ids for chunk in column.chunks]
        every = _combined(pa.chunked_array(chunks, CONTENT_ID))
        places = pc.fill_null(pc.index_in(content_ids, value_set=every), -1)
        place = places.to_numpy(zero_copy_only=False).astype(np.int64)  # (n,), -1 if missing
        order = np.argsort(place, kind="stable")
        bounds = np.searchsorted(place[order], starts)
        for number, path in enumerate(paths):
            positions = order[bounds[number] : bounds[number + 1]]
            if len(positions):
                _, vectors = self._read(path)
                yield positions, vectors[place[positions] - starts[number]]

    def _read(self, path: Path) -> tuple[pa.Array, np.ndarray]:
        table = read_checked(path, self.spec.to_json())
        return table["content_id"].combine_chunks(), vectors_of(table)

    def add_failures(self, failures: Sequence[Failure], provenance: dict[str, str]) -> Path:
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

    def failures(self) -> dict[bytes, Failure]:
        """Return by content the images that failed and have no vector since."""
        found: dict[bytes, Failure] = {}
        for path in fragment_paths(self.folder / "failures"):
            for row in read_checked(path, self.spec.to_json()).to_pylist():
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
        """Return a boolean mask over `content_ids`: true where there is no vector."""
        present = pc.is_in(content_ids, value_set=_combined(self.content_ids()))
        mask: np.ndarray = ~present.to_numpy(zero_copy_only=False)
        return mask

    def check_canary(self, encode: Callable[[], np.ndarray], provenance: dict[str, str]) -> None:
        """Compare this machine's vectors of the canary with those of the run that made the spec.

        Parameters
        ----------
        encode
            Gives the canary's vectors, (c, d), as this machine computes them.
        provenance
            Of this machine, written down when it is the first.

        Raises
        ------
        DriftError
            If they are further apart than `TOLERANCE`: nothing may then be added.
        """
        vectors = encode()
        path = self.folder / CANARY
        content = {"provenance": provenance, "vectors": vectors.astype(float).tolist()}
        try:
            if not path.exists():
                write_atomically(path, _sealed(content), overwrite=False)
            known = unsealed(path.read_bytes())
        except OSError as error:
            raise unwritable(
                f"cannot write to the cache at {self.folder}: {error.strerror or error}.", error
            ) from error
        if known is None:
            raise DamagedFileError(f"{path} is damaged. {FIX}")
        expected = np.array(known["vectors"], np.float64)  # (c, d)
        if expected.shape != vectors.shape:
            raise DriftError(
                f"the canary in {self.folder} has {len(expected)} images, this version's has "
                f"{len(vectors)}: it was made by another version of embedpipe. Nothing was added; "
                f"use that version or another --workspace, or delete {path} to trust this one."
            )
        drift = relative_distance(vectors, expected)
        if not drift <= TOLERANCE[self.spec.precision]:
            raise DriftError(
                f"this machine's vectors differ by {drift:.2g} of their length from those in "
                f"{self.folder} (at most {TOLERANCE[self.spec.precision]:g} is allowed): made with "
                f"{known['provenance']}, now {provenance}. Nothing was added; use the former "
                "--runtime and versions, --precision fp32, or another --workspace."
            )

    def _metadata(self, provenance: dict[str, str]) -> dict[str, str]:
        return {
            "format": FORMAT,
            "spec": self.spec.to_json(),
            "provenance": json.dumps(provenance, sort_keys=True),
        }


def _sealed(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, sort_keys=True)
    return json.dumps({"sha256": _digest(text), "content": content}, sort_keys=True).encode()


def unsealed(data: bytes) -> dict[str, Any] | None:
    """Return the content of a sealed JSON file, None if it is damaged."""
    try:
        outer = json.loads(data)
        content: dict[str, Any] = outer["content"]
        whole = outer["sha256"] == _digest(json.dumps(content, sort_keys=True))
    except (ValueError, KeyError, TypeError):
        return None
    return content if whole and data == _sealed(content) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def relative_distance(vectors: np.ndarray, expected: np.ndarray) -> float:
    """Return the mean distance between two rows, relative to the length of the second."""
    lengths = np.maximum(np.linalg.norm(expected, axis=1), 1e-12)
    return float((np.linalg.norm(vectors - expected, axis=1) / lengths).mean())


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
