"""The progress of a study, and an estimate of the time left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .._text import in_words

__all__ = ["Clock", "Progress"]


@dataclass(frozen=True)
class Progress:
    """The progress of a study.

    Attributes
    ----------
    cells, of_cells
        Runs that are finished, and runs in all; those finished before count.
    rounds, of_rounds
        The same in rounds.
    failed
        Runs that were given up.
    seconds_left
        Estimate for the rest: for each strategy the mean time of its rounds so far, times its
        rounds that are left, divided among the workers. None before the first round is done.

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
    """A cell, for the clock."""

    @property
    def kind(self) -> Hashable:
        """Cells of one kind take about the same time for a round."""
        ...


class Clock:
    """Counts rounds by kind of cell, and estimates the time left.

    It is given the number of rounds done and in all of each cell, and the number of workers.
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
        """Return the progress now."""
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
