"""Experiments: grids of active-learning loops."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

from .._files import write_atomically
from .._loops.fitting import run_head
from .._loops.runs import identity_of
from .._workspace import Workspace
from ..active import ActiveLoop, LoopOptions, RoundRecord, RunFolder
from ..active.problem import Problem
from .cells import Cell, Setting
from .grid_file import Opener, read_grid
from .options import Choice, ExperimentOptions, initial_for, strategy_choice
from .problems import Source, Sources, publish, sources_of
from .results import Results, bounds_table, rounds_tables
from .run_files import mark_ended, stored_of
from .study import Extent, Failure, OnProgress, OnRun, Study, Task
from .workers import Work

__all__ = ["Experiment"]

OnRound = Callable[[Cell[Setting], RoundRecord], None]


@dataclass(frozen=True)
class Experiment(ExperimentOptions, Study[Results]):
    """A grid of loops: every strategy on every dataset, many times, and what can be said of it.

    Each cell of the grid is one run, kept in the workspace's ``runs/``. Cells run in parallel
    processes of one thread each. A cell that is finished is never run again, and one that was
    killed continues: adding a strategy or more seeds computes only what is new.

    Parameters
    ----------
    problems
        Embeddings of a labelled dataset, several of them (other datasets, other backbones), or a
        dictionary from a name, or from the names of dataset and backbone, to embeddings, to a
        `Problem`, or to a function that returns a `Problem` for a seed.
    strategies
        What chooses every batch but the first: names as `get_strategy` reads them, or instances.
    initials
        What chooses the first batch, likewise, and ``"same"``: the strategy itself where it needs
        no labels, otherwise ``typiclust``. It must need no labels.
    heads
        Names as `get_head` reads them, or scikit-learn classifiers.
    modes
        How heads are trained from round to round; see `LoopOptions`.
    seeds
        A number of seeds, from 0 on; or a list of them.
    initial_size, batch_size, rounds, skip, labelling, index
        As for `ActiveLoop`.
    baseline
        What the others are compared with; it is added where it is missing. A setting is compared
        with the baseline after the same initial selection if the grid has it, and otherwise with
        the baseline from its own start.
    upper_bound
        Whether to find the accuracy of each head with all labels, from which labels to target and
        the share of the gap closed follow. It costs one fit to the whole pool for each problem
        and head.
    workspace
        Where runs and results are kept; by default ``EMBEDPIPE_WORKSPACE`` or ``./.embedpipe``.
    name
        Of the folder of the results; by default the datasets' names and a digest of the grid. A
        name belongs to its runs: they may be added to, and results of other runs are not
        overwritten.

    Raises
    ------
    UsageError
        If something is not known by its name, or does not fit.

    Notes
    -----
    Choosing at random from the first label on is in every grid: it is the lower baseline.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp)
    >>> grid = Experiment(
    ...     digits, strategies=["margin"], seeds=2, initial_size=20, batch_size=20, rounds=2,
    ...     workspace=tmp,
    ... )
    >>> for cell in grid.cells():
    ...     print(cell)
    digits, toy: typiclust, then margin; logistic, cumulative; seed 0
    digits, toy: typiclust, then margin; logistic, cumulative; seed 1
    digits, toy: random; logistic, cumulative; seed 0
    digits, toy: random; logistic, cumulative; seed 1
    >>> results = grid.run(workers=0)
    >>> results.table.num_rows
    12
    """

    problems: Sources
    _: KW_ONLY
    workspace: str | Path | Workspace | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._sources, self._workspace  # which check what they are made from

    @classmethod
    def from_yaml(
        cls,
        path: str | Path,
        *,
        workspace: str | Path | Workspace | None = None,
        opener: Opener | None = None,
        **changes: Any,
    ) -> Self:
        """Return the grid that a file describes, with its datasets embedded.

        Parameters
        ----------
        path
            See `read_grid`, and ``docs/how-to/compare-strategies.md``.
        workspace
            Where the cache, the runs and the results are kept.
        opener
            Called with a `DatasetEntry` and a backbone for each, and returns embeddings; by
            default `load_dataset` and `embed` do it.
        **changes
            Options that take the place of the file's.

        Raises
        ------
        UsageError
            If the file cannot be read or something in it has no meaning.

        Examples
        --------
        >>> lines = ["dataset: digits", "backbone: toy", "strategies: [margin, coreset]"]
        >>> written = (tmp / "grid.yaml").write_text(chr(10).join(lines))
        >>> len(Experiment.from_yaml(tmp / "grid.yaml", workspace=tmp, seeds=2).cells())
        6
        """
        grid = read_grid(path)
        grid = replace(grid, experiment=replace(grid.experiment, **changes))
        options = vars(grid.experiment)
        cls.check(**options)
        problems = grid.problems(opener or grid.opener(Workspace(workspace)))
        return cls(problems, workspace=workspace, **options)

    @classmethod
    def check(cls, **options: Any) -> None:
        """Refuse options that have no meaning, before anything is embedded.

        Raises
        ------
        UsageError
            As the constructor does.
        """
        ExperimentOptions(**options)

    def cells(self) -> list[Cell[Setting]]:
        """Return the cells, by dataset, head, mode, strategies and seed."""
        return [entry.cell for entry in self._entries]

    def run(
        self,
        workers: int | None = None,
        progress: OnProgress | None = None,
        on_round: OnRound | None = None,
        on_run: OnRun | None = None,
    ) -> Results:
        """Do what is not done yet, and return the results.

        Killed at any time and run again, it continues: finished cells are only read.

        Parameters
        ----------
        workers
            Number of processes; by default that of the processors. 0 does everything in this
            process. The results are the same, to the last bit.
        progress
            Called whenever a round or a cell is done.
        on_round
            Called with the cell and the record of each round that is done now.
        on_run
            Called in this process with the folder of each run that is whole, one at a time, those
            that were whole before among them: ``on_run=tracker.log_run``.

        Returns
        -------
        Results
            Of all cells but those that failed, which are in its `failures`. They are also written
            to `folder`.

        Raises
        ------
        RunError
            If every cell failed, worker processes cannot be started, or the name belongs to
            other runs.
        """

        def on_update(cell: Cell[Setting], number: int) -> None:
            if on_round is not None:
                on_round(cell, RunFolder(self._workspace.runs / cell.run_id).read()[number])

        return self._run(workers, progress, on_run, on_update)

    # As the engine asks for it

    def _extent(self, cell: Cell[Setting]) -> Extent:
        stored = stored_of(self._workspace.runs / cell.run_id)
        done = min(stored.rounds, self.rounds + 1)
        return Extent(done, done if stored.ended else self.rounds + 1)

    def _tasks(self, left: Sequence[Cell[Setting]]) -> list[Task]:
        """Return the upper baselines that are missing, then the runs, by problem."""
        bounds: dict[Path, _UpperBound] = {}
        for bound in self._upper_bounds():
            bounds.setdefault(bound.path(self._workspace), bound)
        tasks = [
            Task(str(bound), bound.task(path, self._workspace))
            for path, bound in bounds.items()
            if not path.exists()
        ]
        entries = {entry.cell: entry for entry in self._entries}
        by_problem: dict[str, list[Task]] = {}
        for entry in map(entries.__getitem__, left):
            task = Task(str(entry.cell), self._cell_task(entry), entry.cell)
            by_problem.setdefault(entry.problem.digest, []).append(task)
        return [*tasks, *(task for group in by_problem.values() for task in group)]

    def _gather(self, done: list[Cell[Setting]], failures: tuple[Failure, ...]) -> Results:
        table, timings = rounds_tables(done, self._workspace.runs, self.rounds)
        found = [(each.names, each.path(self._workspace)) for each in self._upper_bounds()]
        baseline = strategy_choice(self.baseline)
        left_out = {}
        for source in self._sources:
            counts = [source.problem(seed).copies_left_out for seed in self._axes.seeds]
            left_out[source.dataset, source.backbone] = min(counts), max(counts)
        return Results(
            table=table,
            timings=timings,
            bounds=bounds_table(found),
            baseline=(initial_for(None, baseline).name, baseline.name),
            failures=failures,
            folder=self.folder,
            left_out=left_out,
        )

    @property
    def _work(self) -> Work:
        return work

    @property
    def _data_names(self) -> list[str]:
        return [source.dataset for source in self._sources]

    @property
    def _last_round(self) -> int:
        return self.rounds

    # The grid

    @cached_property
    def _sources(self) -> list[Source]:
        return sources_of(self.problems, self.index)

    @cached_property
    def _entries(self) -> list[_Entry]:
        """The cells by dataset, head, mode, strategies and seed, each with its loop's options."""
        found = []
        for source in self._sources:
            for head in self._axes.heads:
                for mode in self._axes.modes:
                    for first, then in self._axes.pairs:
                        names = (first.name, then.name, head.name, mode)
                        setting = Setting(source.dataset, source.backbone, *names)
                        for seed in self._axes.seeds:
                            options = LoopOptions(
                                strategy=then.made,
                                initial=first.made,
                                head=head.made,
                                mode=mode,
                                seed=seed,
                                initial_size=self.initial_size,
                                batch_size=self.batch_size,
                                skip=self.skip,
                                labelling=self.labelling,
                            )
                            found.append(_Entry.of(setting, source.problem(seed), options))
        return found

    def _upper_bounds(self) -> Iterator[_UpperBound]:
        """Yield the fits to all labels, by dataset, head and seed."""
        if self.upper_bound:
            for source in self._sources:
                for head in self._axes.heads:
                    for seed in self._axes.seeds:
                        yield _UpperBound(source, head, seed)

    def _cell_task(self, entry: _Entry) -> Callable[[], CellTask]:
        def prepare() -> CellTask:
            return CellTask(
                publish(entry.problem, self._workspace),
                entry.options,
                self.rounds,
                self._workspace.root,
                self._begun_like(entry),
            )

        return prepare

    def _begun_like(self, entry: _Entry) -> str | None:
        """Return the id of a run that has the initial selection of a cell, if there is one."""
        runs = (e.cell.run_id for e in self._entries if e.beginning == entry.beginning)
        begun = (run for run in runs if stored_of(self._workspace.runs / run).rounds)
        return next(begun, None)


