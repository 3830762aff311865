"""Workers on a Ray cluster that compute on parts of the rows of a matrix."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

from .._ray import explained_errors, joined_cluster
from .._registry import import_extensions, imported_extensions
from ..errors import RunError
from .part_workers import PartWorker, PartWorkers
from .sharded_matrix import ShardedMatrix

__all__ = ["RayWorkers", "with_ray_workers"]


START_SECONDS = 600.0
"""Seconds for all workers to be ready."""


class RayPartWorker(PartWorker):
    """An actor that computes on rows of a matrix."""

    def open(self, extensions: Sequence[str]) -> None:
        """Import the extensions, which heads and strategies may come from."""
        import_extensions(extensions)


class RayWorkers(PartWorkers):
    """One actor for each processor of the cluster that is not busy, at least one."""

    def __init__(self, ray: Any, matrix: ShardedMatrix) -> None:
        count = max(1, int(ray.available_resources().get("CPU", 1)))
        super().__init__(count, len(matrix))
        actor = ray.remote(num_cpus=1)(RayPartWorker)
        self._ray = ray
        self._actors = [actor.remote(matrix) for _ in range(count)]

    def open(self) -> None:
        """Wait until all workers are ready."""
        waiting = [actor.open.remote(imported_extensions()) for actor in self._actors]
        _, late = self._ray.wait(waiting, num_returns=len(waiting), timeout=START_SECONDS)
        if late:
            raise RunError(
                f"{len(late)} of {len(waiting)} workers were not ready within "
                f"{START_SECONDS:.0f} s: each needs 1 CPU. Check `ray status`, then run the "
                "command again."
            )
        self._ray.get(waiting)

    def send(self, workers: Sequence[int], messages: Sequence[bytes]) -> list[bytes]:
        """Send a message to each of the workers, and return their replies when all have replied."""
        pairs = zip(workers, messages, strict=True)
        waiting = [self._actors[worker].handle.remote(message) for worker, message in pairs]
        replies: list[bytes] = self._ray.get(waiting)
        return replies

    def dumps(self, call: Any) -> bytes:
        """Return the message of a call; it contains classes from a notebook or a script."""
        message: bytes = self._ray.cloudpickle.dumps(call)
        return message

    def close(self) -> None:
        """End the workers."""
        for actor in self._actors:
            self._ray.kill(actor)


@contextlib.contextmanager
def with_ray_workers(matrix: ShardedMatrix, address: str | None = None) -> Iterator[ShardedMatrix]:
    """Yield the matrix with workers on a cluster, which every worker reads from the same paths."""
    with joined_cluster(address) as ray, explained_errors(ray):
        workers = RayWorkers(ray, matrix)
        shared = copy.copy(matrix)
        shared.workers = workers
        try:
            workers.open()
            yield shared
        finally:
            workers.close()
