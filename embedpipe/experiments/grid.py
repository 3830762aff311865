"""The cells of a grid, each with what its run is made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._loops.fitting import run_head
from .._loops.identity import identity_of
from .._workspace import Workspace
from ..active import ActiveLoop
from ..active.problem import Problem
from .cell import Cell, Setting
from .choices import FLOOR, Choice, initial_for, strategy_choice
from .sources import Source, hand_over
from .tasks import BoundTask, CellTask

__all__ = ["BoundEntry", "Entry", "Grid", "bounds_of", "entries_of", "left_out"]


@dataclass(frozen=True)
class Grid:
    """The axes of a grid, and what all its loops share.

    Attributes
    ----------
    sources, heads, modes, seeds
        What is combined with each other and with `pairs`.
    pairs
        The strategies of the first batch and of the others.
    options
        Of every loop, as `ActiveLoop` takes them.
    rounds, batch_size
        After the initial selection.
    """

    sources: Sequence[Source]
    pairs: Sequence[tuple[Choice, Choice]]
    heads: Sequence[Choice]
    modes: Sequence[str]
    seeds: Sequence[int]
    options: dict[str, Any]
    rounds: int
    batch_size: int


@dataclass(frozen=True)
class Entry:
    """A cell, and the loop that is its run.

    Attributes
    ----------
    cell
        Where it stands in the grid.
    problem
        What the loop runs on.
    options
        Of `ActiveLoop`.
    beginning
        The same for loops whose initial selection is the same, down to the head's fit to it.
    """

    cell: Cell
    problem: Problem = field(repr=False)
    options: dict[str, Any] = field(repr=False)
    beginning: str = field(repr=False)

    def __str__(self) -> str:
        return str(self.cell)

    def task(self, grid: Grid, workspace: Workspace, like: str | None) -> CellTask:
        """Return what a worker needs to do it."""
        folder = hand_over(self.problem, workspace)
        return CellTask(folder, self.options, grid.rounds, grid.batch_size, workspace.root, like)


@dataclass(frozen=True)
class BoundEntry:
    """The accuracy that a head reaches on a problem with all labels, and where it is kept."""

    source: Source = field(repr=False)
    seed: int
    head: Choice

    def __str__(self) -> str:
        where = f"{self.source.dataset}, {self.source.backbone}"
        return f"{where}: {self.head.name} with all labels; seed {self.seed}"

    def path(self, workspace: Workspace) -> Path:
        """Return the file that holds it once it is found."""
        problem = self.source.problem(self.seed)
        head = run_head(self.head.made, self.seed)
        text = json.dumps([problem.digest, identity_of(head)], sort_keys=True)
        return workspace.root / "bounds" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def task(self, workspace: Workspace) -> BoundTask:
        """Return what a worker needs to find it."""
        folder = hand_over(self.source.problem(self.seed), workspace)
        return BoundTask(folder, self.head.made, self.seed, self.path(workspace))


def pairs_of(
    strategies: Sequence[Choice], initials: Sequence[Choice | None], baseline: Choice
) -> list[tuple[Choice, Choice]]:
    """Return the strategies of the first batch and of the others, the baseline among them.

    Examples
    --------
    >>> margin, coreset, random = (strategy_choice(n) for n in ("margin", "coreset", "random"))
    >>> def names(*given):
    ...     return [(first.name, then.name) for first, then in pairs_of(*given)]
    >>> names([margin, coreset], [None], random)
    [('typiclust', 'margin'), ('coreset', 'coreset'), ('random', 'random')]
    >>> names([margin], [coreset], random)
    [('coreset', 'margin'), ('coreset', 'random'), ('random', 'random')]
    """
    floor = strategy_choice(FLOOR)
    known = {choice.name: choice for choice in (*strategies, baseline)}
    pairs = [(initial_for(i, s), s) for i in initials for s in known.values()]
    found = {(first.name, then.name): (first, then) for first, then in (*pairs, (floor, floor))}
    return list(found.values())


def entries_of(grid: Grid) -> list[Entry]:
    """Return the cells by dataset, head, mode, strategies and seed."""
    found: list[Entry] = []
    for source in grid.sources:
        for head in grid.heads:
            for mode in grid.modes:
                for first, then in grid.pairs:
                    names = (first.name, then.name, head.name, mode)
                    setting = Setting(source.dataset, source.backbone, *names)
                    for seed in grid.seeds:
                        options = {"initial": first.made, "strategy": then.made}
                        options |= {"head": head.made, "mode": mode, "seed": seed}
                        found.append(_entry(grid, source, setting, options))
    return found


def _entry(grid: Grid, source: Source, setting: Setting, options: dict[str, Any]) -> Entry:
    options = options | grid.options
    problem = source.problem(options["seed"])
    loop = ActiveLoop(problem, **options)
    config = loop.config(grid.batch_size)
    return Entry(
        cell=Cell(setting, options["seed"], loop.run_id(grid.batch_size)),
        problem=problem,
        options=options,
        beginning=json.dumps({**config, "strategy": None, "batch_size": None}, sort_keys=True),
    )


def bounds_of(grid: Grid) -> Iterator[BoundEntry]:
    """Yield what is to be found with all labels, by dataset, head and seed."""
    for source in grid.sources:
        for head in grid.heads:
            for seed in grid.seeds:
                yield BoundEntry(source, seed, head)


def left_out(grid: Grid) -> dict[tuple[str, str], tuple[int, int]]:
    """Return how many copies of test images are left out: the least and the most over seeds."""
    found = {}
    for source in grid.sources:
        counts = [source.problem(seed).copies_left_out for seed in grid.seeds]
        found[source.dataset, source.backbone] = min(counts), max(counts)
    return found


def by_problem(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries in an order in which those of the same problem come together."""
    places: dict[str, int] = {}
    for entry in entries:
        places.setdefault(entry.problem.digest, len(places))
    return sorted(entries, key=lambda entry: places[entry.problem.digest])  # stable
