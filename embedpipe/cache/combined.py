"""Combined specs: the vectors of several stores, joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .._workspace import Workspace
from .store import CONTENT_ID, Failure, Spec, Store

__all__ = ["AnyStore", "CombinedStore", "joined", "open_store"]


class CombinedStore:
    """The joined vectors of a combined spec, read from the stores of its parts.

    Only the spec itself is stored. An image has a vector if each part has one.
    """

    def __init__(self, workspace: Workspace, spec: Spec) -> None:
        self.spec = spec
        self.parts = tuple(Store(workspace, part) for part in spec.parts)
        self.n_blocks = len(self.parts)
        self._own = Store(workspace, spec)
        self.folder = self._own.folder

    def create(self) -> None:
        """Write the file of the spec, if it is missing."""
        self._own.create()

    def content_ids(self) -> pa.ChunkedArray:
        """Return the content ids of the images with a vector, as fixed-size binary(32)."""
        first, *others = (pc.unique(part.content_ids()) for part in self.parts)
        for other in others:
            first = first.filter(pc.is_in(first, value_set=other))
        return pa.chunked_array([first], CONTENT_ID)

    def missing(self, content_ids: pa.Array) -> NDArray[np.bool_]:
        """Return a boolean mask over `content_ids`: true for images without a vector."""
        masks = [part.missing(content_ids) for part in self.parts]
        return np.asarray(np.logical_or.reduce(masks), bool)

    def failures(self) -> dict[bytes, Failure]:
        """Return the failures of images without a vector; of several parts, the first one's."""
        found: dict[bytes, Failure] = {}
        for part in reversed(self.parts):
            found |= part.failures()
        return found

    def sizes_for(self, content_ids: pa.Array) -> NDArray[np.int32]:
        """Return the (n, 2) width and height of images; 0 for an image without a vector."""
        return self.parts[0].sizes_for(content_ids)

    def blocks_for(
        self, content_ids: pa.Array
    ) -> Iterator[tuple[slice, NDArray[np.int64], NDArray[np.float32]]]:
        """Yield columns of a matrix, positions in `content_ids`, and scaled vectors of a part."""
        start = 0
        for part in self.parts:
            columns = slice(start, start + part.spec.dim)
            for positions, vectors in part.vectors_for(content_ids):
                yield columns, positions, _unit(vectors)
            start = columns.stop


AnyStore: TypeAlias = Store | CombinedStore


def open_store(workspace: Workspace, spec: Spec) -> AnyStore:
    """Return the store of a spec, for reading."""
    return CombinedStore(workspace, spec) if spec.parts else Store(workspace, spec)


def joined(blocks: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the rows of several parts as rows of their combination, float32.

    Parameters
    ----------
    blocks
        For each part k, its vectors of shape (n, d_k).

    Returns
    -------
    ndarray of float32, shape (n, sum of d_k)
        Each part is scaled to length 1; a vector of zeros is unchanged.
    """
    return np.concatenate([_unit(block) for block in blocks], axis=1)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows scaled to length 1; a row depends on its own values only."""
    wide = vectors.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    lengths[lengths == 0] = 1
    return np.asarray(wide / lengths[:, None], dtype=np.float32)
