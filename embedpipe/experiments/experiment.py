"""Experiments: grids of active-learning loops."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Self

from numpy.typing import ArrayLike

from .._deprecated import old_parameters
from .._files import write_atomically
from .._loops.fitting import run_head
from .._loops.runs import identity_of
from .._workspace import Workspace
from ..active import ActiveLoop, LoopOptions, RoundRecord, RunFolder
from ..active.ceiling import CEILING
from ..active.problem import Problem
from ..active.words import texts_of
from ..errors import RunError
from .cells import Cell, Setting
from .grid_file import Opener, read_grid
from .options import Choice, ExperimentOptions, initial_for, strategy_choice
from .problems import PoolDraw, Pools, SeedPool, Source, Sources, publish, sources_of
from .results import Results, rounds_tables, upper_baselines_table
from .run_files import mark_ended, stored_of
from .study import Extent, Failure, OnProgress, OnRun, Study, Task
from .workers import Work

__all__ = ["Experiment"]

OnRound = Callable[[Cell[Setting], RoundRecord], None]


@old_parameters(upper_bound="upper_baseline")
@dataclass(frozen=True)
class Experiment(ExperimentOptions, Study[Results]):
    """A grid of loops: every strategy on every dataset with every seed, and its statistics.

    Each cell is one run in the workspace's ``runs/``. Cells run in parallel processes of one thread
    each. Finished cells are not run again, and interrupted cells continue. Every grid contains
    random selection from the first batch on, which is the lower baseline.

    Parameters
    ----------
    problems
        Embeddings of one or several labelled datasets, or `Problem` objects, or a dictionary. The
        keys of the dictionary are names, or pairs of dataset and backbone. Its values are
        embeddings, `Problem` objects, or functions from a seed to a `Problem`.
    strategies, initials
        Strategies of later batches and of the first batch: spec strings or instances. The initial
        strategy ``"same"`` is the strategy of the later batches if it needs no labels, otherwise
        ``typiclust``.
    heads, modes
        Spec strings or scikit-learn classifiers, and training modes; see `LoopOptions`.
    seeds
        A number of seeds, counted from 0, or a list of seeds.
    pool_share
        Share of the candidates in the pool of each seed. Each seed draws its own pool at random,
        the same for all strategies, heads and modes, see `Problem.subsampled`. With 1, all seeds
        have the same pool. The upper baseline is measured on the pool of the seed.
    initial_size, batch_size, rounds, skip, labelling, index
        See `ActiveLoop` and `LoopOptions`. `rounds` is the number of rounds after the first batch.
    baseline
        The strategy that the other strategies are compared with, after the same first batch. If the
        grid has no run of the baseline after that batch, its run after its own first batch is used.
    target
        Unlabelled items that the picks represent, see `Problem.with_target`, or a function from the
        embeddings of a dataset to them. All strategies must use a target, except ``random``, which
        ignores it as the lower baseline. The initial strategy ``"same"`` is then ``max_herding``
        for strategies that need labels.
    upper_baseline
        Whether to measure the accuracy of each head with all labels. The number of labels to the
        target and the closed gap need this accuracy. The measurement needs one fit to the whole
        pool for each problem, head and seed.
    oracle_ceiling
        Whether to add the oracle ceiling (Huseljic et al. 2026, arXiv:2603.13109). In each round it
        takes the best of about 100 candidate batches: ten strategies draw them from random parts of
        the pool, and the true labels of the pool decide. For each batch, the head is trained with
        the true labels of the batch, and its accuracy on at most 2,000 other candidates is
        measured. The test images are not used. The ceiling is a reference, not a strategy: no user
        has these labels. It is in no test and in no ranking.
    workspace
        Folder of runs and results; by default ``EMBEDPIPE_WORKSPACE`` or ``./.embedpipe``.
    name
        Name of the folder of the results; by default made from the names of the datasets and the
        grid. A grid with more runs than the stored results can have their name. A grid that lacks a
        stored run is refused.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp)
    >>> grid = Experiment(
    ...     digits, strategies=["margin"], seeds=1, initial_size=20, batch_size=20, rounds=2,
    ...     workspace=tmp,
    ... )
    >>> for cell in grid.cells():
    ...     print(cell)
    digits, toy: typiclust, then margin; auto, cumulative; seed 0
    digits, toy: random; auto, cumulative; seed 0
    >>> grid.run(workers=0).table.num_rows
    6
    """

    problems: Sources
    _: KW_ONLY
    workspace: str | Path | Workspace | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._sources, self._workspace  # raises if an option is invalid

    @classmethod
    @old_parameters(upper_bound="upper_baseline")
    def from_yaml(
        cls,
        path: str | Path,
        *,
        workspace: str | Path | Workspace | None = None,
        opener: Opener | None = None,
        **changes: Any,
    ) -> Self:
        """Return the grid of a file, after its datasets are embedded; see `read_grid`.

        Parameters
        ----------
        path
            A grid file.
        workspace
            Folder of the cache, the runs and the results.
        opener
            Function from a `DatasetEntry` and a backbone to embeddings; by default `load_dataset`
            and `embed`.
        **changes
            Options that replace those of the file.

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
        opener = opener or grid.opener(Workspace(workspace))
        options = {**options, "target": grid.target(opener)}
        return cls(grid.problems(opener), workspace=workspace, **options)

    @classmethod
    def check(cls, **options: Any) -> ExperimentOptions:
        """Check options before anything is embedded, and return them."""
        return ExperimentOptions(**options)

    def cells(self) -> list[Cell[Setting]]:
        """Return the cells, ordered by dataset, head, mode, strategies and seed."""
        return [entry.cell for entry in self._entries]

    def run(
        self,
        workers: int | None = None,
        progress: OnProgress | None = None,
        on_round: OnRound | None = None,
        on_run: OnRun | None = None,
        *,
        executor: str = "local",
        address: str | None = None,
    ) -> Results:
        """Run all unfinished cells and return the results, which are also written to `folder`.

        Parameters
        ----------
        workers
            Number of processes; by default one for each processor of the machine or the cluster.
            With 0 everything runs in this
            process. The results are bit for bit the same for every number.
        progress
            Called after each round and each cell.
        on_round
            Called with the cell and the record of each new round.
        on_run
            Called in this process with the folder of each finished run, including runs that were
            finished before, for example ``on_run=tracker.log_run``.
        executor
            ``"local"``, or ``"ray"`` for the workers of a Ray cluster, which must have the
            workspace at the same path. The results are bit for bit the same.
        address
            Address of the Ray cluster; by default ``RAY_ADDRESS``, or the cluster on this machine.

        Raises
        ------
        RunError
            If every cell fails, worker processes cannot start, or the name belongs to other runs.
        """

        def on_update(cell: Cell[Setting], number: int) -> None:
            if on_round is not None:
                on_round(cell, RunFolder(self._workspace.runs / cell.run_id).read()[number])

        return self._run(workers, progress, on_run, on_update, executor, address)

    # The methods that `Study` requires

    def _extent(self, cell: Cell[Setting]) -> Extent:
        stored = stored_of(self._workspace.runs / cell.run_id)
        done = min(stored.rounds, self.rounds + 1)
        return Extent(done, done if stored.ended else self.rounds + 1)

    def _tasks(self, left: Sequence[Cell[Setting]]) -> list[Task]:
        """Return the tasks of missing upper baselines, then of the runs, grouped by problem."""
        baselines: dict[Path, _UpperBaseline] = {}
        for each in self._upper_baselines():
            baselines.setdefault(each.path(self._workspace), each)
        tasks = [
            Task(str(each), each.task(path, self._workspace))
            for path, each in baselines.items()
            if not path.exists()
        ]
        entries = {entry.cell: entry for entry in self._entries}
        by_problem: dict[str, list[Task]] = {}
        for entry in map(entries.__getitem__, left):
            task = Task(str(entry.cell), self._cell_task(entry), entry.cell)
            by_problem.setdefault(entry.pool.identity.digest, []).append(task)
        return [*tasks, *(task for group in by_problem.values() for task in group)]

    def _gather(self, done: list[Cell[Setting]], failures: tuple[Failure, ...]) -> Results:
        by_cell = {entry.cell: entry.pool for entry in self._entries}
        pools_of = {cell: by_cell[cell] for cell in done}
        table, timings = rounds_tables(pools_of, self.pool_share, self._workspace.runs, self.rounds)
        files = [(each.names, each.path(self._workspace)) for each in self._upper_baselines()]
        baseline = strategy_choice(self.baseline)
        left_out = {}
        pools = {}
        for source in self._sources:
            found = [source.pool(seed) for seed in self._axes.seeds]
            counts = [each.copies_left_out for each in found]
            left_out[source.dataset, source.backbone] = min(counts), max(counts)
            drawn = [(each.identity.digest, each.size, each.of) for each in found]
            pools[source.dataset, source.backbone] = Pools.of(
                self.pool_share, drawn, self._needed, found[0].target
            )
        return Results(
            table=table,
            timings=timings,
            upper_baselines=upper_baselines_table(files),
            baseline=(initial_for(None, baseline, self._first).name, baseline.name),
            failures=failures,
            folder=self.folder,
            left_out=left_out,
            pools=pools,
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
        return sources_of(self.problems, self.index, self.pool_share, self.target)

    @property
    def _needed(self) -> int:
        """The number of labels after the last round."""
        return self.initial_size + self.batch_size * self.rounds

    @cached_property
    def _entries(self) -> list[_Entry]:
        """The cells, ordered by dataset, head, mode, strategies and seed, with their options."""
        axes, entries = self._axes, []
        for each in product(self._sources, axes.seeds):
            self._check_pool(*each)
        choosers: list[tuple[str, str, dict[str, Any]]] = [
            (first.name, then.name, {"initial": first.value, "strategy": then.value})
            for first, then in axes.pairs
        ]
        if self.oracle_ceiling:
            choosers.append((CEILING, CEILING, {"oracle_ceiling": True}))
        for source, head, mode, (first, then, chosen_by), seed in product(
            self._sources, axes.heads, axes.modes, choosers, axes.seeds
        ):
            names = (source.dataset, source.backbone, first, then, head.name, mode)
            options = LoopOptions(
                **chosen_by,
                head=head.value,
                mode=mode,
                seed=seed,
                initial_size=self.initial_size,
                batch_size=self.batch_size,
                skip=self.skip,
                labelling=self.labelling,
            )
            entries.append(_Entry.of(Setting(*names), source, options))
        return entries

    def _check_pool(self, source: Source, seed: int) -> None:
        """Raise an error if the pool share leaves less than one image for each round."""
        pool, least = source.pool(seed), self.initial_size + self.rounds
        if self.pool_share < 1 and pool.size < least:
            raise RunError(
                f"the pool of seed {seed} has {pool.size} of the {pool.of} candidates of "
                f"{source.dataset!r}, but a first batch of {self.initial_size} and {self.rounds} "
                f"rounds need at least {least}: use smaller batches, or --pool-share 1 "
                "(`pool_share=1`) for the same pool in all seeds."
            )

    def _upper_baselines(self) -> Iterator[_UpperBaseline]:
        """Yield the fits to all labels, ordered by dataset, head and seed."""
        if self.upper_baseline:
            for each in product(self._sources, self._axes.heads, self._axes.seeds):
                yield _UpperBaseline(*each)

    def _cell_task(self, entry: _Entry) -> Callable[[], CellTask]:
        return lambda: CellTask(
            StoredPool.of(entry.source, entry.options.seed, self._workspace),
            entry.options,
            self.rounds,
            self._workspace.root,
            self._run_with_beginning(entry),
            self._texts(entry),
        )

    def _texts(self, entry: _Entry) -> Mapping[str, ArrayLike]:
        """Return the vectors of the texts of the strategies of an entry."""
        texts = texts_of(entry.options.built_initial, entry.options.built_strategy)
        return entry.source.texts(texts, entry.options.seed, self._workspace)

    def _run_with_beginning(self, entry: _Entry) -> str | None:
        """Return the id of a started run with the same first round; None if there is none."""
        runs = (e.cell.run_id for e in self._entries if e.beginning == entry.beginning)
        started = (run for run in runs if stored_of(self._workspace.runs / run).rounds)
        return next(started, None)


@dataclass(frozen=True)
class _Entry:
    """A cell, and the data and options of its loop."""

    cell: Cell[Setting]
    source: Source = field(repr=False)
    options: LoopOptions = field(repr=False)
    beginning: str = field(repr=False)
    """Key that is equal for loops with the same first batch and the same fit to this batch."""

    @classmethod
    def of(cls, setting: Setting, source: Source, options: LoopOptions) -> _Entry:
        identity = source.pool(options.seed).identity
        cell = Cell(setting, options.seed, options.run_id(identity))
        config = {**options.config(identity), "strategy": None, "batch_size": None}
        return cls(cell, source, options, json.dumps(config, sort_keys=True))

    @property
    def pool(self) -> SeedPool:
        """The pool of the seed."""
        return self.source.pool(self.options.seed)


@dataclass(frozen=True)
class _UpperBaseline:
    """The accuracy of a head on a problem with all labels."""

    source: Source
    head: Choice
    seed: int

    def __str__(self) -> str:
        where = f"{self.source.dataset}, {self.source.backbone}"
        return f"{where}: {self.head.name} with all labels; seed {self.seed}"

    @property
    def names(self) -> tuple[str, str, str, int]:
        """Dataset, backbone, head and seed."""
        return self.source.dataset, self.source.backbone, self.head.name, self.seed

    def path(self, workspace: Workspace) -> Path:
        """Return the file of the accuracy."""
        identity = self.source.pool(self.seed).identity
        head = run_head(self.head.value, self.seed)
        # The digest covers the images, but not their vectors.
        text = json.dumps([identity.digest, identity.spec_id, identity_of(head)], sort_keys=True)
        return workspace.root / "bounds" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def task(self, output: Path, workspace: Workspace) -> Callable[[], UpperBaselineTask]:
        """Return a function that makes the task of a worker."""
        return lambda: UpperBaselineTask(
            StoredPool.of(self.source, self.seed, workspace), self.head.value, self.seed, output
        )


# In the workers

MAX_OPEN = 2
"""Maximum open problems in a worker; few are enough, because tasks are grouped by problem."""


@dataclass(frozen=True)
class StoredPool:
    """The pool of a seed: a folder that `Problem.save` wrote, and how to draw the pool from it."""

    folder: Path
    draw: PoolDraw

    @classmethod
    def of(cls, source: Source, seed: int, workspace: Workspace) -> StoredPool:
        """Write the problem of a seed if needed; seeds with the same problem share one folder."""
        return cls(publish(source.whole(seed), workspace), source.draw(seed))


@dataclass(frozen=True)
class CellTask:
    """A run to start or continue."""

    pool: StoredPool
    options: LoopOptions
    rounds: int
    """Rounds after the first batch."""
    workspace: Path
    same_beginning: str | None = None
    """The id of a run with the same first round; None if there is none."""
    texts: Mapping[str, ArrayLike] = field(default_factory=dict, repr=False)
    """Vectors of the texts of the strategies, by text."""


@dataclass(frozen=True)
class UpperBaselineTask:
    """The accuracy of a head with all labels, to measure and write to a file."""

    pool: StoredPool
    head: Any
    seed: int
    output: Path


def work(_: None, task: CellTask | UpperBaselineTask) -> Generator[tuple[int, float], None, None]:
    """Do a task; yield the number of each new round, and its seconds including evaluation."""
    problem = _opened(task.pool)
    if isinstance(task, UpperBaselineTask):
        _measure_upper_baseline(problem, task)
        return
    loop = ActiveLoop(
        replace(problem, texts=task.texts),
        options=task.options,
        workspace=task.workspace,
        keep_predictions=False,
    )
    folder = loop.folder()
    assert folder is not None
    stored = len(folder.read())
    if not stored and task.same_beginning is not None:
        stored = _copy_beginning(loop, folder, task)
    started = time.perf_counter()
    for record in loop.run(task.rounds):
        if record.round >= stored:
            yield record.round, time.perf_counter() - started
        started = time.perf_counter()
    if len(loop.records) <= task.rounds:
        mark_ended(folder.path, len(loop.records))


@lru_cache(maxsize=MAX_OPEN)
def _opened(pool: StoredPool) -> Problem:
    """Return the problem of a pool; its index keeps computed neighbours between tasks."""
    return pool.draw.of(_loaded(pool.folder))


_loaded = lru_cache(maxsize=MAX_OPEN)(Problem.load)


def _copy_beginning(loop: ActiveLoop, folder: RunFolder, task: CellTask) -> int:
    """Start a run with the first round of another run; return the number of rounds copied."""
    records = RunFolder(Workspace(task.workspace).runs / str(task.same_beginning)).read()[:1]
    if records:
        folder.start(loop.config())
        folder.write(records, loop.problem.ids)
    return len(records)


def _measure_upper_baseline(problem: Problem, task: UpperBaselineTask) -> None:
    started = time.perf_counter()
    loop = ActiveLoop(problem, strategy="random", initial="random", head=task.head, seed=task.seed)
    accuracy = loop.upper_baseline()
    written = {"accuracy": accuracy, "seconds": time.perf_counter() - started}
    write_atomically(task.output, json.dumps(written).encode())
