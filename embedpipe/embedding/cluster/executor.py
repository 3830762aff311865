"""The executor that scans and fills on a Ray cluster."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..._options import EmbedOptions
from ..._ray import explained_errors, joined_cluster, task_here
from ...backbones import Backbone, Preprocess
from ...cache import Store
from ...datasets import Source
from ...errors import UsageError
from ..filling import FillResult
from ..scan import Progress
from .nodes import NodeCheck
from .pool import ShardPool
from .slots import slots_for
from .worker import Job, sorted_ids

__all__ = ["RayExecutor", "open_pool"]


class RayExecutor:
    """Scans and fills a store with workers on a Ray cluster, which is joined at first use."""

    def __init__(
        self,
        options: EmbedOptions,
        backbone: Backbone,
        preprocess: Preprocess,
        source: Source,
        progress: Progress | None,
    ) -> None:
        self._options, self._progress = options, progress
        self._backbone, self._preprocess, self._source = backbone, preprocess, source
        self._context = contextlib.ExitStack()
        self._workers = contextlib.ExitStack()
        self._ray: Any = None
        self._pool: tuple[Store | None, ShardPool] | None = None
        self.filled = FillResult(0, {}, 0.0)
        """The result of embedding so far."""

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *error: object) -> None:
        with self._context:
            self._workers.close()

    def digests(
        self, ids: Sequence[str], store: Store | None, runtime: str
    ) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the digest of each image, or the error of reading it.

        With a store, each image is embedded in the same pass, unless its digest is in the store.
        """
        for result in self._results(dict.fromkeys(ids), store, runtime):
            self.filled = self.filled.plus(replace(result, digests={}))
            yield from result.digests.items()

    def fill(self, store: Store, wanted: Mapping[str, bytes], runtime: str) -> FillResult:
        """Embed images and add them to the store."""
        total = FillResult(0, {}, 0.0)
        for result in self._results(wanted, store, runtime):
            total = total.plus(result)
        return total

    def _results(
        self, wanted: Mapping[str, bytes | None], store: Store | None, runtime: str
    ) -> Iterator[FillResult]:
        """Yield the results of the shards. Their seconds add up to the time of work."""
        if not wanted:
            return
        if self._ray is None:
            self._ray = self._context.enter_context(joined_cluster(self._options.address))
        stage, done, since = "scan" if store is None else "embed", 0, time.monotonic()
        with explained_errors(self._ray):
            pool = self._opened(store, runtime, next(iter(wanted)))
            for count, result in pool.run(iter(wanted.items()), len(wanted)):
                since = max(since, pool.ready_at)
                seconds, since = time.monotonic() - since, time.monotonic()
                done += count
                if self._progress is not None:
                    self._progress(stage, done, len(wanted))
                yield replace(result, seconds=seconds)

    def _opened(self, store: Store | None, runtime: str, item_id: str) -> ShardPool:
        """Return the pool of workers for a store; another pool is closed."""
        if self._pool is not None and self._pool[0] is store:
            return self._pool[1]
        self._workers.close()
        job = Job(self._source, store, self._backbone, self._preprocess, runtime)
        pool = open_pool(self._ray, self._options, job, item_id, self._workers)
        self._pool = store, pool
        return pool


def open_pool(
    ray: Any, options: EmbedOptions, job: Job, item_id: str, context: contextlib.ExitStack
) -> ShardPool:
    """Start workers, which end with `context`; each first reads the image `item_id`."""
    store = job.store
    if store is not None and str(store.folder).startswith(("memory://", "local://")):
        raise UsageError(
            "Ray workers cannot share a workspace at memory:// or local://: give a folder, or an "
            "address such as s3://bucket/workspace."
        )
    folder = store.folder if store is not None and isinstance(store.folder, Path) else None
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    slots = slots_for(options, nodes)
    check = NodeCheck(folder, job.source, item_id)
    context.callback(check.close)
    known = None
    if store is not None:
        known = task_here(ray, sorted_ids).remote(store, options.retry_failed)
    pool = ShardPool(ray, job, slots, check, known)
    context.callback(pool.close)
    return pool
