"""Workers on a Ray cluster, with the interface of `WorkerPool`."""

from __future__ import annotations

import contextlib
import pickle
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .._files import temporary_path, write_atomically
from .._ray import first_line, node_name
from .._registry import (
    add_script_entries,
    import_extensions,
    imported_extensions,
    script_entries,
)
from ..errors import RunError
from .workers import EVENTS, THREADS, Event, Failed, Work, can_be_sent, cannot_be_sent, steps_of

__all__ = ["RayWorkerPool", "cluster_cpus"]

MAX_LOSSES = 2
"""Number of workers that may end with the same task; a task continues where it was stored."""


class CellWorker:
    """An actor that runs one task after the other, with the shared data of all tasks."""

    def __init__(self, extensions: Sequence[str], shared: bytes, token: Path) -> None:
        self._extensions, self._packed, self._token = extensions, shared, token
        self._shared: Any = None

    def run(self, packed: bytes) -> Iterator[tuple[Any, ...]]:
        """Yield the updates and the end of a task, as arguments of the events."""
        if not self._token.exists():
            raise RunError(
                f"the Ray node {node_name()} has no workspace at {self._token.parent}: give a "
                "--workspace with the same path on every node, such as on a shared file system."
            )
        try:
            import_extensions(self._extensions)
            work, task = pickle.loads(packed)
            if self._packed:
                self._shared, entries = pickle.loads(self._packed)
                add_script_entries(entries)
                self._packed = b""
        except Exception as error:  # noqa: BLE001  unpickling raises anything
            yield "failed", cannot_be_sent(error), traceback.format_exc()
            return
        yield from steps_of(work, self._shared, task)


class RayWorkerPool:
    """Actors of one processor and one thread each; a lost worker's task is done again.

    All nodes must have the workspace at the same path.
    """

    def __init__(self, ray: Any, workspace: Path, work: Work, count: int, shared: Any) -> None:
        self._ray, self._work = ray, work
        self._token = temporary_path(workspace / "seen-by-workers")
        dumps = ray.cloudpickle.dumps
        entries = [entry for entry in script_entries() if can_be_sent(entry, dumps)]
        self._arguments = imported_extensions(), ray.put(dumps((shared, entries))), self._token
        self._actor = ray.remote(
            num_cpus=1,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": dict.fromkeys(THREADS, "1")},
        )(CellWorker)
        self._actors: dict[int, Any] = {}
        self._running: dict[Any, tuple[int, bytes]] = {}
        self._losses: dict[int, int] = {}
        self.idle = list(range(count))
        self.busy: dict[int, Any] = {}
        """The task of each busy worker."""
        write_atomically(self._token, b"")

    def submit(self, task: Any, prepared: Any) -> Failed[Any] | None:
        """Send a task to an idle worker; return the failure if it cannot be sent."""
        try:
            packed = self._ray.cloudpickle.dumps((self._work, prepared))
        except Exception as error:  # noqa: BLE001  pickling raises anything
            return Failed(task, cannot_be_sent(error), traceback.format_exc())
        number = self.idle.pop()
        self.busy[number], self._losses[number] = task, 0
        self._run(number, packed)
        return None

    def poll(self) -> Iterator[Event[Any]]:
        """Wait for a message and yield its event, if any."""
        ray = self._ray
        (stream,), _ = ray.wait(list(self._running), num_returns=1, fetch_local=False)
        number, packed = self._running[stream]
        try:
            kind, *values = ray.get(next(stream))
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as error:
            yield from self._lost(stream, number, packed, error)
            return
        if kind != "update":
            del self._running[stream]
            self.idle.append(number)
        task = self.busy[number] if kind == "update" else self.busy.pop(number)
        yield EVENTS[kind](task, *values)

    def shutdown(self) -> None:
        """End all workers, including busy workers."""
        for actor in self._actors.values():
            with contextlib.suppress(Exception):  # the cluster may have ended
                self._ray.kill(actor)
        self._token.unlink(missing_ok=True)

    def _run(self, number: int, packed: bytes) -> None:
        if number not in self._actors:
            self._actors[number] = self._actor.remote(*self._arguments)
        run = self._actors[number].run.options(num_returns="streaming")
        self._running[run.remote(packed)] = number, packed

    def _lost(
        self, stream: Any, number: int, packed: bytes, error: Exception
    ) -> Iterator[Event[Any]]:
        """Give the task of a lost worker to a new worker; fail it if it ends workers."""
        del self._running[stream]
        with contextlib.suppress(Exception):  # the actor may have ended
            self._ray.kill(self._actors[number])
        del self._actors[number]
        self._losses[number] += 1
        if self._losses[number] < MAX_LOSSES:
            self._run(number, packed)
            return
        self.idle.append(number)
        yield Failed(
            self.busy.pop(number),
            f"its worker process ended ({first_line(error)}). If memory ran out, use nodes with "
            "more memory.",
        )


def cluster_cpus(ray: Any) -> int:
    """Return the number of processors of the nodes of a cluster, at least 1."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return max(1, sum(int(node.get("CPU", 0)) for node in nodes))
