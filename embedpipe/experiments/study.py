"""The base class of studies: runs unfinished cells in workers, reports progress and failures."""

from __future__ import annotations

import contextlib
import hashlib
import json
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import pyarrow as pa

from .._files import read_parquet, write_parquet
from .._options import check_executor
from .._ray import explained_errors, joined_cluster
from .._text import in_words
from .._workspace import Workspace
from ..errors import RunError, UsageError
from .cells import Cell
from .ray_workers import RayWorkerPool, cluster_cpus
from .workers import (
    Done,
    Failed,
    MakePool,
    ProgressUpdate,
    Work,
    WorkerPool,
    run_tasks,
    worker_count,
)

__all__ = [
    "Clock",
    "Extent",
    "Failure",
    "OnProgress",
    "OnRun",
    "Progress",
    "Study",
    "Task",
    "write_tables",
]


NOT_STORED = (
    "its worker process stored the run under another name: define its strategy or head in a module "
    "and import this module, or use workers=0."
)
"""Error of a run for which the worker process computed another run id."""


@dataclass(frozen=True)
class Progress:
    """The progress of a study: how many of its runs and rounds are finished.

    Runs and rounds that were finished before count as finished. `seconds_left` is an estimate from
    the mean time of a round of each strategy; None before the first new round is finished.

    Examples
    --------
    >>> print(Progress(2, 12, 30, 180, 0, 95.0))
    2 of 12 runs, 30 of 180 rounds, about 2 minutes left
    """

    cells: int
    of_cells: int
    rounds: int
    of_rounds: int
    failed: int
    seconds_left: float | None

    def __str__(self) -> str:
        parts = [
            f"{self.cells:,} of {self.of_cells:,} runs",
            f"{self.rounds:,} of {self.of_rounds:,} rounds",
        ]
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        if self.rounds < self.of_rounds and self.seconds_left is not None:
            parts.append(f"about {in_words(self.seconds_left)} left")
        return ", ".join(parts)


class Clock:
    """Counts rounds and estimates the time left.

    `cells` has the number of finished rounds and the number of all rounds, by cell.
    """

    def __init__(self, cells: Mapping[Any, tuple[int, int]], workers: int) -> None:
        self._left = {cell: total - done for cell, (done, total) in cells.items()}
        self._of_rounds = sum(total for _, total in cells.values())
        self._workers = max(workers, 1)
        self._failed: set[Cell[Any]] = set()
        self._seconds: dict[Hashable, list[float]] = defaultdict(list)

    def count(self, cell: Cell[Any], seconds: float) -> None:
        """Count a finished round of a cell, with its duration."""
        self._left[cell] = max(self._left[cell] - 1, 0)
        self._seconds[cell.kind].append(seconds)

    def finish(self, cell: Cell[Any]) -> None:
        """Mark a cell as finished, even with fewer rounds than planned."""
        self._left[cell] = 0

    def fail(self, cell: Cell[Any]) -> None:
        """Mark a cell as failed."""
        self._failed.add(cell)
        self._left[cell] = 0

    def progress(self) -> Progress:
        """Return the current progress."""
        left = sum(self._left.values())
        waiting = sum(1 for count in self._left.values() if count)
        return Progress(
            cells=len(self._left) - waiting - len(self._failed),
            of_cells=len(self._left),
            rounds=self._of_rounds - left,
            of_rounds=self._of_rounds,
            failed=len(self._failed),
            seconds_left=self._seconds_left(),
        )

    def _seconds_left(self) -> float | None:
        means = {kind: sum(times) / len(times) for kind, times in self._seconds.items()}
        if not means:
            return None
        mean = sum(means.values()) / len(means)
        work = sum(count * means.get(cell.kind, mean) for cell, count in self._left.items())
        parallel = min(self._workers, sum(1 for count in self._left.values() if count))
        return work / max(parallel, 1)


OnProgress = Callable[[Progress], None]
OnRun = Callable[[Path], None]


class StudyResults(Protocol):
    """The results of a kind of study."""

    def write(self) -> None:
        """Write the tables to their folder."""