@dataclass(frozen=True)
class _Entry:
    """A cell, and the loop that is its run."""

    cell: Cell[Setting]
    problem: Problem = field(repr=False)
    options: LoopOptions = field(repr=False)
    beginning: str = field(repr=False)
    """The same for loops whose initial selection is the same, and the head's fit to it."""

    @classmethod
    def of(cls, setting: Setting, problem: Problem, options: LoopOptions) -> _Entry:
        cell = Cell(setting, options.seed, options.run_id(problem.identity))
        config = {**options.config(problem.identity), "strategy": None, "batch_size": None}
        return cls(cell, problem, options, json.dumps(config, sort_keys=True))


@dataclass(frozen=True)
class _UpperBound:
    """The accuracy that a head reaches on a problem with all labels."""

    source: Source
    head: Choice
    seed: int

    def __str__(self) -> str:
        where = f"{self.source.dataset}, {self.source.backbone}"
        return f"{where}: {self.head.name} with all labels; seed {self.seed}"

    @property
    def names(self) -> tuple[str, str, str, int]:
        """Its dataset, backbone, head and seed."""
        return self.source.dataset, self.source.backbone, self.head.name, self.seed

    def path(self, workspace: Workspace) -> Path:
        """Return the file that holds it once it is found."""
        problem = self.source.problem(self.seed)
        head = run_head(self.head.made, self.seed)
        text = json.dumps([problem.digest, identity_of(head)], sort_keys=True)
        return workspace.root / "bounds" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def task(self, output: Path, workspace: Workspace) -> Callable[[], BoundTask]:
        """Return a function that makes what a worker needs to find it."""

        def prepare() -> BoundTask:
            folder = publish(self.source.problem(self.seed), workspace)
            return BoundTask(folder, self.head.made, self.seed, output)

        return prepare


