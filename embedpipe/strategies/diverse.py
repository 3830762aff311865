"""What strategies that avoid repetition share: they choose points, not rows."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import Diagnostic, Selection, Strategy
from .pool import Pool

__all__ = ["DiverseStrategy", "PointPicks"]


@dataclass(frozen=True)
class PointPicks:
    """The points that a strategy chose, first choice first.

    Attributes
    ----------
    points
        (k,) int64, distinct unlabelled points of the pool's index.
    scores
        (k,) what each was worth; larger is better.
    diagnostics
        As in `Selection`.
    """

    points: NDArray[np.int64]
    scores: NDArray[np.floating[Any]]
    diagnostics: dict[str, Diagnostic] = field(default_factory=dict)


class DiverseStrategy(Strategy):
    """A strategy that never takes two copies of one vector while another vector is left.

    A subclass chooses among *points*: the distinct vectors of the candidates, as
    ``pool.index.rows`` numbers them. Points that are labelled, or are copies of what is, are not
    to be chosen (``pool.points_labelled``). When there are fewer other points than picks, the
    lowest unlabelled rows that are left fill the batch, with score 0.
    """

    distinct: ClassVar[bool] = True

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Choose points, then rows."""
        free = int((~pool.points_labelled).sum())
        picks = PointPicks(np.empty(0, np.int64), np.empty(0, np.float32))
        if free:
            picks = self.choose_points(pool, min(n, free), rng)
        rows = pool.index.rows[picks.points]  # (k,)
        scores = np.asarray(picks.scores, dtype=np.float32)
        short = n - rows.size
        if short:
            left = np.setdiff1d(pool.unlabelled, rows, assume_unique=True)
            rows = np.concatenate([rows, left[:short]])  # (n,)
            scores = np.concatenate([scores, np.zeros(short, np.float32)])  # (n,)
        return Selection(rows, scores, picks.diagnostics)

    @abstractmethod
    def choose_points(self, pool: Pool, n: int, rng: np.random.Generator) -> PointPicks:
        """Return exactly `n` unlabelled points; there are at least `n`, and `n` is at least 1."""
