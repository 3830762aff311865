"""What the workers of an experiment do: run a cell, or find the accuracy with all labels."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .._files import write_atomically
from .._workspace import Workspace
from ..active import ActiveLoop, LoopOptions, RunFolder
from ..active.problem import Problem
from .stored import mark_ended

__all__ = ["BoundTask", "CellTask", "work"]

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
