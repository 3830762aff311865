"""Replay studies: grids of continual-learning loops over streams."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path

from .._options import ReplayFields
from .._specs import format_spec
from .._workspace import Workspace
from ..continual import (
    NO_BUFFER,
    ContinualLoop,
    ContinualOptions,
    Policy,
    Stream,
    get_policy,
    size_of,
)
from ..errors import UnknownNameError, UsageError
from ..heads import get_head
from .cells import Cell, ReplaySetting
from .options import check_name, check_seeds, several
from .replay_results import ReplayResults
from .run_files import count_experiences, read_experiences
from .study import Extent, Failure, OnProgress, OnRun, Study, Task
from .workers import Work

__all__ = ["BOUNDS", "ReplayOptions", "ReplaySetting", "ReplayStudy"]

Streams = Stream | Callable[[int], Stream]

BOUNDS = ("naive", "cumulative", "joint")
"""Learned beside what is replayed: without a buffer, with everything so far, all at once."""


@dataclass(frozen=True, kw_only=True)
class ReplayOptions(ReplayFields):
    """The options of a `ReplayStudy`, where they are described; wrong ones are refused at once."""

    def __post_init__(self) -> None:
        check_name(self.name)
        unknown = sorted(set(self.bounds) - set(BOUNDS))
        if unknown:
            raise UnknownNameError("bound", unknown[0], BOUNDS)
        check_seeds(self.seeds)
        for head in several(self.heads, "heads"):
            self._ways(head)  # which are checked too

    def _ways(self, head: str) -> list[tuple[ReplaySetting, ContinualOptions]]:
        """Return how a head learns a stream: settings without a stream, and options of loops."""
        made = get_head(head)
        common = ContinualOptions(
            head=made,
            method="joint",
            mix=self.mix,
            budget=self.budget,
            strategy=self.strategy,
        )
        exact = getattr(made, "exact_on_streams", False)
        goes_on = hasattr(made, "partial_fit")
        found = []
        policies, sizes = self._policies, self._sizes
        if goes_on and not exact:
            for policy, (written, retain) in product(policies, sizes.items()):
                setting = ReplaySetting("", head, "replay", format_spec(policy), written)
                options = replace(common, method="replay", policy=policy, retain=retain)
                found.append((setting, options))
        bounds = {*self.bounds, *(["naive"] if NO_BUFFER in self.policies else [])}
        for method in BOUNDS:
            wanted = goes_on if method == "naive" else True
            if wanted and (method in bounds or (exact and method == "naive")):
                setting = ReplaySetting("", head, method)
                found.append((setting, replace(common, method=method)))
        if not found:
            raise UsageError(
                f"the head {head!r} cannot go on learning, so there is nothing to replay to it: "
                "ask for the bounds cumulative or joint, or for another head."
            )
        return found

    @cached_property
    def _sizes(self) -> dict[str, float | int]:
        """The sizes of buffers, as they are written in tables."""
        found: dict[str, float | int] = {}
        for given in several(self.retains, "retains"):
            size_of(given)  # which refuses what is no size
            retain = given.item() if hasattr(given, "item") else given
            found[json.dumps(retain)] = retain
        return found

    @cached_property
    def _policies(self) -> list[Policy]:
        """The policies, the baseline among them."""
        made: dict[str, Policy] = {}
        given = [each for each in several(self.policies, "policies") if each != NO_BUFFER]
        for each in (*given, self.baseline):
            policy = get_policy(each) if isinstance(each, str) else each
            made.setdefault(format_spec(policy), policy)
        return list(made.values())


@dataclass(frozen=True)
class ReplayStudy(ReplayOptions, Study[ReplayResults]):
    """Streams, each learned in several ways with many seeds, and what can be said of them.

    Each cell is one run, kept in the workspace's ``runs/``. Cells run in parallel processes of
    one thread each. A cell that is finished is never run again, and one that was killed
    continues: adding a policy or more seeds computes only what is new.

    Parameters
    ----------
    streams
        A stream, a function that returns one for a seed, or a dictionary of such by name.
    policies
        What buffers keep: names as `get_policy` reads them, or instances. ``"none"``: no buffer,
        the same as the bound ``naive``.
    retains
        How much: shares of each experience (float) or rows in all (int).
    heads
        Names as `get_head` reads them. Heads that are exact on streams are learned without a
        buffer, which loses nothing, and those that cannot go on learning have bounds alone; for
        the others every policy is combined with every size.
    bounds
        Which of ``naive``, ``cumulative`` and ``joint`` are learned beside them.
    seeds
        A number of seeds, from 0 on; or a list of them. A function of `streams` is called with
        each.
    mix, budget, strategy
        As for `ContinualLoop`.
    baseline
        The policy that the others are compared with, at the same size; it is added where it is
        missing.
    workspace
        Where runs and results are kept; by default ``EMBEDPIPE_WORKSPACE`` or ``./.embedpipe``.
    name
        Of the folder of the results; by default the streams' names and a digest of the grid. A
        name belongs to its runs: they may be added to, and results of other runs are not
        overwritten.

    Raises
    ------
    UsageError
        If something is not known by its name, or does not fit.

    Examples
    --------
    >>> import embedpipe as ep
    >>> from embedpipe.continual import Stream
    >>> digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp)
    >>> study = ReplayStudy(
    ...     lambda seed: Stream.of(digits, "order", n=3, seed=seed),
    ...     policies=["random"], retains=[0.05], bounds=["joint"], seeds=2, workspace=tmp,
    ... )
    >>> for cell in study.cells():
    ...     print(cell)
    digits-order3: logistic, random, 5 %; seed 0
    digits-order3: logistic, random, 5 %; seed 1
    digits-order3: logistic, joint; seed 0
    digits-order3: logistic, joint; seed 1
    >>> study.run(workers=0).table.num_rows
    8
    """

    streams: Streams | Mapping[str, Streams]
    _: KW_ONLY
    workspace: str | Path | Workspace | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._entries, self._workspace  # which check what they are made from

    def cells(self) -> list[Cell[ReplaySetting]]:
        """Return the cells, by stream, head, method, policy, size and seed."""
        return list(self._entries)

    def run(
        self,
        workers: int | None = None,
        progress: OnProgress | None = None,
        on_run: OnRun | None = None,
    ) -> ReplayResults:
        """Do what is not done yet, and return the results.

        Killed at any time and run again, it continues: finished cells are only read.

        Parameters
        ----------
        workers
            Number of processes; by default that of the processors. 0 does everything in this
            process. The results are the same, to the last bit.
        progress
            Called whenever an experience or a cell is done.
        on_run
            Called in this process with the folder of each run that is whole, one at a time, those
            that were whole before among them: ``on_run=tracker.log_run``.

        Raises
        ------
        RunError
            If every cell failed, worker processes cannot be started, or the name belongs to
            other runs.
        """
        return self._run(workers, progress, on_run)

    # As the engine asks for it

    def _extent(self, cell: Cell[ReplaySetting]) -> Extent:
        done = count_experiences(self._workspace.runs / cell.run_id)
        joint = cell.setting.method == "joint"
        return Extent(done, 1 if joint else len(self._stream(cell).learned))

    def _tasks(self, left: Sequence[Cell[ReplaySetting]]) -> list[Task]:
        return [Task(str(cell), self._cell_task(cell), cell) for cell in left]

    def _gather(
        self, done: list[Cell[ReplaySetting]], failures: tuple[Failure, ...]
    ) -> ReplayResults:
        given = self.baseline
        runs = self._workspace.runs
        return ReplayResults.of(
            [(cell, self._stream(cell), read_experiences(runs / cell.run_id)) for cell in done],
            baseline=format_spec(get_policy(given) if isinstance(given, str) else given),
            failures=failures,
            folder=self.folder,
        )

    @property
    def _work(self) -> Work:
        return _work

    @property
    def _shared(self) -> dict[tuple[str, int], Stream]:
        return self._made

    @property
    def _data_names(self) -> list[str]:
        return [name for name, _ in self._made]

    # The grid

    @cached_property
    def _made(self) -> dict[tuple[str, int], Stream]:
        """The stream of each name and seed."""
        given = self.streams if isinstance(self.streams, Mapping) else {"": self.streams}
        seeds = check_seeds(self.seeds)
        made = {}
        for name, source in given.items():
            for seed in seeds:
                stream = source if isinstance(source, Stream) else source(seed)
                made[name or stream.name, seed] = stream
        return made

    def _stream(self, cell: Cell[ReplaySetting]) -> Stream:
        return self._made[cell.setting.stream, cell.seed]

    @cached_property
    def _entries(self) -> dict[Cell[ReplaySetting], ContinualOptions]:
        """The cells by stream, head, method, policy, size and seed, each with loop options."""
        found = {}
        for name in dict.fromkeys(self._data_names):
            for head in self.heads:
                for setting, options in self._ways(head):
                    for seed in check_seeds(self.seeds):
                        stream = self._made[name, seed]
                        seeded = replace(options, seed=seed)
                        seeded.check_fits({e.name: e.train.size for e in stream.learned})
                        run_id = seeded.run_id(stream.identity)
                        found[Cell(replace(setting, stream=name), seed, run_id)] = seeded
        return found

    def _cell_task(self, cell: Cell[ReplaySetting]) -> Callable[[], ReplayTask]:
        key = cell.setting.stream, cell.seed
        return lambda: ReplayTask(key, self._entries[cell], self._workspace.root)


@dataclass(frozen=True)
class ReplayTask:
    """A run that is to be started or continued."""

    stream: tuple[str, int]
    """Its key among the streams that all tasks share."""
    options: ContinualOptions
    workspace: Path


def _work(
    streams: Mapping[tuple[str, int], Stream], task: ReplayTask
) -> Generator[tuple[int, float], None, None]:
    """Do a cell, and yield the number and the seconds of each experience not stored before."""
    loop = ContinualLoop(streams[task.stream], options=task.options, workspace=task.workspace)
    assert loop.folder is not None
    stored = count_experiences(loop.folder)
    for number, record in enumerate(loop.run()):
        if number >= stored:
            yield number, record.select_seconds + record.fit_seconds