R = TypeVar("R", bound=StudyResults)


@dataclass(frozen=True)
class Failure:
    """A failed task: its name, the error on one line, and the traceback if there is one."""

    what: str
    error: str
    trace: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.what}: {self.error}"


@dataclass(frozen=True)
class Extent:
    """The stored and the total number of rounds or experiences of a run."""

    done: int
    of: int

    @property
    def is_whole(self) -> bool:
        """Whether the run is finished."""
        return self.done >= self.of


@dataclass(frozen=True)
class Task:
    """A task for a worker."""

    name: str
    """Name in messages about its failure."""
    prepare: Callable[[], Any]
    """Function that makes the worker's argument, right before the task starts."""
    cell: Cell[Any] | None = None
    """The cell of the run; None for measurements that are not part of a run."""


class Study(ABC, Generic[R]):
    """A grid of runs. Each run is done once and stored in the workspace, for all studies.

    A subclass defines its cells, the work of its workers and its results. Workers yield
    ``(number of the round or experience, seconds)``.
    """

    name: str | None
    pool_share: float
    workspace: str | Path | Workspace | None

    # Methods that a subclass defines

    @abstractmethod
    def cells(self) -> list[Cell[Any]]:
        """Return all cells, in the order of the results."""

    @abstractmethod
    def _extent(self, cell: Cell[Any]) -> Extent:
        """Return the stored and the total number of rounds or experiences of a cell's run."""

    @abstractmethod
    def _tasks(self, left: Sequence[Cell[Any]]) -> list[Task]:
        """Return the tasks of unfinished cells, in order."""

    @abstractmethod
    def _gather(self, done: list[Cell[Any]], failures: tuple[Failure, ...]) -> R:
        """Return the results of finished cells."""

    @property
    @abstractmethod
    def _work(self) -> Work:
        """The function that a worker calls with `_shared` and a prepared task."""

    @property
    def _shared(self) -> Any:
        """Data for all tasks; each worker receives it once."""
        return None

    @property
    @abstractmethod
    def _data_names(self) -> list[str]:
        """Names of the datasets or streams."""

    @property
    def _last_round(self) -> int | None:
        """The number of the last round; None if the study cannot add rounds to stored runs."""
        return None

    # Methods of all studies

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return self._workspace.root / "experiments" / (self.name or self._id)

    def results(self) -> R:
        """Return the results of the finished cells; no cell is run."""
        return self._gathered(())

    def _run(
        self,
        workers: int | None,
        progress: OnProgress | None,
        on_run: OnRun | None,
        on_update: Callable[[Cell[Any], int], None] = lambda cell, number: None,
        executor: str = "local",
        address: str | None = None,
    ) -> R:
        """Run unfinished cells; call `on_update` for each new round or experience."""
        with self._workers(workers, executor, address) as (count, make_pool):
            return self._run_on(count, make_pool, progress, on_run, on_update)

    @contextlib.contextmanager
    def _workers(
        self, workers: int | None, executor: str, address: str | None
    ) -> Iterator[tuple[int, MakePool]]:
        """Yield the number of workers, and the function that starts them."""
        check_executor(executor)
        if executor == "local":
            yield worker_count(workers), WorkerPool
            return
        if workers == 0:
            raise UsageError("workers is 0: the executor ray needs at least 1 worker.")
        with joined_cluster(address) as ray, explained_errors(ray):
            yield workers or cluster_cpus(ray), partial(RayWorkerPool, ray, self._workspace.root)

    def _run_on(
        self,
        count: int,
        make_pool: MakePool,
        progress: OnProgress | None,
        on_run: OnRun | None,
        on_update: Callable[[Cell[Any], int], None],
    ) -> R:
        runs = list({cell.run_id: cell for cell in self.cells()}.values())
        if self.name is not None:
            _check_owner(
                self.folder, {cell.run_id for cell in runs}, self._last_round, self.pool_share
            )
        extents = {cell: self._extent(cell) for cell in runs}
        tasks = self._tasks([cell for cell in runs if not extents[cell].is_whole])
        clock = Clock({cell: (each.done, each.of) for cell, each in extents.items()}, count)

        def report() -> None:
            if progress is not None:
                progress(clock.progress())

        def finished(cell: Cell[Any]) -> None:
            if on_run is not None:
                on_run(self._workspace.runs / cell.run_id)

        report()
        for cell in runs:
            if extents[cell].is_whole:
                finished(cell)
        failures: list[Failure] = []
        for event in run_tasks(
            tasks,
            self._work,
            min(count, len(tasks)),
            self._shared,
            lambda task: task.prepare(),
            make_pool,
        ):
            task = event.task
            if isinstance(event, Failed):
                failures.append(Failure(task.name, event.error, event.trace))
            if task.cell is None:
                continue
            if isinstance(event, ProgressUpdate):
                number, seconds = event.message
                clock.count(task.cell, seconds)
                on_update(task.cell, number)
            elif isinstance(event, Done) and self._extent(task.cell).is_whole:
                clock.finish(task.cell)
                finished(task.cell)
            else:
                if isinstance(event, Done):
                    failures.append(Failure(task.name, NOT_STORED))
                clock.fail(task.cell)
            report()
        results = self._gathered(tuple(failures))
        results.write()
        return results

    def _gathered(self, failures: tuple[Failure, ...]) -> R:
        cells = self.cells()
        done = [cell for cell in cells if self._extent(cell).is_whole]
        if failures and not done:
            raise RunError(f"all {len(cells)} runs failed. First error: {failures[0]}")
        return self._gather(done, failures)

    @cached_property
    def _workspace(self) -> Workspace:
        return Workspace(self.workspace)

    @cached_property
    def _id(self) -> str:
        runs: list[Any] = [cell.run_id for cell in self.cells()]
        if self._last_round is not None:
            runs = [runs, self._last_round]
        digest = hashlib.sha256(json.dumps(runs).encode()).hexdigest()[:10]
        return "-".join([*dict.fromkeys(self._data_names), digest])


