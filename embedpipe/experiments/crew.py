"""Worker processes that do one task each at a time, and whose end is noticed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any, Generic, TypeVar

from ..errors import EmbedpipeError, RunError, UsageError

__all__ = ["Done", "Failed", "Told", "Work", "do_all", "worker_count"]

T = TypeVar("T")

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""What linear algebra libraries read, when they are loaded, to know how many threads to use."""

GRACE = 5.0
"""Seconds that a worker has to end once it is told to."""

GUARD = (
    "start it under `if __name__ == '__main__':`, because worker processes import the script that "
    "starts them; or ask for workers=0"
)

Work = Callable[[Any, Any], Generator[Any, None, Any]]
"""Called with what all tasks share and with one task; yields messages and returns a result."""


@dataclass(frozen=True)
class Told(Generic[T]):
    """Something that a task says on its way."""

    task: T
    message: Any


@dataclass(frozen=True)
class Done(Generic[T]):
    """A task is finished, and what it gave."""

    task: T
    result: Any


@dataclass(frozen=True)
class Failed(Generic[T]):
    """A task is given up: why, in one line, and where, if it is known."""

    task: T
    error: str
    trace: str = ""


Event = Told[T] | Done[T] | Failed[T]


def do_all(
    tasks: Iterable[T],
    work: Work,
    workers: int,
    shared: Any = None,
    prepare: Callable[[T], Any] = lambda task: task,
) -> Iterator[Event[T]]:
    """Let worker processes do tasks, and yield what becomes of each.

    A task that raises is given up, and the others go on. A worker that is killed costs the task
    that it was at; another takes its place. Workers use one thread each for linear algebra, and
    end when this process ends, however it ends, or when this generator is closed.

    Parameters
    ----------
    tasks
        What is to be done, in order.
    work
        A generator function of a module, called as ``work(shared, prepared)``; what it yields
        comes out as `Told`, what it returns as `Done`.
    workers
        How many processes; 0 does everything in this one.
    shared
        What every task needs; it is sent to each worker once.
    prepare
        What of a task a worker is given; called when its turn comes.

    Raises
    ------
    RunError
        If worker processes cannot be started.

    Examples
    --------
    >>> def count(step, most):
    ...     for number in range(0, most, step):
    ...         yield number
    ...     return "done"
    >>> for event in do_all([5], count, workers=0, shared=3):
    ...     print(event)
    Told(task=5, message=0)
    Told(task=5, message=3)
    Done(task=5, result='done')
    """
    if not workers:
        for task in tasks:
            for answer in _answers(work, shared, prepare(task)):
                yield _event(task, answer)
        return
    waiting = deque(tasks)
    crew = _Crew(work, shared)
    try:
        while waiting or crew.busy:
            while waiting and len(crew.busy) < workers:
                task = waiting.popleft()
                problem = crew.give(task, prepare(task))
                if problem is not None:
                    yield problem
            if crew.busy:
                yield from crew.listen()
    finally:
        crew.dismiss()


class _Worker:
    """One process, and the pipe to it."""

    def __init__(self, work: Work, shared: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work, shared), daemon=True)
        with _surroundings():
            self.process.start()
        theirs.close()
        self.ready = False
        self.task: Any = None

    def end(self) -> None:
        self.pipe.close()
        if self.process.is_alive():
            self.process.terminate()


