"""Filling a store from a folder whose images are never in one list."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

from ..._options import EmbedOptions
from ..._ray import explained_errors, joined_cluster, task_here
from ..._versions import versions
from ...backbones import Backbone, Preprocess
from ...cache import Failure, Store
from ...datasets.source import read_failure
from ...datasets.streaming import stream_ids, streamed_source
from ...errors import DatasetError
from ..filling import FRAGMENT_ROWS, FillResult
from ..scan import Progress
from .executor import open_pool
from .worker import Job

__all__ = ["FillCounts", "fill_only"]

PAGES_AHEAD = 4
"""Maximum pages of ids that wait on the cluster."""


@dataclass
class FillCounts:
    """The number of images of a folder by what was done, and the seconds of embedding."""

    items: int = 0
    embedded: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Number of images without a vector."""
        return len(self.failures)

    @property
    def reused(self) -> int:
        """Number of images whose vector was in the cache, or that equal another image."""
        return self.items - self.embedded - self.failed


def fill_only(
    place: str,
    store: Store,
    backbone: Backbone,
    preprocess: Preprocess,
    options: EmbedOptions,
    runtime: str,
    progress: Progress | None = None,
) -> FillCounts:
    """Embed the images of a folder on a Ray cluster, which also lists them.

    This process holds the ids of the shards in work and the failures, not the ids of all images.
    """
    counts = FillCounts()
    job = Job(streamed_source(place), store, backbone, preprocess, runtime)
    with contextlib.ExitStack() as context:
        ray = context.enter_context(joined_cluster(options.address))
        context.enter_context(explained_errors(ray))
        ids = _listed(ray, place)
        first = next(ids, None)
        if first is None:
            raise DatasetError(f"{place!r} has no images.")
        pool = open_pool(ray, options, job, first, context)
        failed: dict[bytes, Failure] = {}
        if not options.retry_failed:
            failed = ray.get(task_here(ray, Store.failures).remote(store))
        for count, result in pool.run((item_id, None) for item_id in chain([first], ids)):
            _add(counts, count, result, store, failed)
            counts.seconds = time.monotonic() - pool.ready_at
            if progress is not None:
                progress("embed", counts.items, 0)
    counts.failures.sort(key=lambda failure: failure.path)  # shards end in any order
    return counts


def _add(
    counts: FillCounts,
    count: int,
    result: FillResult,
    store: Store,
    failed: dict[bytes, Failure],
) -> None:
    """Add the result of a shard; `failed` has the failures so far by content id."""
    failed.update(
        (each.content_id, each) for each in result.failures.values() if each.content_id is not None
    )
    unread = []
    for item_id, digest in result.digests.items():
        if isinstance(digest, OSError):
            unread.append(Failure(item_id, None, "read", read_failure(digest)))
        elif digest in failed:
            counts.failures.append(replace(failed[digest], path=item_id))
    if unread:
        store.add_failures(unread, versions())
        counts.failures += unread
    counts.items += count
    counts.embedded += result.embedded


def _listed(ray: Any, place: str) -> Iterator[str]:
    """Yield the ids that a worker lists, a page at a time."""
    task = task_here(ray, _pages, max_retries=3)
    pages = task.options(
        num_returns="streaming", _generator_backpressure_num_objects=PAGES_AHEAD
    ).remote(place)
    for page in pages:
        yield from ray.get(page)


def _pages(place: str) -> Iterator[list[str]]:
    ids = stream_ids(place)
    while page := list(islice(ids, FRAGMENT_ROWS)):
        yield page
