"""The driver's side: a pool of actors that work on shards, and shards that end their workers."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..._ray import first_line
from ..._registry import imported_extensions
from ..._versions import versions
from ...cache import Failure
from ...errors import RunError
from ..filling import FRAGMENT_ROWS, FillResult
from .nodes import NodeCheck
from .slots import Slots
from .worker import Job, ShardWorker

__all__ = ["Shard", "ShardPool"]

SHARD_SECONDS = 20.0
"""Seconds of work in a shard, from the measured speed of a worker."""

SMALLEST = 64
"""Minimum images of a shard, if there are as many; larger shards have a multiple of it."""

MAX_STARTS = 3
"""Number of workers that may end in a row before they have loaded the backbone.

This number for each worker may end in a row between two shards.
"""

START_SECONDS = 600.0
"""Seconds for a first worker to be ready, from the begin of a run and from the latest start."""

ENDED = "its worker process ended each time that it was {}"


@dataclass(frozen=True)
class Shard:
    """Images by item id with their digest, or None if it is unknown."""

    wanted: Mapping[str, bytes | None]
    losses: int = 0
    """Number of workers that ended with this shard, or with a larger one that contained it."""
    only_hash: bool = False

    def parts(self) -> list[Shard]:
        """Return what to do after the loss of a worker: the shard again, then its halves."""
        ids = list(self.wanted)
        losses = self.losses + 1
        if losses < 2 or len(ids) == 1:
            return [replace(self, losses=losses)]
        middle = len(ids) // 2
        halves = [{i: self.wanted[i] for i in part} for part in (ids[:middle], ids[middle:])]
        return [replace(self, wanted=half, losses=1) for half in halves]

    @property
    def is_given_up(self) -> bool:
        """Whether the only image of the shard has ended two workers."""
        return self.losses >= 2 and len(self.wanted) == 1


@dataclass
class _Worker:
    """An actor, and the shard that it works on."""

    actor: Any
    shard: Shard | None = None
    begun: Any = None
    """Reference to the reply of the actor before it begins the shard."""
    is_checked: bool = False


class ShardPool:
    """Workers that take one shard at a time; shards are made when a worker is free."""

    def __init__(self, ray: Any, job: Job, slots: Slots, check: NodeCheck, known: Any) -> None:
        packed = ray.put(ray.cloudpickle.dumps(job))
        self._ray, self._job, self._slots = ray, job, slots
        self._check, self._known = check, known
        # A lost worker is replaced by the pool, which knows its shard.
        self._actor = ray.remote(
            num_cpus=slots.cpus,
            num_gpus=slots.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )(ShardWorker)
        self._arguments = imported_extensions(), packed, int(slots.cpus)
        self._busy: dict[Any, _Worker] = {}
        self._idle: list[_Worker] = []
        self._again: deque[Shard] = deque()
        self._lost_starts = self._lost_idle = 0
        self._images_per_second = 0.0
        self.ready_at = 0.0
        """Time at which a first worker was ready; 0 before."""
        for _ in range(slots.workers):
            self._start()

    def run(
        self, wanted: Iterator[tuple[str, bytes | None]], total: int | None = None
    ) -> Iterator[tuple[int, FillResult]]:
        """Yield the number of images of each finished shard, and its result.

        `total` is the number of all images, if it is known.
        """
        begun = time.monotonic()
        shards = self._shards(wanted, total)
        while True:
            while self._idle and (shard := self._next(shards)) is not None:
                self._give(shard)
            if self._idle and not any(worker.shard for worker in self._busy.values()):
                return
            if (finished := self._poll(begun)) is not None:
                yield finished

    def _shards(
        self, wanted: Iterator[tuple[str, bytes | None]], left: int | None
    ) -> Iterator[Shard]:
        only_hash = self._job.store is None
        while part := dict(itertools.islice(wanted, self._shard_size(left))):
            left = None if left is None else left - len(part)
            yield Shard(part, only_hash=only_hash)

    def _next(self, shards: Iterator[Shard]) -> Shard | None:
        return self._again.popleft() if self._again else next(shards, None)

    def close(self) -> None:
        """End all workers."""
        for worker in (*self._busy.values(), *self._idle):
            with contextlib.suppress(Exception):  # the cluster may have ended
                self._ray.kill(worker.actor)
        self._busy.clear()
        self._idle.clear()

    def _start(self) -> None:
        self._started = time.monotonic()
        worker = _Worker(self._actor.remote(*self._arguments))
        self._busy[worker.actor.look.remote(*self._check.arguments)] = worker

    def _shard_size(self, left: int | None) -> int:
        """Return the images of the next shard; the first ones and the last ones are small."""
        size = min(FRAGMENT_ROWS, int(self._images_per_second * SHARD_SECONDS))
        if left is not None:
            size = min(size, left // self._slots.workers)
        return max(SMALLEST, size // SMALLEST * SMALLEST)

    def _give(self, shard: Shard) -> None:
        worker = self._idle.pop()
        # An actor works on its calls in order: without this reply, it ended before the shard.
        worker.shard, worker.begun = shard, worker.actor.begin.remote()
        if shard.only_hash:
            reference = worker.actor.hash.remote(list(shard.wanted))
        else:
            reference = worker.actor.embed.remote(dict(shard.wanted))
        self._busy[reference] = worker

    def _poll(self, begun: float) -> tuple[int, FillResult] | None:
        """Wait for a worker; return the result of its shard, if it has finished one."""
        ray = self._ray
        timeout = None
        if not self._idle and all(worker.shard is None for worker in self._busy.values()):
            timeout = max(0.0, max(begun, self._started) + START_SECONDS - time.monotonic())
        ready, _ = ray.wait(list(self._busy), num_returns=1, timeout=timeout)
        if not ready:
            raise RunError(
                f"no worker was ready within {START_SECONDS:.0f} s: each needs "
                f"{self._slots.cpus:g} CPUs and {self._slots.gpus:g} GPUs. Check `ray status`, "
                "then run the command again."
            )
        worker = self._busy.pop(ready[0])
        try:
            answer = ray.get(ready[0])
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as error:
            return self._replace(worker, error)
        if worker.shard is not None:
            return self._finish(worker, worker.shard, answer)
        if not worker.is_checked:
            self._check.verify(*answer)
            worker.is_checked = True
            if self._job.store is not None:
                self._busy[worker.actor.open.remote(self._known)] = worker
                return None
        self._lost_starts = 0
        self.ready_at = self.ready_at or time.monotonic()
        self._idle.append(worker)
        return None

    def _replace(self, worker: _Worker, error: Exception) -> tuple[int, FillResult] | None:
        """Start a worker instead of a lost one, whose shard is done again."""
        with contextlib.suppress(Exception):  # the actor may have ended
            self._ray.kill(worker.actor)
        if worker.shard is None:
            self._lost_starts += 1
            if self._lost_starts >= MAX_STARTS:
                raise _too_many(MAX_STARTS, "while they were starting", error)
        elif not self._has_begun(worker):
            self._lost_idle += 1
            if self._lost_idle >= MAX_STARTS * self._slots.workers:
                raise _too_many(self._lost_idle, "while they waited for images", error)
            self._again.append(worker.shard)
            worker.shard = None
        self._start()
        return None if worker.shard is None else self._split(worker.shard)

    def _has_begun(self, worker: _Worker) -> bool:
        """Return whether a lost worker had begun its shard."""
        try:
            self._ray.get(worker.begun)
        except self._ray.exceptions.RayError:
            return False
        return True

    def _split(self, shard: Shard) -> tuple[int, FillResult] | None:
        """Put a shard back, or its halves; return the failure of an image that ends workers."""
        for part in shard.parts():
            if not part.is_given_up:
                self._again.append(part)
                continue
            ((item_id, digest),) = part.wanted.items()
            if part.only_hash:
                return self._failure(part, OSError(ENDED.format("read")))
            if digest is not None:
                return self._failure(part, digest)
            self._again.append(Shard({item_id: None}, only_hash=True))
        return None

    def _finish(self, worker: _Worker, shard: Shard, result: FillResult) -> tuple[int, FillResult]:
        worker.shard, self._lost_idle = None, 0
        self._idle.append(worker)
        if shard.only_hash and self._job.store is not None:
            (digest,) = result.digests.values()
            return self._failure(shard, digest)
        if result.seconds > 0:
            self._images_per_second = len(shard.wanted) / result.seconds
        return len(shard.wanted), result

    def _failure(self, shard: Shard, digest: bytes | OSError) -> tuple[int, FillResult]:
        """Return the failure of the image of a shard; it is stored if its digest is known."""
        ((item_id, expected),) = shard.wanted.items()
        digests = {item_id: digest} if expected is None else {}
        if isinstance(digest, OSError) or self._job.store is None:
            return 1, FillResult(0, {}, 0.0, digests=digests)
        failure = Failure(item_id, digest, "decode", ENDED.format("decoded or encoded"))
        self._job.store.add_failures([failure], versions())
        return 1, FillResult(0, {item_id: failure}, 0.0, digests=digests)


def _too_many(count: int, when: str, error: Exception) -> RunError:
    """Return the error for workers that ended one after the other."""
    found = RunError(
        f"{count} Ray workers ended {when} ({first_line(error)}). If memory ran out, use fewer "
        "--workers."
    )
    found.__cause__ = error
    return found
