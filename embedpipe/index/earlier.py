"""The stored index of the matrix from which a matrix has grown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .duplicates import row_hashes
from .neighbours import Neighbours
from .stored_arrays import META, ArrayStore, StoredArrays
from .vectors import Vectors

if TYPE_CHECKING:
    from ..cache import Earlier

__all__ = ["EarlierIndex", "Growth", "find_earlier_index"]

MOST = 0.25
"""Maximum new vectors, as a share of the old vectors; an index with more is built anew."""


@dataclass(frozen=True)
class EarlierIndex:
    """The stored results of an index of an earlier matrix.

    Some of its candidates may be missing from the new index. Row numbers are those of the new
    matrix.
    """

    store: ArrayStore
    candidates: NDArray[np.int64]  # (m,)
    rows: NDArray[np.int64]  # (p,), of the unique vectors
    hashes: NDArray[np.uint64]  # (m,)

    def all_hashes(
        self, vectors: Vectors, candidates: NDArray[np.int64]
    ) -> NDArray[np.uint64] | None:
        """Return the hashes of the new candidates, or None if an old candidate is not among them.

        Only the vectors of other rows are read.
        """
        places = candidates.searchsorted(self.candidates)
        if candidates.size < self.candidates.size or places[-1] == candidates.size:
            return None
        if not np.array_equal(candidates[places], self.candidates):
            return None
        hashes = np.empty(candidates.size, dtype=np.uint64)
        hashes[places] = self.hashes
        rest = np.ones(candidates.size, dtype=np.bool_)
        rest[places] = False
        hashes[rest] = row_hashes(vectors, candidates[rest])
        return hashes


@dataclass(frozen=True)
class Growth:
    """How the positions of an earlier index have changed.

    A vector is kept if its place among the kept ones is the same. A vector whose lowest row has
    changed counts as lost and as new.

    Attributes
    ----------
    kept
        (p,) bool, whether an old unique vector is kept.
    places
        (o,) int64 ascending, the new positions of the kept vectors.
    new
        (q,) int64 ascending, all other positions.
    """

    earlier: EarlierIndex
    kept: NDArray[np.bool_]
    places: NDArray[np.int64]
    new: NDArray[np.int64]

    @classmethod
    def of(cls, earlier: EarlierIndex, found: NDArray[np.int64], points: int) -> Growth | None:
        """Return the growth to a number of `points`, from the new position of each old vector.

        A lost vector has position -1. None: an index must be built anew.
        """
        highest = np.maximum.accumulate(np.append(-1, found[:-1]))  # of the vectors before
        kept = found > highest
        rest = np.ones(points, dtype=np.bool_)
        rest[found[kept]] = False
        new = np.flatnonzero(rest)
        if max(int(new.size), int(np.count_nonzero(~kept))) > MOST * found.size:
            return None
        return cls(earlier, kept, found[kept], new)

    def load(self, name: str) -> StoredArrays | None:
        """Return files of the earlier index, or None."""
        return self.earlier.store.load(name)

    def moved(self, near: Neighbours, points: int) -> tuple[Neighbours, NDArray[np.int64]]:
        """Return old neighbours at their new positions, and the positions that need a new search.

        These are the new vectors and those with a lost neighbour; their rows are not filled in.
        """
        position = np.full(self.kept.size, -1, dtype=np.int32)  # (p,)
        position[self.kept] = self.places
        k = near.positions.shape[1]
        positions = np.full((points, k), -1, np.int32)
        distances = np.zeros((points, k), np.float32)
        positions[self.places] = position[near.positions[self.kept]]
        distances[self.places] = near.distances[self.kept]
        return Neighbours(positions, distances), np.flatnonzero((positions < 0).any(axis=1))


def find_earlier_index(earlier: Earlier, kind: str, metric: str) -> EarlierIndex | None:
    """Return the earlier index of a kind and metric with the most candidates, or None."""
    found: list[EarlierIndex] = []
    for folder in sorted((earlier.folder / "index").glob(f"{kind}-{metric}-*")):
        try:
            meta = json.loads((folder / META).read_bytes())
            identity = {name: meta[name] for name in ("matrix", "candidates", "kind", "metric")}
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if identity["matrix"] != earlier.digest:
            continue
        store = ArrayStore(folder, identity)
        part = store.load("points")
        if part is None or not part.array("rows").size:
            continue
        candidates = (
            earlier.rows[part.array("candidates")]
            if "candidates.npy" in part.arrays
            else earlier.rows[: part.array("copy_of").size]
        )
        rows = earlier.rows[part.array("rows")]
        found.append(EarlierIndex(store, candidates, rows, part.array("hashes")))
    return max(found, key=lambda each: each.candidates.size, default=None)
