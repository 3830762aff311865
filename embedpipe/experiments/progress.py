"""How far a grid has come, and about how long the rest takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .._text import in_words

__all__ = ["Clock", "Progress"]


@dataclass(frozen=True)
class Progress:
    """How far a grid has come.

    Attributes
    ----------
    cells, of_cells
        Runs that are finished, and that there are in all; what was there before counts.
    rounds, of_rounds
        The same in rounds.
    failed
        Runs that were given up.
    seconds_left
        About how long the rest takes: for each strategy the mean time of its rounds so far,
        times its rounds that are left, shared out among the workers. None before the first
        round is done.

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


class Timed(Protocol):
    """A cell of a grid, as far as the clock is concerned."""

    @property
    def kind(self) -> Hashable:
        """What tells how long a round takes."""
        ...


class Clock:
    """Keeps count of rounds, by what tells how long they take, such as the strategy.

    Parameters
    ----------
    cells
        How many rounds of each cell are done, and how many there are to be.
    workers
        How many do them.

    Examples
    --------
    >>> from embedpipe.experiments import Cell, Setting
    >>> a, b = (
    ...     Cell(Setting("digits", "toy", "random", strategy, "logistic", "cumulative"), 0)
    ...     for strategy in ("random", "margin")
    ... )
    >>> clock = Clock({a: (3, 6), b: (0, 4)}, workers=2)
    >>> clock.progress().seconds_left
    >>> clock.count(a, 2.0)
    >>> clock.progress().seconds_left  # (2 rounds + 4 rounds of unknown cost) x 2 s / 2 workers
    6.0
    >>> clock.count(b, 5.0)
    >>> clock.progress().seconds_left  # (2 x 2 s + 3 x 5 s) / 2
    9.5
    """

    def __init__(self, cells: Mapping[Any, tuple[int, int]], workers: int) -> None:
        self._left = {cell: of - done for cell, (done, of) in cells.items()}
        self._of_rounds = sum(of for _, of in cells.values())
        self._workers = max(workers, 1)
        self._failed: set[Timed] = set()
        self._seconds: dict[Hashable, list[float]] = defaultdict(list)

    def count(self, cell: Timed, seconds: float) -> None:
        """Note that a round of a cell is done, and how long it took."""
        self._left[cell] = max(self._left[cell] - 1, 0)
        self._seconds[cell.kind].append(seconds)

    def finish(self, cell: Timed) -> None:
        """Note that a cell has no more rounds to do, however many it did."""
        self._left[cell] = 0

    def give_up(self, cell: Timed) -> None:
        """Note that a cell has failed."""
        self._failed.add(cell)
        self._left[cell] = 0

    def progress(self) -> Progress:
        """Return how far it is now."""
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
        usual = sum(means.values()) / len(means)
        work = sum(count * means.get(cell.kind, usual) for cell, count in self._left.items())
        at_once = min(self._workers, sum(1 for count in self._left.values() if count))
        return work / max(at_once, 1)
