"""In the midst of many others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..._specs import check_count
from ...index import check_metric
from ..parts.metric import METRIC
from ..pool import Pool
from .base import Float64s, StaticObjective, objectives

__all__ = ["Typicality"]


@objectives.register("typicality")
@dataclass(frozen=True)
class Typicality(StaticObjective):
    """In the midst of many others: near its own nearest neighbours.

    The value is the inverse of the mean distance to the nearest other points of the pool,
    divided by the largest such inverse: in (0, 1].

    Parameters
    ----------
    neighbours
        How many nearest points count. If there are fewer, all of them.
    metric
        ``"cosine"``: distances are between vectors scaled to unit length, as most heads see them;
        ``"euclidean"``: between vectors as they are.
    strength
        The power that the value is raised to.

    References
    ----------
    Hacohen, Dekel, Weinshall (2022), "Active learning on a budget: opposite strategies suit high
    and low budgets", arXiv:2202.02794.

    Examples
    --------
    >>> pool = Pool(np.array([[0], [1], [3]], dtype=np.float32))
    >>> Typicality(neighbours=1, metric="euclidean").measure(pool).tolist()
    [1.0, 1.0, 0.5]
    """

    name: ClassVar[str] = "typicality"

    neighbours: int = 20
    metric: str = METRIC

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("neighbours", self.neighbours)
        check_metric(self.metric)

    def measure(self, pool: Pool) -> Float64s:
        """Return the typicality of each unlabelled row: (u,), in (0, 1]."""
        index = pool.measured_by(self.metric).index
        away = np.zeros(index.rows.size)  # (p,)
        if index.rows.size > 1:
            away = index.neighbours(self.neighbours).distances.mean(axis=1, dtype=np.float64)
        away = away[index.find(pool.unlabelled)]  # (u,)
        apart = away[away > 0]
        nearest = apart.min() if apart.size else 1.0
        return np.minimum(1.0, nearest / np.maximum(away, nearest))  # (u,)
