"""Targets: unlabelled items from where a classifier will be used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..embedding import Embeddings
from ..errors import SelectionError, UsageError
from ..index import ShardedMatrix
from ..index.vectors import take_plain
from ..strategies import Random, Strategy

__all__ = ["ARRAYS", "Target", "check_loop_target"]

ARRAYS = "arrays"
"""Name of a target without a dataset."""


@dataclass(frozen=True)
class Target:
    """Unlabelled items from where a classifier will be used.

    Attributes
    ----------
    vectors
        (t, d) float32 vectors.
    name
        Name of the split or the dataset of the items; ``"arrays"`` for vectors without a dataset.
    digest
        SHA-256 of the items in hexadecimal.
    content_ids
        SHA-256 of each image; None for vectors without a dataset.
    """

    vectors: NDArray[np.float32] = field(repr=False, compare=False)
    name: str
    digest: str
    content_ids: tuple[bytes, ...] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, given: Any, embeddings: Embeddings | ArrayLike) -> Target:
        """Return a target for the items of `embeddings`.

        Parameters
        ----------
        given
            Embeddings of another dataset, (t, d) vectors, a `ShardedMatrix`, or the name of a split
            of the same dataset. A `Target` is returned unchanged.
        embeddings
            The embeddings of the pool, or their array.

        Raises
        ------
        UsageError
            If the dataset has no such split, or the embedding specs differ.
        SelectionError
            If the target has no items.
        """
        if isinstance(given, Target):
            return given
        if isinstance(given, str):
            return cls._of_split(given, embeddings)
        if isinstance(given, Embeddings):
            if isinstance(embeddings, Embeddings) and given.spec.id != embeddings.spec.id:
                raise UsageError(
                    f"the target {given.dataset.name!r} has the embedding spec "
                    f"{given.spec.id[:12]}, but the pool has {embeddings.spec.id[:12]}: embed both "
                    "with the same backbone and precision."
                )
            return cls._of_items(given, np.arange(len(given)), given.dataset.name)
        if isinstance(given, ShardedMatrix):
            given = given[:]  # a target is in memory
        vectors = np.ascontiguousarray(given, dtype=np.float32)
        return cls(vectors, ARRAYS, hashlib.sha256(vectors.data).hexdigest())

    @classmethod
    def _of_split(cls, split: str, embeddings: Embeddings | ArrayLike) -> Target:
        if not isinstance(embeddings, Embeddings):
            raise UsageError(
                f"target is {split!r}: a split needs the embeddings of a dataset. Give vectors."
            )
        rows = embeddings.rows(split)
        if not rows.size:
            raise UsageError(
                f"{embeddings.dataset.name!r} has no images in a split {split!r}: "
                f"{splits_of(embeddings)}."
            )
        return cls._of_items(embeddings, rows, split)

    @classmethod
    def _of_items(cls, embeddings: Embeddings, rows: NDArray[np.int64], name: str) -> Target:
        content_ids = tuple(embeddings.content_ids[row] for row in rows)
        if not content_ids:
            raise SelectionError(f"the target {name!r} has no readable images.")
        digest = hashlib.sha256(b"".join(content_ids)).hexdigest()
        return cls(take_plain(embeddings.matrix, rows), name, digest, content_ids)

    def __len__(self) -> int:
        return len(self.vectors)

    def count_of(self, content_ids: Iterable[bytes]) -> int:
        """Return the number of items of the target among some images."""
        some = set(content_ids)
        return sum(each in some for each in self.content_ids or ())


def check_loop_target(*chosen: Strategy) -> None:
    """Raise `SelectionError` if a strategy of a loop does not use a target, except `Random`."""
    for each in chosen:
        if not isinstance(each, Random):
            each.check_target()


def splits_of(embeddings: Embeddings) -> str:
    """Return a clause with the splits of a dataset."""
    names = sorted({item.split for item in embeddings.items if item.split})
    return f"its splits are {', '.join(names)}" if names else "it has no splits"
