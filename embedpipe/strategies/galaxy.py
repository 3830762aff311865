"""GALAXY: items near the decision boundary of every class, rare classes first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .algorithms.predictions import label_columns, two_largest
from .pool import Pool
from .strategy import DiverseStrategy, UniquePicks, strategies

__all__ = ["Galaxy"]


@strategies.register("galaxy")
class Galaxy(DiverseStrategy):
    """Items near the decision boundary of each class in turn, which suits rare classes.

    For each class, all unlabelled unique vectors and labelled rows are sorted by the margin of the
    class. The margin is the probability of the class minus the probability of the most probable
    other class. A *cut* is the interval between two adjacent labelled rows of which exactly one is
    of the class. If no labelled row is of the class, the upper end of the order counts as a row of
    the class. If all labelled rows are of the class, the lower end counts as a row of another
    class.

    The cut with the fewest unlabelled vectors (at least one) is bisected. The middle of the cut
    comes first, then the middles of both halves, and so on; the half on the side of the class
    precedes the other half. Then come the vectors outside the cut, alternately above and below,
    nearest first.

    Classes take turns, those with the fewest labels first; each class takes its next vector that is
    not yet picked. Ties of vectors go to the lowest row, ties of cuts to the cut with larger
    margins, and ties of classes to the first class.

    Notes
    -----
    The paper requests one label at a time, so each answer halves the cut. Here a batch is chosen
    before any label is known, so both halves are used.

    Scores: 1 − |margin| for the class of the turn. Diagnostics for k picked unique vectors:
    ``class_index`` (k,) int64, the column of the class of the turn; ``margin`` (k,) float32;
    ``cut`` (k,) int64, the number of vectors in the cut of the class.

    Time for u unlabelled items, n picks and C classes: O(u·log u + n) for each of at most min(C, n)
    classes. Extra memory: 120 bytes per unique vector and labelled row, and 8·n bytes per class.

    References
    ----------
    Zhang, Katz-Samuels, Nowak (2022), "GALAXY: graph-based active learning at the extreme",
    arXiv:2202.01402.
    """

    name: ClassVar[str] = "galaxy"
    needs_labels: ClassVar[bool] = True
    needs_head: ClassVar[bool] = True

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Pick items for the classes in turn."""
        nodes = _Nodes.of(pool)
        counts = np.bincount(nodes.labels[nodes.labels >= 0], minlength=nodes.n_classes)  # (C,)
        turns = np.resize(np.argsort(counts, kind="stable"), n)  # (n,)
        queues = {column: nodes.queue(column, n) for column in set(turns.tolist())}
        taken = np.zeros(nodes.points.size, dtype=np.bool_)
        picks = np.empty(n, dtype=np.int64)
        for place, column in enumerate(turns.tolist()):
            picks[place] = next(node for node in queues[column].nodes if not taken[node])
            taken[picks[place]] = True
        margins = nodes.margins(picks, turns)  # (n,)
        return UniquePicks(
            nodes.points[picks],
            1 - np.abs(margins),
            {
                "class_index": turns,
                "margin": margins,
                "cut": np.array([queues[column].cut for column in turns.tolist()]),
            },
        )


@dataclass(frozen=True)
class _Queue:
    """The picks of one class, first choice first, and the size of its cut."""

    nodes: Iterator[int]
    cut: int


