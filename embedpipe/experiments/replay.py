"""A grid of streams learned in several ways: policies, buffer sizes, heads, and their bounds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from .._specs import format_spec
from .._workspace import Workspace
from ..continual import (
    NO_BUFFER,
    ContinualLoop,
    Policy,
    Stream,
    get_policy,
    size_of,
)
from ..errors import RunError, UsageError
from ..heads import get_head
from .choices import check_seeds, several
from .crew import Done, Failed, Told, do_all, worker_count
from .named import check_name, check_not_another
from .progress import Clock, Progress
from .replay_results import ReplayResults, read_run
from .results import Failure

__all__ = ["ReplayCell", "ReplaySetting", "ReplayStudy"]

Streams = Stream | Callable[[int], Stream]

BOUNDS = ("naive", "cumulative", "joint")
"""Learned beside what is replayed: without a buffer, with everything so far, all at once."""


@dataclass(frozen=True, order=True)
class ReplaySetting:
    """What the runs of a study that differ in their seed alone have in common.

    Attributes
    ----------
    stream, head
        Their names.
    method
        See `ContinualLoop`.
    policy, retain
        Of the buffer: the policy as it is spelled, and ``"0.05"`` or ``"500"``; empty for methods
        without one.
    """

    stream: str
    head: str
    method: str
    policy: str = ""
    retain: str = ""

    def __str__(self) -> str:
        return f"{self.stream}: {self.head}, {self.learned}"

    @property
    def learned(self) -> str:
        """How, in words: ``"el2n, 5 %"`` or ``"joint"``."""
        share = self.retain and not self.retain.isdecimal()
        size = f"{100 * float(self.retain):g} %" if share else f"{self.retain} rows"
        return f"{self.policy}, {size}" if self.policy else self.method


@dataclass(frozen=True)
class ReplayCell:
    """One run of a study."""

    setting: ReplaySetting
    seed: int
    run_id: str = field(compare=False, default="")

    def __str__(self) -> str:
        return f"{self.setting}; seed {self.seed}"

    @property
    def kind(self) -> tuple[str, str, str]:
        """What tells how long an experience takes."""
        return self.setting.stream, self.setting.head, self.setting.method


@dataclass(frozen=True)
class ReplayStudy:
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
        How many, from 0 on; or which. A function of `streams` is called with each.
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
    policies: Sequence[str | Policy] = ("random", "el2n", "entropy", "margin")
    retains: Sequence[float | int] = (0.01, 0.05)
    heads: Sequence[str] = ("logistic",)
    bounds: Sequence[str] = ("naive", "joint")
    seeds: int | Sequence[int] = 10
    mix: str = "concatenated"
    budget: int | None = None
    strategy: str = "margin"
    baseline: str | Policy = "random"
    workspace: str | Path | Workspace | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        unknown = sorted(set(self.bounds) - set(BOUNDS))
        if unknown:
            raise UsageError(f"bounds names {unknown[0]!r}: give some of {', '.join(BOUNDS)}.")
        _ = self._policies, self._sizes, self._tasks  # which check what they are made from

    # The grid

    def cells(self) -> list[ReplayCell]:
        """Return the cells, by stream, head, method, policy, size and seed."""
        return list(self._tasks)

    @property
    def folder(self) -> Path:
        """Where the results are written."""
        return self._workspace.root / "experiments" / (self.name or self._id)

    # Doing it

    def run(
        self,
        workers: int | None = None,
        progress: Callable[[Progress], None] | None = None,
        on_run: Callable[[Path], None] | None = None,
    ) -> ReplayResults:
        """Do what is not done yet, and return the results.

        Killed at any time and run again, it continues: finished cells are only read.

        Parameters
        ----------
        workers
            How many processes; by default as many as there are processors. 0 does everything in
            this process. The results are the same, to the last bit.
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

        Notes
        -----
        A script that calls this must do so under ``if __name__ == "__main__":``, because worker
        processes import it.
        """
        count = worker_count(workers)
        if self.name is not None:
            check_not_another(self.folder, {cell.run_id for cell in self._tasks})
        done = {cell: len(records) for cell, records in self._read()}
        length = {cell: self._length(cell) for cell in self._tasks}
        todo = [cell for cell in self._tasks if done[cell] < length[cell]]
        clock = Clock({cell: (done[cell], length[cell]) for cell in self._tasks}, count)
        failures: list[Failure] = []
        if progress is not None:
            progress(clock.progress())
        if on_run is not None:
            for cell in self._tasks:
                if done[cell] == length[cell]:
                    on_run(self._workspace.runs / cell.run_id)
        crew = do_all(
            todo, work, min(count, len(todo)), self._made, prepare=self._tasks.__getitem__
        )
        for event in crew:
            if isinstance(event, Failed):
                failures.append(Failure(str(event.task), event.error, event.trace))
                clock.give_up(event.task)
            elif isinstance(event, Told):
                clock.count(event.task, event.message)
            elif isinstance(event, Done):
                clock.finish(event.task)
                if on_run is not None:
                    on_run(self._workspace.runs / event.task.run_id)
            if progress is not None:
                progress(clock.progress())
        results = self._gathered(tuple(failures))
        results.write()
        return results

    def results(self) -> ReplayResults:
        """Return the results of the cells that are finished, without doing anything."""
        return self._gathered(())

    # How it is done

    @cached_property
    def _workspace(self) -> Workspace:
        return Workspace(self.workspace)

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

    @cached_property
    def _tasks(self) -> dict[ReplayCell, dict[str, Any]]:
        """What each cell is told by: the key of its stream, and options of `ContinualLoop`."""
        tasks: dict[ReplayCell, dict[str, Any]] = {}
        seeds = check_seeds(self.seeds)
        for name in dict.fromkeys(key for key, _ in self._made):
            for head in several(self.heads, "heads"):
                for setting, options in self._settings(name, head):
                    for seed in seeds:
                        told = {**options, "seed": seed}
                        stream = self._made[name, seed]
                        loop = ContinualLoop(stream, workspace=self._workspace, **told)
                        tasks[ReplayCell(setting, seed, loop.run_id)] = {
                            "stream": (name, seed),
                            "options": told,
                            "workspace": self._workspace.root,
                        }
        return tasks

    def _settings(self, stream: str, head: str) -> list[tuple[ReplaySetting, dict[str, Any]]]:
        common = {
            "head": head,
            "mix": self.mix,
            "budget": self.budget,
            "strategy": self.strategy,
        }
        found = []
        made = get_head(head)
        exact = getattr(made, "exact_on_streams", False)
        goes_on = hasattr(made, "partial_fit")
        if goes_on and not exact:
            for policy, (spelled, retain) in product(self._policies, self._sizes.items()):
                setting = ReplaySetting(stream, head, "replay", format_spec(policy), spelled)
                options = {"method": "replay", "policy": policy, "retain": retain}
                found.append((setting, {**common, **options}))
        for method in BOUNDS:
            wanted = goes_on if method == "naive" else True
            if wanted and (method in self._bounds or (exact and method == "naive")):
                found.append((ReplaySetting(stream, head, method), {**common, "method": method}))
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

    @property
    def _bounds(self) -> set[str]:
        """What is learned beside the policies; no buffer at all is the method naive."""
        return {*self.bounds, *(["naive"] if NO_BUFFER in self.policies else [])}

    @cached_property
    def _policies(self) -> list[Policy]:
        """The policies, the baseline among them."""
        made: dict[str, Policy] = {}
        given = [each for each in several(self.policies, "policies") if each != NO_BUFFER]
        for each in (*given, self.baseline):
            policy = get_policy(each) if isinstance(each, str) else each
            made.setdefault(format_spec(policy), policy)
        return list(made.values())

    @cached_property
    def _id(self) -> str:
        names = list(dict.fromkeys(name for name, _ in self._made))
        told = json.dumps([cell.run_id for cell in self._tasks])
        return "-".join([*names, hashlib.sha256(told.encode()).hexdigest()[:10]])

    def _length(self, cell: ReplayCell) -> int:
        if cell.setting.method == "joint":
            return 1
        return len(self._made[cell.setting.stream, cell.seed].learned)

    def _read(self) -> Iterator[tuple[ReplayCell, list[dict[str, Any]]]]:
        """Yield what is on disk of each cell."""
        for cell in self._tasks:
            yield cell, read_run(self._workspace.runs / cell.run_id)

    def _gathered(self, failures: tuple[Failure, ...]) -> ReplayResults:
        done = [
            (cell, self._made[cell.setting.stream, cell.seed], records)
            for cell, records in self._read()
            if len(records) == self._length(cell)
        ]
        if failures and not done:
            raise RunError(
                f"all {len(self._tasks)} runs failed; {failures[0].what}, for one: "
                f"{failures[0].error}"
            )
        given = self.baseline
        baseline = format_spec(get_policy(given) if isinstance(given, str) else given)
        return ReplayResults.of(
            done,
            baseline=baseline,
            failures=failures,
            folder=self.folder,
        )


def work(
    streams: Mapping[tuple[str, int], Stream], task: Mapping[str, Any]
) -> Generator[float, None, None]:
    """Do a cell, and tell the seconds of each experience that was not there before."""
    loop = ContinualLoop(streams[task["stream"]], workspace=task["workspace"], **task["options"])
    assert loop.folder is not None
    stored = len(read_run(loop.folder))
    for number, record in enumerate(loop.run()):
        if number >= stored:
            yield record.select_seconds + record.fit_seconds
