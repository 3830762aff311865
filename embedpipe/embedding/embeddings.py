"""The result of `embed`: vectors aligned with items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._html import result_html
from .._options import EmbedOptions
from ..cache import Failure, Spec
from ..datasets import Dataset, Item
from .profile import StageProfile

__all__ = ["EmbedReport", "Embeddings", "Remark"]


class Remark(NamedTuple):
    """A note for the user, as a clause in which "it" is the file or the archive at `path`."""

    path: str
    remark: str


@dataclass(frozen=True)
class EmbedReport:
    """Counts, seconds and remarks of one call of `embed`.

    Attributes
    ----------
    dataset
        Name of the dataset.
    spec_id
        Id of the embedding spec.
    items
        Number of items: ``embedded + reused + failed - vanished``.
    embedded
        Number of images encoded in this call.
    reused
        Number of items with a vector from the cache or from a duplicate.
    failed
        Number of items without a vector, including vanished items.
    dim
        Length of a vector.
    seconds
        Duration of the call.
    images_per_second
        Rate of decoding and encoding; None if no image was encoded.
    remarks
        Notes on changed names of archive members, and on images encoded in this call.
    vanished
        Number of items of the last scan whose file is missing. Each is reported once. Moved and
        renamed files do not count.
    notes
        Sentences on decisions, such as a precision taken from the cache.
    profile
        Busy seconds of each stage; None if no image was embedded, or if Ray was used.
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
    profile: StageProfile | None = None


@dataclass(frozen=True, repr=False)
class Embeddings:
    """A matrix of vectors, row i for item i; usable as an array.

    Attributes
    ----------
    matrix
        Shape (n, d) for n items and d dimensions, float32, memory-mapped, read-only.
    items
        The n items with a vector, in the dataset's order.
    dataset
        The dataset, including the items that failed.
    spec
        The spec of the vectors.
    content_ids
        SHA-256 of each item's bytes.
    failures
        A failure for each item without a vector.
    folder, digest
        Folder of the matrix, and the SHA-256 of its shape and its blocks of rows, in hexadecimal.
    report
        Counts and seconds of the call.
    vanished
        Items of the last scan whose file is missing.
    options
        The options of `embed`; None if the vectors were imported.

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
    options: EmbedOptions | None = field(default=None, compare=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if dtype is not None and np.dtype(dtype) != self.matrix.dtype:
            return self.matrix.astype(dtype)
        return self.matrix.copy() if copy else self.matrix

    def __len__(self) -> int:
        return len(self.matrix)

    def __repr__(self) -> str:
        n, d = self.shape
        return f"Embeddings({n} x {d} of {self.dataset.name!r}, {len(self.failures)} failed)"

    def _repr_html_(self) -> str:
        n, d = self.shape
        facts = [
            ("vectors", n),
            ("dimensions", d),
            ("backbone", self.spec.backbone["architecture"]),
            ("precision", self.spec.precision),
            ("failed images", len(self.failures)),
            ("spec", self.spec.id[:12]),
        ]
        return result_html(
            f"Embeddings of {self.dataset.name}", facts, more=self.dataset._repr_html_()
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Number of items and of dimensions."""
        return self.matrix.shape[0], self.matrix.shape[1]

    def for_seed(self, seed: int) -> Embeddings:
        """Return the same vectors with the splits for a seed; see `Dataset.for_seed`."""
        return self._of(self.dataset.for_seed(seed))

    def with_labels(self, labels: Mapping[str, str]) -> Embeddings:
        """Return the same vectors with these labels by item id; other items have no label."""
        return self._of(self.dataset.with_labels(labels))

    def _of(self, dataset: Dataset) -> Embeddings:
        """Return the same vectors with the items of a dataset that has the same ids."""
        if dataset is self.dataset:
            return self
        items = {item.id: item for item in dataset.items}
        return replace(self, dataset=dataset, items=tuple(items[each.id] for each in self.items))

    def rows(self, split: str | None) -> np.ndarray:
        """Return the row numbers of one split as int64, in ascending order."""
        found = [row for row, item in enumerate(self.items) if item.split == split]
        return np.array(found, dtype=np.int64)