class _Crew:
    def __init__(self, work: Work, shared: Any) -> None:
        _check_not_a_worker()
        self._work, self._shared = work, shared
        self._idle: list[_Worker] = []
        self.busy: list[_Worker] = []

    def give(self, task: Any, prepared: Any) -> Failed[Any] | None:
        """Hand a task out, or return why it cannot be."""
        try:
            packed = ForkingPickler.dumps(prepared)
        except Exception as error:  # noqa: BLE001  pickling raises whatever it likes
            return Failed(task, _unpicklable(error), traceback.format_exc())
        worker = self._idle.pop() if self._idle else _Worker(self._work, self._shared)
        worker.task = task
        self.busy.append(worker)
        # A worker that is gone by now is found out by `listen`.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            worker.pipe.send_bytes(packed)
        return None

    def listen(self) -> Iterator[Event[Any]]:
        """Wait until a worker says something or is gone, and yield what it said."""
        by_pipe = {worker.pipe: worker for worker in self.busy}
        for pipe in wait(list(by_pipe)):
            assert isinstance(pipe, Connection)
            worker = by_pipe[pipe]
            try:
                answer = pipe.recv()
            except (EOFError, OSError):
                yield self._lost(worker)
                continue
            if answer[0] == "ready":
                worker.ready = True
            else:
                if answer[0] != "told":
                    self.busy.remove(worker)
                    self._idle.append(worker)
                yield _event(worker.task, answer)

    def _lost(self, worker: _Worker) -> Failed[Any]:
        self.busy.remove(worker)
        worker.process.join(GRACE)
        code = worker.process.exitcode
        worker.end()
        if not worker.ready:
            raise RunError(
                f"a worker process ended while it was starting ({_how(code)}). If a script runs "
                f"this, {GUARD}."
            )
        return Failed(
            worker.task,
            f"its worker process is gone ({_how(code)}): if memory ran out, use fewer workers.",
        )

    def dismiss(self) -> None:
        everyone = [*self._idle, *self.busy]
        for worker in everyone:
            worker.end()
        for worker in everyone:
            worker.process.join(GRACE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.process.close()
        self._idle, self.busy = [], []


def _how(code: int | None) -> str:
    """Return how a process ended.

    >>> _how(-9), _how(1)
    ('killed by SIGKILL', 'exit status 1')
    """
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit status {code}"


_EVENTS: dict[str, type[Any]] = {"told": Told, "done": Done, "failed": Failed}


def _event(task: T, answer: tuple[Any, ...]) -> Event[T]:
    event: Event[T] = _EVENTS[answer[0]](task, *answer[1:])
    return event


def _answers(work: Work, shared: Any, task: Any) -> Iterator[tuple[Any, ...]]:
    """Do a task, and yield what it tells and how it ends."""
    doing = work(shared, task)
    while True:
        try:
            yield "told", next(doing)
        except StopIteration as end:
            yield "done", end.value
            return
        except EmbedpipeError as error:
            yield "failed", str(error), traceback.format_exc()
            return
        # Whatever it is, it is that task's: the others go on.
        except Exception as error:  # noqa: BLE001
            yield "failed", f"{type(error).__name__}: {error}", traceback.format_exc()
            return


def _check_not_a_worker() -> None:
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RunError(f"this script starts worker processes when it is imported: {GUARD}.")


@contextlib.contextmanager
def _surroundings() -> Iterator[None]:
    """Give a process that is started one thread, and let an interruption pass by it.

    Both are inherited from this process, for as long as it takes to start another.
    """
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    masked = hasattr(signal, "pthread_sigmask")
    if masked:
        was = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if masked:
            signal.pthread_sigmask(signal.SIG_SETMASK, was)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# In the worker


def _serve(pipe: Connection, work: Work, shared: Any) -> None:
    """Do what comes through the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and ends this
    _end_with_parent()
    with contextlib.suppress(EOFError, OSError):  # nobody is there any more
        pipe.send(("ready",))
        while True:
            packed = pipe.recv_bytes()
            try:
                task = pickle.loads(packed)
            except Exception as error:  # noqa: BLE001  unpickling raises whatever it likes
                pipe.send(("failed", _unpicklable(error), traceback.format_exc()))
                continue
            for answer in _answers(work, shared, task):
                pipe.send(answer)


def _unpicklable(error: Exception) -> str:
    return (
        f"it cannot be sent to a worker process ({type(error).__name__}: {error}): define "
        "strategies and heads of your own in a module, or ask for workers=0."
    )


def _end_with_parent() -> None:
    """End this process as soon as the one that started it is gone, whatever it is at."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def worker_count(wanted: int | None) -> int:
    """Return how many workers are wanted: by default one for each processor there is for us.

    Raises
    ------
    UsageError
        If it is below 0.
    """
    if wanted is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if wanted < 0:
        raise UsageError(f"workers is {wanted}: ask for 0 (no further process) or more.")
    return wanted