# In the workers

OPEN = 2
"""Maximum open problems per process; tasks on the same problem come one after another."""


@dataclass(frozen=True)
class CellTask:
    """A run that is to be started or continued."""

    problem: Path
    """The folder that `Problem.save` wrote."""
    options: LoopOptions
    rounds: int
    """After the initial selection."""
    workspace: Path
    like: str | None = None
    """The id of a run whose initial selection is the same, and done; or None."""


@dataclass(frozen=True)
class BoundTask:
    """The accuracy that a head reaches with all labels, to be found and written to a file."""

    problem: Path
    head: Any
    seed: int
    output: Path


def work(_: None, task: CellTask | BoundTask) -> Generator[tuple[int, float], None, None]:
    """Do a task, and yield number and seconds (with the evaluation) of each round not stored."""
    problem = _opened(task.problem)
    if isinstance(task, BoundTask):
        _find_bound(problem, task)
        return
    loop = ActiveLoop(problem, options=task.options, workspace=task.workspace)
    folder = loop.folder()
    assert folder is not None
    stored = len(folder.read())
    if not stored and task.like is not None:
        stored = _begin_like(loop, folder, task)
    started = time.perf_counter()
    for record in loop.run(task.rounds):
        if record.round >= stored:
            yield record.round, time.perf_counter() - started
        started = time.perf_counter()
    if len(loop.records) <= task.rounds:
        mark_ended(folder.path, len(loop.records))


@lru_cache(maxsize=OPEN)
def _opened(folder: Path) -> Problem:
    """Return a problem with its index, which remembers what it has worked out."""
    return Problem.load(folder)


def _begin_like(loop: ActiveLoop, folder: RunFolder, task: CellTask) -> int:
    """Begin a run with the initial selection of another that differs in its strategy alone."""
    records = RunFolder(Workspace(task.workspace).runs / str(task.like)).read()[:1]
    if records:
        folder.start(loop.config())
        folder.write(records, loop.problem.ids)
    return len(records)


def _find_bound(problem: Problem, task: BoundTask) -> None:
    started = time.perf_counter()
    loop = ActiveLoop(problem, strategy="random", initial="random", head=task.head, seed=task.seed)
    bound = {"accuracy": loop.upper_bound(), "seconds": time.perf_counter() - started}
    write_atomically(task.output, json.dumps(bound).encode())
