"""Taking the items with the largest of an uncertainty: what changes is the uncertainty alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..base import Selection, Strategy
from ..pool import Pool
from .picking import top_k
from .predictions import uncertainty_of

__all__ = ["MostUncertain"]


class MostUncertain(Strategy):
    """The items of the largest `score`, a function of their probabilities; ties by lowest row."""

    needs_labels: ClassVar[bool] = True

    @staticmethod
    @abstractmethod
    def score(probabilities: NDArray[Any]) -> NDArray[np.float64]:
        """Return how unsure each of (m, K) predictions is: (m,)."""

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Take the `n` largest scores."""
        scores = uncertainty_of(pool, self.score)  # (u,)
        best = top_k(scores, n)  # (n,)
        return Selection(pool.unlabelled[best], scores[best].astype(np.float32))
