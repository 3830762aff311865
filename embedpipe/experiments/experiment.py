"""A grid of runs, done in parallel and never twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from .._workspace import Workspace
from ..active import RoundRecord
from ..active.modes import get_mode
from ..active.oracle import OracleOptions
from ..active.problem import Problem
from ..errors import RunError, UsageError
from ..index import check_kind
from ..strategies import Strategy
from .cell import Cell
from .choices import (
    FLOOR,
    SAME,
    check_seeds,
    choices,
    head_choice,
    initial_choice,
    initial_for,
    several,
    strategy_choice,
)
from .crew import Done, Failed, Told, do_all, worker_count
from .grid import (
    BoundEntry,
    Entry,
    Grid,
    bounds_of,
    by_problem,
    entries_of,
    left_out,
    pairs_of,
)
from .grid_file import Opener, read_grid
from .named import check_name, check_not_another
from .progress import Clock, Progress
from .results import Failure, Results
from .sources import Sources, sources_of
from .stored import Stored, stored_of
from .tables import bounds_table, rounds_tables
from .tasks import BoundTask, CellTask, work

__all__ = ["Experiment", "OnProgress", "OnRound", "OnRun"]

OnProgress = Callable[[Progress], None]
OnRound = Callable[[Cell, RoundRecord], None]
OnRun = Callable[[Path], None]


@dataclass(frozen=True)
class Experiment:
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
        How heads are trained from round to round; see `ActiveLoop`.
    seeds
        How many, from 0 on; or which.
    initial_size, batch_size, rounds, skip, labelling, index
        As for `ActiveLoop`.
    baseline
        What the others are compared with; it is added where it is missing. A setting is compared
        with the baseline after the same initial selection if the grid has it, and otherwise with
        the baseline from its own start.
    upper_bound
        Whether to find the accuracy of each head with all labels; labels to target and the
        share of the gap closed are told by it. It costs one fit to the whole pool for each
        problem and head.
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
    Choosing at random from the first label on is in every grid: it is the floor that
    improvements are measured from.

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
    strategies: Sequence[str | Strategy] = ("auto", "random")
    initials: Sequence[str | Strategy] = (SAME,)
    heads: Sequence[object] = ("logistic",)
    modes: Sequence[str] = ("cumulative",)
    seeds: int | Sequence[int] = 5
    initial_size: int = 50
    batch_size: int = 50
    rounds: int = 10
    baseline: str | Strategy = FLOOR
    skip: int = 0
    labelling: OracleOptions = field(default_factory=OracleOptions)
    index: str = "exact"
    upper_bound: bool = True
    workspace: str | Path | Workspace | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        _ = self._grid, self._workspace  # which check what they are made from

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
            See `read_grid`, and ``docs/experiments.md``.
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
        cls({"nothing": _nothing}, **options)

    # The grid

    def cells(self) -> list[Cell]:
        """Return the cells, by dataset, head, mode, strategies and seed."""
        return [entry.cell for entry in self._entries]

    @property
    def folder(self) -> Path:
        """Where the results are written."""
        return self._workspace.root / "experiments" / (self.name or self._id)

    # Doing it

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
            How many processes; by default as many as there are processors. 0 does everything in
            this process. The results are the same, to the last bit.
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

        Notes
        -----
        A script that calls this must do so under ``if __name__ == "__main__":``, because worker
        processes import it.
        """
        count = worker_count(workers)
        if self.name is not None:
            runs_now = {cell.run_id for cell in self.cells()}
            check_not_another(self.folder, runs_now, self.rounds)
        runs = list({entry.cell.run_id: entry for entry in self._entries}.values())
        stored = {entry.cell: self._stored(entry.cell) for entry in runs}
        todo = [e for e in runs if not stored[e.cell].is_enough_for(self.rounds)]
        clock = Clock(self._left(stored), count)
        firsts = {e.beginning: e.cell.run_id for e in runs if stored[e.cell].rounds}
        tasks: list[Entry | BoundEntry] = [*self._bounds_to_find(), *by_problem(todo)]

        def prepare(task: Entry | BoundEntry) -> CellTask | BoundTask:
            if isinstance(task, BoundEntry):
                return task.task(self._workspace)
            return task.task(self._grid, self._workspace, firsts.get(task.beginning))

        failures: list[Failure] = []
        if progress is not None:
            progress(clock.progress())
        tell_run = _of_cells(on_run, self._workspace)
        for whole in runs:
            if stored[whole.cell].is_enough_for(self.rounds):
                tell_run(whole.cell)
        for event in do_all(tasks, work, min(count, len(tasks)), prepare=prepare):
            entry = event.task
            if isinstance(event, Failed):
                failures.append(Failure(str(entry), event.error, event.trace))
            if isinstance(entry, BoundEntry):
                continue
            if isinstance(event, Told):
                clock.count(entry.cell, event.message.seconds)
                firsts.setdefault(entry.beginning, entry.cell.run_id)
                if on_round is not None:
                    on_round(entry.cell, event.message.record)
            elif isinstance(event, Done):
                clock.finish(entry.cell)
                tell_run(entry.cell)
            else:
                clock.give_up(entry.cell)
            if progress is not None:
                progress(clock.progress())
        results = self._gathered(tuple(failures))
        results.write()
        return results

    def results(self) -> Results:
        """Return the results of the cells that are finished, without doing anything."""
        return self._gathered(())

    # How it is done

    @cached_property
    def _workspace(self) -> Workspace:
        return Workspace(self.workspace)

    @cached_property
    def _grid(self) -> Grid:
        _check_sizes(self)
        check_kind(self.index)
        heads = choices(self.heads, "heads", head_choice)
        for mode in several(self.modes, "modes"):
            for head in heads:
                get_mode(mode).check(mode, head.made)
        strategies = choices(self.strategies, "strategies", strategy_choice)
        initials = [initial_choice(each) for each in several(self.initials, "initials")]
        return Grid(
            sources=sources_of(self.problems, self.index),
            pairs=pairs_of(strategies, initials, strategy_choice(self.baseline)),
            heads=heads,
            modes=list(dict.fromkeys(self.modes)),
            seeds=check_seeds(self.seeds),
            options=self._options,
            rounds=self.rounds,
            batch_size=self.batch_size,
        )

    @property
    def _options(self) -> dict[str, object]:
        return {
            "initial_size": self.initial_size,
            "skip": self.skip,
            "labelling": self.labelling,
        }

    @cached_property
    def _entries(self) -> list[Entry]:
        return entries_of(self._grid)

    @cached_property
    def _id(self) -> str:
        names = list(dict.fromkeys(source.dataset for source in self._grid.sources))
        told = [[entry.cell.run_id for entry in self._entries], self.rounds]
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:10]
        return "-".join([*names, digest])

    def _stored(self, cell: Cell) -> Stored:
        return stored_of(self._workspace.runs / cell.run_id)

    def _left(self, stored: dict[Cell, Stored]) -> dict[Cell, tuple[int, int]]:
        """Return how many rounds of each cell are done, and how many there are to be."""
        return {
            cell: (min(s.rounds, self.rounds + 1), s.rounds if s.ended else self.rounds + 1)
            for cell, s in stored.items()
        }

    def _bounds_to_find(self) -> list[BoundEntry]:
        if not self.upper_bound:
            return []
        missing: dict[Path, BoundEntry] = {}
        for bound in bounds_of(self._grid):
            path = bound.path(self._workspace)
            if not path.exists():
                missing.setdefault(path, bound)
        return list(missing.values())

    def _gathered(self, failures: tuple[Failure, ...]) -> Results:
        done = [c for c in self.cells() if self._stored(c).is_enough_for(self.rounds)]
        if failures and not done:
            raise RunError(
                f"all {len(self._entries)} runs failed; {failures[0].what}, for one: "
                f"{failures[0].error}"
            )
        table, timings = rounds_tables(done, self._workspace.runs, self.rounds)
        bounds = bounds_of(self._grid) if self.upper_bound else ()
        baseline = strategy_choice(self.baseline)
        return Results(
            table=table,
            timings=timings,
            bounds=bounds_table(bounds, self._workspace),
            baseline=(initial_for(None, baseline).name, baseline.name),
            failures=failures,
            folder=self.folder,
            left_out=left_out(self._grid),
        )


def _of_cells(on_run: OnRun | None, workspace: Workspace) -> Callable[[Cell], None]:
    """Return what is called with a cell whose run is whole."""
    if on_run is None:
        return lambda cell: None
    return lambda cell: on_run(workspace.runs / cell.run_id)


def _nothing(seed: int) -> Problem:
    raise AssertionError("options are checked without a problem")


def _check_sizes(experiment: Experiment) -> None:
    for option, least in (("initial_size", 1), ("batch_size", 1), ("rounds", 0), ("skip", 0)):
        value = getattr(experiment, option)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UsageError(f"{option} is {value!r}: give a whole number, at least {least}.")
