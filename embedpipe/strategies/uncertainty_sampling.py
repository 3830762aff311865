"""Uncertainty sampling: margin, least confidence and entropy."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..index.vectors import Matrix, on_parts
from .algorithms.predictions import (
    Uncertainty,
    entropy,
    least_confidence,
    margin,
    uncertainty_of,
)
from .pool import Pool
from .strategy import Selection, Strategy, strategies, top_k

__all__ = ["Entropy", "LeastConfidence", "Margin"]


class MostUncertain(Strategy):
    """Items with the largest uncertainty `score`; ties go to the lowest row."""

    needs_labels: ClassVar[bool] = True

    @staticmethod
    @abstractmethod
    def score(probabilities: NDArray[Any]) -> NDArray[np.float64]:
        """Return the uncertainty of each of (m, K) predictions: (m,)."""

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Take the `n` largest scores."""
        if pool.has_workers:
            found = on_parts(pool.embeddings, pool.unlabelled, _top, pool.head, self.score, n)
            rows, scores = map(np.concatenate, zip(*found, strict=True))  # ascending rows
            best = top_k(scores, n)
            return Selection(rows[best], scores[best].astype(np.float32))
        scores = uncertainty_of(pool, self.score)  # (u,)
        best = top_k(scores, n)  # (n,)
        return Selection(pool.unlabelled[best], scores[best].astype(np.float32))


def _top(
    matrix: Matrix, rows: NDArray[np.int64], head: Any, score: Uncertainty, n: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the `n` rows with the largest scores, or all, ascending, and the scores."""
    scores = uncertainty_of(Pool(matrix, head=head, candidates=rows), score)
    best = np.sort(top_k(scores, min(n, rows.size)))
    return rows[best], scores[best]


@strategies.register("margin")
class Margin(MostUncertain):
    """Items whose two most likely classes have the closest probabilities.

    The score is 1 − (p₁ − p₂), with p₁ and p₂ the two largest probabilities, from 0 (one-hot
    prediction) to 1 (uniform). Ties go to the lowest row.

    References
    ----------
    Scheffer, Decomain, Wrobel (2001), "Active hidden Markov models for information extraction".

    Examples
    --------
    >>> import numpy as np
    >>> from embedpipe.strategies import Pool
    >>> predictions = np.array([[1, 0], [0.4, 0.6], [0, 1]])
    >>> pool = Pool(
    ...     np.eye(3, dtype=np.float32),
    ...     labelled=[2], labels=[1], probabilities=lambda rows: predictions[rows],
    ... )
    >>> selection = Margin().select(pool, 2, np.random.default_rng(0))
    >>> selection.rows.tolist(), [round(float(s), 2) for s in selection.scores]
    ([1, 0], [0.8, 0.0])
    """

    name: ClassVar[str] = "margin"
    score = staticmethod(margin)


@strategies.register("least_confidence")
class LeastConfidence(MostUncertain):
    """Items whose most likely class has the lowest probability.

    The score is (1 − p₁)·K/(K − 1) for K classes, with p₁ the largest probability. The score is
    from 0 (one-hot prediction) to 1 (uniform). Ties go to the lowest row.

    References
    ----------
    Lewis, Gale (1994), "A sequential algorithm for training text classifiers".
    """

    name: ClassVar[str] = "least_confidence"
    score = staticmethod(least_confidence)


@strategies.register("entropy")
class Entropy(MostUncertain):
    """Items whose predicted distribution has the largest entropy.

    The score is the entropy divided by log K for K classes, from 0 (one-hot prediction) to 1
    (uniform). Ties go to the lowest row.

    References
    ----------
    Shannon (1948), "A mathematical theory of communication".
    """

    name: ClassVar[str] = "entropy"
    score = staticmethod(entropy)
