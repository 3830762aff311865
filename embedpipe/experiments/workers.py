"""Tasks in worker processes, their progress updates and their results."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Generic, Protocol, TypeVar

from joblib.externals.loky import Future, ProcessPoolExecutor
from joblib.externals.loky.backend import get_context
from joblib.externals.loky.backend.reduction import dumps

from .._registry import (
    add_script_entries,
    import_extensions,
    imported_extensions,
    script_entries,
)
from .._threads import available_cpus
from ..errors import EmbedpipeError, RunError, UsageError

__all__ = [
    "EVENTS",
    "THREADS",
    "Done",
    "Event",
    "Failed",
    "MakePool",
    "ProgressUpdate",
    "Work",
    "WorkerPool",
    "can_be_sent",
    "cannot_be_sent",
    "run_tasks",
    "steps_of",
    "worker_count",
]

T = TypeVar("T")

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Environment variables for the number of threads of linear algebra libraries."""

Work = Callable[[Any, Any], Generator[Any, None, Any]]
"""Function of shared data and one task; it yields messages of under 512 pickled bytes and returns a
result."""


@dataclass(frozen=True)
class ProgressUpdate(Generic[T]):
    """A message of a running task."""

    task: T
    message: Any


@dataclass(frozen=True)
class Done(Generic[T]):
    """The result of a finished task."""

    task: T
    result: Any


@dataclass(frozen=True)
class Failed(Generic[T]):
    """The error of a failed task on one line, and its traceback if there is one."""

    task: T
    error: str
    trace: str = ""


Event = ProgressUpdate[T] | Done[T] | Failed[T]


def run_tasks(
    tasks: Iterable[T],
    work: Work,
    workers: int,
    shared: Any = None,
    prepare: Callable[[T], Any] = lambda task: task,
    make_pool: MakePool | None = None,
) -> Iterator[Event[T]]:
    """Run tasks in worker processes (with ``workers=0`` in this process) and yield their events."""
    # An error or a killed worker fails one task; the other tasks continue. Workers end with this
    # process, or when this generator is closed. `prepare` makes the argument of `work`. The workers
    # are those of `make_pool`, or else processes of this machine.
    if not workers:
        for task in tasks:
            for kind, *values in steps_of(work, shared, prepare(task)):
                yield EVENTS[kind](task, *values)
        return
    waiting = deque(tasks)
    pool = (make_pool or WorkerPool)(work, workers, shared)
    try:
        while waiting or pool.busy:
            while waiting and pool.idle:
                task = waiting.popleft()
                failed = pool.submit(task, prepare(task))
                if failed is not None:
                    yield failed
            if pool.busy:
                yield from pool.poll()
    finally:
        pool.shutdown()


class Pool(Protocol):
    """Workers that run one task at a time each."""

    idle: list[int]
    """Numbers of the workers without a task."""
    busy: dict[int, Any]
    """The task of each busy worker."""

    def submit(self, task: Any, prepared: Any) -> Failed[Any] | None:
        """Send a task to an idle worker; return the failure if it cannot be sent."""

    def poll(self) -> Iterator[Event[Any]]:
        """Wait for a message and yield its event, if any."""

    def shutdown(self) -> None:
        """End all workers, including busy workers."""


MakePool = Callable[[Work, int, Any], Pool]
"""Function of the work, the number of workers and the shared data."""


