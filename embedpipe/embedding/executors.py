"""Where the work of embedding is done: in this process, or on a Ray cluster.

Because the store only grows and any number of processes may add to it, distributing the work is
giving each worker a share of the missing images; nothing has to be gathered.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..backbones import Backbone, Preprocess
from ..cache import Store
from ..datasets import Source
from ..errors import UsageError
from .pipeline import FRAGMENT_ROWS, Filled, fill
from .scan import Progress

__all__ = ["EXECUTORS", "fill_with_ray"]

EXECUTORS = ("local", "ray")


def fill_with_ray(
    store: Store,
    backbone: Backbone,
    preprocess: Preprocess,
    source: Source,
    wanted: Mapping[str, bytes],
    *,
    runtime: str = "auto",
    progress: Progress | None = None,
) -> Filled:
    """Do what `fill` does, on the Ray cluster that is running or else on this machine's cores.

    The workspace and the images must be at the same path on every machine. Killed, it leaves every
    finished fragment; run again, it does what is missing.

    Raises
    ------
    UsageError
        If Ray is not installed.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise UsageError("Ray is not installed: `pip install 'embedpipe[ray]'`.") from None
    ids = list(wanted)
    shares = [ids[start : start + FRAGMENT_ROWS] for start in range(0, len(ids), FRAGMENT_ROWS)]
    with _cluster(ray):
        task = ray.remote(max_retries=3)(_fill_share)
        pending = {
            task.remote(
                store, backbone, preprocess, source, {i: wanted[i] for i in share}, runtime
            ): len(share)
            for share in shares
        }
        parts: list[Filled] = []
        done = 0
        while pending:
            (finished,), _ = ray.wait(list(pending), num_returns=1)
            parts.append(ray.get(finished))
            done += pending.pop(finished)
            if progress is not None:
                progress("embed", done, len(wanted))
    failures = {item_id: each for part in parts for item_id, each in part.failures.items()}
    return Filled(
        sum(part.embedded for part in parts),
        failures,
        max(part.seconds for part in parts),
        tuple(sorted(remark for part in parts for remark in part.remarks)),
    )


def _fill_share(
    store: Store,
    backbone: Backbone,
    preprocess: Preprocess,
    source: Source,
    wanted: Mapping[str, bytes],
    runtime: str,
) -> Filled:
    return fill(store, backbone, preprocess, source, wanted, runtime=runtime)


@contextlib.contextmanager
def _cluster(ray: Any) -> Iterator[None]:
    """Join the cluster, or start one here for as long as it takes, without usage statistics."""
    if ray.is_initialized():
        yield
        return
    before = os.environ.get("RAY_USAGE_STATS_ENABLED")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        ray.init(
            address=os.environ.get("RAY_ADDRESS"), include_dashboard=False, log_to_driver=False
        )
        yield
    finally:
        ray.shutdown()
        if before is None:
            del os.environ["RAY_USAGE_STATS_ENABLED"]
        else:
            os.environ["RAY_USAGE_STATS_ENABLED"] = before
