"""The picks of loops with their thumbnails, predictions, neighbours and places on a map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .._loops.arrays import is_labelled
from .picks import Guess, Neighbour, Pick
from .thumbnails import thumbnails_of

if TYPE_CHECKING:
    from ..active import ActiveLoop, Problem, RoundRecord
    from ..active.round_predictions import Predicted

__all__ = ["LoopPicks", "shown_per_round"]

MAX_SHOWN = 6000
"""Maximum picks of a report with a thumbnail, which takes about 1 kB at this number."""

LARGE, SMALL, MAX_LARGE = 96, 64, 2000
"""Sides of thumbnails in pixels, and the maximum number of larger ones."""

NEIGHBOURS = 3
"""Neighbours of each pick."""

MAX_OTHERS = 3000
"""Maximum images on the map that were not picked."""


def shown_per_round(counts: Sequence[int]) -> int:
    """Return how many picks of each round a page shows, from the number of picks in each round.

    Examples
    --------
    >>> shown_per_round([100, 50]), shown_per_round([5000, 5000, 5000])
    (100, 2000)
    """
    if sum(counts) <= MAX_SHOWN:
        return max(counts, default=0)
    return max(1, MAX_SHOWN // len(counts))


@dataclass(frozen=True)
class LoopPicks:
    """The picks of loops on one problem.

    Attributes
    ----------
    problem
        The problem of all loops.
    limit
        Number of picks of a round that have details, see `shown_per_round`.
    thumbnails
        Encoded thumbnails by row; without a dataset there are none.
    places
        Places of picks on the map by row, each coordinate from 0 to 1.
    others
        (m, 2) float32 places of at most 3,000 other candidates.
    """

    problem: Problem
    limit: int
    thumbnails: dict[int, bytes | None]
    places: dict[int, tuple[float, float]]
    others: NDArray[np.float32]

    @classmethod
    def of(cls, loops: Sequence[ActiveLoop]) -> LoopPicks:
        """Return the picks of loops, which have at least one round."""
        problem = loops[0].problem
        records = [record for loop in loops for record in loop.records]
        limit = shown_per_round([record.rows.size for record in records])
        nothing = np.array([], np.int64)
        rows = np.unique(np.concatenate([nothing, *(record.rows[:limit] for record in records)]))
        places, others = _map(problem, rows)
        return cls(problem, limit, _thumbnails(problem, rows), places, others)

    def of_loop(self, loop: ActiveLoop) -> Iterator[tuple[Pick, ...]]:
        """Yield the picks of each round; those after the limit have only id, score and label."""
        labels: dict[int, str] = {}  # of the labelled rows before the round, in their order
        for record in loop.records:
            yield tuple(self._of_round(record, labels))
            known = is_labelled(record.labels)
            answers = [str(label) for label in record.labels[known].tolist()]
            labels.update(zip(record.rows[known].tolist(), answers, strict=True))

    def _of_round(self, record: RoundRecord, labels: dict[int, str]) -> Iterator[Pick]:
        n = min(self.limit, record.rows.size)
        before, after = (self._guesses(record, name, n) for name in ("before", "after"))
        neighbours = self._neighbours(record.rows[:n], labels)
        answers = zip(record.rows.tolist(), record.scores.tolist(), record.labels, strict=True)
        for rank, (row, score, label) in enumerate(answers):
            name, text = self._name(row), None if label is None else str(label)
            if rank >= n:
                yield Pick(name, score, text)
                continue
            yield Pick(
                name,
                score,
                text,
                self.thumbnails.get(row),
                before[rank],
                after[rank],
                neighbours[rank],
                self.places[row],
            )

    def _name(self, row: int) -> str:
        ids = self.problem.ids
        return f"row {row}" if ids is None else ids[row]

    def _guesses(self, record: RoundRecord, name: str, n: int) -> list[Guess | None]:
        """Return the predictions ``"before"`` or ``"after"`` the round for its first `n` picks."""
        found: Predicted | None = getattr(record.predictions, name, None)
        if record.predictions is None or found is None:
            return [None] * n
        classes = record.predictions.classes[found.codes[:n]].tolist()
        probabilities = found.probabilities[:n].tolist()
        return [Guess(str(label), p) for label, p in zip(classes, probabilities, strict=True)]

    def _neighbours(
        self, rows: NDArray[np.int64], labels: dict[int, str]
    ) -> list[tuple[Neighbour, ...]]:
        """Return the most similar labelled images of each of (n,) rows."""
        from ..index import nearest_in_set, vectors_of

        if not labels or not rows.size:
            return [()] * rows.size
        vectors = vectors_of(self.problem.matrix, "cosine")
        labelled = np.array([*labels], np.int64)
        nearest, distances = nearest_in_set(vectors, rows, labelled, NEIGHBOURS)
        cosine = np.square(distances) / 2  # distances of unit vectors
        return [
            tuple(
                Neighbour(self._name(row), labels[row], distance)
                for row, distance in zip(found, away, strict=True)
            )
            for found, away in zip(nearest.tolist(), cosine.tolist(), strict=True)
        ]


def _thumbnails(problem: Problem, rows: NDArray[np.int64]) -> dict[int, bytes | None]:
    """Return the thumbnails of rows; empty without a dataset."""
    if problem.embeddings is None or problem.ids is None:
        return {}
    size = LARGE if rows.size <= MAX_LARGE else SMALL
    names = {row: problem.ids[row] for row in rows.tolist()}
    found = thumbnails_of(problem.embeddings.dataset, [*names.values()], size)
    return {row: found.get(name) for row, name in names.items()}


def _map(
    problem: Problem, picked: NDArray[np.int64]
) -> tuple[dict[int, tuple[float, float]], NDArray[np.float32]]:
    """Return the places of the picks by row, and those of other candidates."""
    from ..active.sample import sample_of
    from ..index.layouts import FULL, map_coordinates, principal_plane

    sample = problem.candidates[sample_of(problem.candidates, 0, MAX_OTHERS)]
    rows = np.union1d(sample, picked)  # (p,)
    points = map_coordinates(principal_plane(problem.matrix, rows)) / FULL  # (p, 2)
    of_picks = np.isin(rows, picked)
    x, y = points[of_picks].T.tolist()
    places = dict(zip(rows[of_picks].tolist(), zip(x, y, strict=True), strict=True))
    return places, np.asarray(points[~of_picks], dtype=np.float32)
