"""The result of embedding a dataset: vectors aligned with items."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..cache import Failure, Spec
from ..datasets import Dataset, Item

__all__ = ["EmbedReport", "Embeddings", "Remark"]


class Remark(NamedTuple):
    """A file, and something about it that changed its pixels or its name.

    Attributes
    ----------
    path
        The id of the item, or the path of the archive.
    remark
        A clause about the file.
    """

    path: str
    remark: str


@dataclass(frozen=True)
class EmbedReport:
    """Counts, seconds and remarks of one call of `embed`.

    Attributes
    ----------
    dataset
        Its name.
    spec_id
        Identity of what determined the vectors.
    items
        How many the dataset has: ``embedded + reused + failed - vanished``.
    embedded
        Images that were encoded now.
    reused
        Items whose vector was there, or came with a duplicate of theirs.
    failed
        Items without a vector, and those that vanished.
    dim
        Length of a vector.
    seconds
        Of the whole call.
    images_per_second
        Of decoding and encoding; None if nothing was embedded.
    remarks
        What to know about files: names that were changed, and of the images that were embedded
        now those whose range was guessed or whose metadata are damaged.
    vanished
        Files that were items at the last scan and are gone, neither moved nor renamed. They are
        told once.
    notes
        Sentences on what was decided: a precision or runtime that the cache gave, a scan that a
        read-only workspace could not remember.
    """

    dataset: str
    spec_id: str
    items: int
    embedded: int
    reused: int
    failed: int
    dim: int
    seconds: float
    images_per_second: float | None
    remarks: tuple[Remark, ...] = ()
    vanished: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Embeddings:
    """A matrix of vectors, row i for item i; it can be used wherever an array can.

    Attributes
    ----------
    matrix
        Shape (n, d), float32, memory-mapped, read-only.
    items
        The n items that have a vector, in the dataset's order. Items that failed are not among
        them, and shift nothing: rows and items are always aligned.
    dataset
        Where they came from, with the failed items.
    spec
        The spec of the vectors.
    content_ids
        SHA-256 of each item's bytes.
    failures
        The items that have no vector, and why.
    folder, digest
        Where the matrix is kept, and the SHA-256 of its file in hex: what is derived from it can
        be kept beside it.
    report
        Counts and seconds of the call.
    vanished
        Files that were items at the last scan and are gone.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.load_dataset("digits").subset("test")
    >>> embeddings = ep.embed(digits, backbone="toy", workspace=tmp)
    >>> embeddings
    Embeddings(397 x 48 of 'digits-test', 0 failed)
    >>> embeddings.rows("test").shape
    (397,)
    """

    matrix: np.ndarray
    items: tuple[Item, ...]
    dataset: Dataset
    spec: Spec
    content_ids: tuple[bytes, ...]
    failures: tuple[Failure, ...]
    folder: Path
    digest: str
    report: EmbedReport = field(compare=False)
    vanished: tuple[Failure, ...] = field(default=(), compare=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if dtype is not None and np.dtype(dtype) != self.matrix.dtype:
            return self.matrix.astype(dtype)
        return self.matrix.copy() if copy else self.matrix

    def __len__(self) -> int:
        return len(self.matrix)

    def __repr__(self) -> str:
        n, d = self.shape
        return f"Embeddings({n} x {d} of {self.dataset.name!r}, {len(self.failures)} failed)"

    @property
    def shape(self) -> tuple[int, int]:
        """Number of items and of dimensions."""
        return self.matrix.shape[0], self.matrix.shape[1]

    def for_seed(self, seed: int) -> Embeddings:
        """Return the same vectors with the splits of a run's seed; see `Dataset.for_seed`."""
        dataset = self.dataset.for_seed(seed)
        if dataset is self.dataset:
            return self
        items = {item.id: item for item in dataset.items}
        return replace(self, dataset=dataset, items=tuple(items[each.id] for each in self.items))

    def rows(self, split: str | None) -> np.ndarray:
        """Return the rows of the items of one split, ascending: shape (k,), int64."""
        found = [row for row, item in enumerate(self.items) if item.split == split]
        return np.array(found, dtype=np.int64)