class WorkerPool:
    """Worker processes, each with its own `loky` executor: a killed worker fails only its task."""

    def __init__(self, work: Work, count: int, shared: Any) -> None:
        self._work = work
        self._extensions = imported_extensions()
        entries = [entry for entry in script_entries() if can_be_sent(entry, dumps)]
        self._shared = bytes(dumps((shared, entries)))
        context = get_context("loky")
        # All workers write to one pipe. Short messages are written as a whole, so they do not mix.
        self._messages, self._writer = context.Pipe(duplex=False)
        self._lifeline, self._lifeline_end = context.Pipe(duplex=False)
        self._executors: dict[int, ProcessPoolExecutor] = {}
        self._futures: dict[int, Future[tuple[Any, ...]]] = {}
        self._started: set[int] = set()
        self.idle = list(range(count))
        self.busy: dict[int, Any] = {}
        """The task of each busy worker."""

    def submit(self, task: Any, prepared: Any) -> Failed[Any] | None:
        """Send a task to an idle worker; return the failure if it cannot be sent."""
        try:
            packed = bytes(dumps((self._work, prepared)))
        except Exception as error:  # noqa: BLE001  pickling raises anything
            return Failed(task, cannot_be_sent(error), traceback.format_exc())
        number = self.idle.pop()
        if number not in self._executors:
            self._executors[number] = ProcessPoolExecutor(
                max_workers=1,
                env=dict.fromkeys(THREADS, "1"),
                initializer=_start_worker,
                initargs=(number, self._writer, self._lifeline, self._extensions, self._shared),
            )
        self.busy[number] = task
        with _interrupts_blocked():  # the new process inherits the block
            future = self._executors[number].submit(_run_task, number, packed)
        self._futures[number] = future
        future.add_done_callback(lambda _: self._report_end(number))
        return None

    def poll(self) -> Iterator[Event[Any]]:
        """Wait for a message and yield its event, if any."""
        number, kind, *message = self._messages.recv()
        if kind == "started":
            self._started.add(number)
        elif kind == "update":
            yield ProgressUpdate(self.busy[number], *message)
        else:
            task, future = self.busy.pop(number), self._futures.pop(number)
            self.idle.append(number)
            error = future.exception()
            if error is None:
                outcome, *values = future.result()
                yield EVENTS[outcome](task, *values)
            else:
                yield self._lost(number, task, error)

    def shutdown(self) -> None:
        """End all workers, including busy workers."""
        was_busy = bool(self.busy)
        self._messages.close()
        if was_busy:
            self._lifeline_end.close()  # ends the busy workers
        for executor in self._executors.values():
            executor.shutdown(kill_workers=was_busy)
        for pipe in (self._writer, self._lifeline, self._lifeline_end):
            pipe.close()

    def _lost(self, number: int, task: Any, error: BaseException) -> Failed[Any]:
        """Return the failure of a dead worker's task; a new worker takes the next task."""
        self._executors.pop(number).shutdown()
        if number not in self._started:
            raise RunError(f"a worker process ended while it was starting ({_how(error)}).")
        self._started.remove(number)
        return Failed(
            task,
            f"its worker process ended ({_how(error)}). If memory ran out, use fewer workers.",
        )

    def _report_end(self, number: int) -> None:
        with contextlib.suppress(OSError):  # raised after shutdown
            self._writer.send((number, "ended"))


def _how(error: BaseException) -> str:
    """Return the signal or exit status of a worker process, from the error of `loky`."""
    signalled = re.search(r"\{.*?(SIG\w+)\(", str(error))
    status = re.search(r"\{.*?EXIT\((\d+)\)", str(error))
    if signalled:
        return f"killed by {signalled[1]}"
    return f"exit status {status[1]}" if status else type(error).__name__


EVENTS: dict[str, type[Any]] = {"update": ProgressUpdate, "done": Done, "failed": Failed}


def steps_of(work: Work, shared: Any, task: Any) -> Iterator[tuple[Any, ...]]:
    """Run a task and yield its updates and its end, as arguments of the events."""
    running = work(shared, task)
    while True:
        try:
            yield "update", next(running)
        except StopIteration as end:
            yield "done", end.value
            return
        except EmbedpipeError as error:
            yield "failed", str(error), traceback.format_exc()
            return
        # Any error fails this task only.
        except Exception as error:  # noqa: BLE001
            yield "failed", f"{type(error).__name__}: {error}", traceback.format_exc()
            return


def can_be_sent(entry: Any, dumps: Callable[[Any], object]) -> bool:
    """Return whether an object can be pickled by a function."""
    try:
        dumps(entry)
    except Exception:  # noqa: BLE001  pickling raises anything
        return False
    return True


def cannot_be_sent(error: Exception) -> str:
    """Return the failure of a task that cannot be pickled or unpickled."""
    return (
        f"it cannot be sent to a worker process ({type(error).__name__}: {error}): use workers=0."
    )


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C in workers that start now, because this process ends the workers."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def worker_count(wanted: int | None) -> int:
    """Return the number of workers: by default one for each processor that this process can use."""
    if wanted is None:
        return available_cpus()
    if wanted < 0:
        raise UsageError(f"workers is {wanted}: give 0 (no worker process) or more.")
    return wanted


# In the worker

_process: dict[str, Any] = {}
"""State of a worker: the pipe for messages, extensions to import, and shared data."""


def _start_worker(
    number: int, writer: Connection, lifeline: Connection, extensions: list[str], shared: bytes
) -> None:
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    _process.update(writer=writer, extensions=extensions, shared=shared)
    writer.send((number, "started"))


def _end_with_parent(lifeline: Connection) -> None:
    """End this process when the other end of the lifeline is closed."""
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(1)


def _run_task(number: int, packed: bytes) -> tuple[Any, ...]:
    """Run a task, send its updates and return its end."""
    try:
        import_extensions(_process["extensions"])
        work, task = pickle.loads(packed)
        if isinstance(_process["shared"], bytes):
            _process["shared"], entries = pickle.loads(_process["shared"])
            add_script_entries(entries)
    except Exception as error:  # noqa: BLE001  unpickling raises anything
        return "failed", cannot_be_sent(error), traceback.format_exc()
    for step in steps_of(work, _process["shared"], task):
        if step[0] != "update":
            return step
        _process["writer"].send((number, *step))
    raise AssertionError("a task ends with its result or its failure")