def _check_owner(folder: Path, runs: Collection[str], last: int | None, pool_share: float) -> None:
    """Raise an error if new results would remove runs or rounds from the results of a folder."""
    path = folder / "results.parquet"
    if not path.exists():
        return
    advice = "choose another name, or delete the folder"
    try:
        table = read_parquet(path)
        stored = set(table.column("run_id").to_pylist())
        rounds = table.column("round").to_pylist() if last is not None else []
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(
            f"{path} does not hold the results of an experiment ({reason}): {advice}."
        ) from error
    others = sorted(stored - set(runs))
    if others:
        why, way_out = "", advice
        share = _pool_share(table)
        if share != pool_share:
            why = (
                f". Their pools have {100 * share:g} % of the training images, and the pools of "
                f"this grid {100 * pool_share:g} %"
            )
            way_out = f"{advice}, or use --pool-share {share:g}"
        raise RunError(
            f"the experiment {folder.name!r} holds {len(others)} runs that are not in this grid, "
            f"such as {others[0]}{why}: {way_out}."
        )
    if last is not None and max(rounds, default=0) > last:
        raise RunError(
            f"the experiment {folder.name!r} has {max(rounds)} rounds, more than the {last} of "
            f"this grid: {advice}."
        )


def _pool_share(table: pa.Table) -> float:
    """Return the pool share of stored results; results without this column have whole pools."""
    if "pool_share" not in table.schema.names or not table.num_rows:
        return 1.0
    return float(table.column("pool_share")[0].as_py())


def write_tables(folder: Path | None, tables: Mapping[str, pa.Table]) -> None:
    """Write tables to ``<name>.parquet`` in a folder, each whole or not at all."""
    if folder is None:
        return
    try:
        for name, table in tables.items():
            write_parquet(folder / f"{name}.parquet", table, compression="zstd")
    except OSError as error:
        raise RunError(
            f"cannot write the results to {folder}: {error.strerror or error}. The runs are "
            "stored: free space or allow writing, then run the same command again."
        ) from error
