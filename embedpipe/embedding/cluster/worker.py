"""The actor that embeds shards."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..._ray import node_name
from ..._registry import import_extensions
from ..._threads import limit_cpus
from ...backbones import Backbone, Preprocess
from ...cache import Store
from ...datasets import Source
from ..encoding import Encoding
from ..filling import Filler, FillResult
from ..parts import Part
from .nodes import Seen

__all__ = ["Job", "ShardWorker", "sorted_ids"]


@dataclass(frozen=True)
class Job:
    """The common data of all shards; without a store, images are only hashed."""

    source: Source
    store: Store | None
    backbone: Backbone
    preprocess: Preprocess
    runtime: str


class ShardWorker:
    """An actor with one loaded backbone; a shard is a mapping as for `Filler.fill`."""

    def __init__(self, extensions: Sequence[str], packed: bytes, cpus: int) -> None:
        self._extensions, self._packed, self._cpus = extensions, packed, cpus
        self._known: NDArray[np.bytes_] = np.empty(0, "S32")
        self._job: Job
        self._filler: Filler

    def look(
        self, function: Callable[..., Seen], path: Path | None, item_id: str
    ) -> tuple[str, Seen]:
        """Return the name of this node, and the result of `look` on it."""
        limit_cpus(self._cpus)
        import_extensions(self._extensions)
        self._job = pickle.loads(self._packed)
        del self._packed
        return node_name(), function(self._job.source, path, item_id)

    def open(self, known: NDArray[np.bytes_]) -> None:
        """Load the backbone; `known` are the sorted digests of images that are not embedded."""
        job = self._job
        assert job.store is not None
        self._known = known
        part = Part(job.backbone, job.preprocess)
        self._filler = Filler([Encoding(part, job.store, job.runtime)])

    def begin(self) -> None:
        """Return: the worker is about to begin a shard."""

    def embed(self, wanted: Mapping[str, bytes | None]) -> FillResult:
        """Embed a shard, and add the vectors to the store."""
        (result,) = self._filler.fill(self._job.source, wanted, is_known=[self._is_known])
        return result

    def hash(self, ids: Sequence[str]) -> FillResult:
        """Return the digests of images."""
        started = time.monotonic()
        digests = dict(self._job.source.digests(list(ids)))
        return FillResult(0, {}, time.monotonic() - started, digests=digests)

    def _is_known(self, content_id: bytes) -> bool:
        # NumPy removes null bytes at the end of a single value, so slices are compared.
        place = int(np.searchsorted(self._known, np.bytes_(content_id)))
        return self._known[place : place + 1].tobytes() == content_id


def sorted_ids(store: Store, retry_failed: bool) -> NDArray[np.bytes_]:
    """Return the digests of images with a vector, and of failed images, sorted: 32 bytes each."""
    columns = [chunk for chunk in store.content_ids().chunks if len(chunk)]
    if not retry_failed and (failed := list(store.failures())):
        columns.append(pa.array(failed, pa.binary(32)))
    parts = [
        np.frombuffer(chunk.buffers()[1], "S32")[chunk.offset : chunk.offset + len(chunk)]
        for chunk in columns
    ]
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, "S32")