@dataclass(frozen=True)
class _Nodes:
    """The unlabelled unique vectors and the labelled rows, in ascending order of rows."""

    points: NDArray[np.int64]  # (s,) positions of unlabelled vectors, -1 for labelled rows
    labels: NDArray[np.int64]  # (s,) columns of labels, -1 without a column, -2 if unlabelled
    at: NDArray[np.int64]  # (s,) row of the predictions in the table of the node
    tables: tuple[NDArray[np.float32], NDArray[np.float32]]  # unlabelled (u, C), labelled (m, C)
    best: NDArray[np.int64]  # (s,) the most probable class
    first: NDArray[np.float32]  # (s,) the largest probability
    second: NDArray[np.float32]  # (s,) the second largest probability

    @classmethod
    def of(cls, pool: Pool) -> _Nodes:
        free = np.flatnonzero(~pool.unique_labelled)  # (f,)
        rows = pool.index.rows[free]  # (f,)
        tables = pool.probabilities(), pool.probabilities(pool.labelled)
        columns = label_columns(pool, tables[0].shape[1])  # (m,)
        order = np.argsort(np.concatenate([rows, pool.labelled]))  # (s,), s = f + m
        points = np.concatenate([free, np.full(columns.size, -1)])[order]
        labels = np.concatenate([np.full(free.size, -2), columns])[order]
        at = np.searchsorted(pool.unlabelled, rows)  # (f,)
        largest = [
            np.concatenate([unlabelled[at], labelled])[order]  # (s,)
            for unlabelled, labelled in zip(*map(two_largest, tables), strict=True)
        ]
        at = np.concatenate([at, np.arange(columns.size)])[order]  # (s,)
        return cls(points, labels, at, tables, *largest)

    @property
    def n_classes(self) -> int:
        return len(self.tables[0][0])

    def margins(
        self, nodes: NDArray[np.int64], columns: NDArray[np.int64] | int
    ) -> NDArray[np.float32]:
        """Return the margins of (k,) `nodes` for the classes in the matching `columns`: (k,)."""
        at, known = self.at[nodes], self.labels[nodes] != -2  # (k,)
        columns = np.broadcast_to(columns, at.shape)
        own = np.empty(at.size, dtype=np.float32)
        for table, mask in zip(self.tables, (~known, known), strict=True):
            own[mask] = table[at[mask], columns[mask]]
        best = self.best[nodes]  # (k,)
        return own - np.where(best == columns, self.second[nodes], self.first[nodes])

    def queue(self, column: int, n: int) -> _Queue:
        """Return the first `n` nodes that a class would pick."""
        margins = self.margins(np.arange(self.points.size), column)  # (s,)
        line = np.argsort(margins, kind="stable")  # (s,) nodes from the lower end to the upper
        known = self.labels[line] != -2  # (s,)
        low, high = _cut(np.flatnonzero(known), self.labels[line][known] == column, line.size)
        places = np.fromiter(islice(_places(low, high, known), n), dtype=np.int64)
        return _Queue(iter(line[places].tolist()), high - low - 1)


def _cut(places: NDArray[np.int64], own: NDArray[np.bool_], size: int) -> tuple[int, int]:
    """Return the ends of the shortest cut; `own` marks the (m,) labelled places of the class."""
    if not own.any():
        places, own = np.append(places, size), np.append(own, True)
    elif own.all():
        places, own = np.append(-1, places), np.append(False, own)
    lower = np.flatnonzero(own[1:] != own[:-1])[::-1]  # (c,) the upper cuts first
    between = places[lower + 1] - places[lower] - 1  # (c,) unlabelled points
    shortest = lower[np.where(between > 0, between, size).argmin()]
    return int(places[shortest]), int(places[shortest + 1])


def _places(low: int, high: int, known: NDArray[np.bool_]) -> Iterator[int]:
    """Yield every unlabelled place of the order: inside the cut, then outside."""
    yield from _bisected(low, high)
    sides = [iter(range(high + 1, known.size)), iter(range(low - 1, -1, -1))]
    while sides:
        for side in list(sides):
            place = next((place for place in side if not known[place]), None)
            if place is None:
                sides.remove(side)
            else:
                yield place


def _bisected(low: int, high: int) -> Iterator[int]:
    """Yield the integers between two ends: the (upper) middle, then the middles of the halves."""
    spans = deque([(low, high)])
    while spans:
        low, high = spans.popleft()
        if high - low > 1:
            middle = (low + high + 1) // 2
            yield middle
            spans.extend([(middle, high), (low, middle)])
