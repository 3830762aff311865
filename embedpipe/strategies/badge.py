"""BADGE: batches that are uncertain and diverse in gradient space."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..index import DistanceSampler, Drawn, check_metric
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, UniquePicks, strategies

__all__ = ["Badge"]


@strategies.register("badge")
class Badge(DiverseStrategy):
    """Items with large and diverse loss gradients.

    The gradient of an item x with class probabilities p is g = (p − e) ⊗ x, where e is the one-hot
    vector of the most probable class. The first pick has the longest gradient. Each further pick
    is drawn with probability proportional to its squared distance to the nearest earlier pick
    (k-means++). When all distances are 0, the lowest rows complete the batch.

    Parameters
    ----------
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``. The paper does not scale the
        vectors.

    Notes
    -----
    The gradients are never stored: `DistanceSampler` draws from the exact distribution with the
    factors p − e and x. No bias feature is appended to x.

    Scores: distance to the nearest earlier pick; for the first pick, the length of its gradient.
    Diagnostics: ``gradient_norm`` (k,) float32 for k picked unique vectors.

    Time for u unlabelled items, C classes and vectors of length d: O(u·(C + d)) to start, then a
    small fraction of this per pick. Extra memory: 96 bytes per item besides the predictions, and up
    to 96 MB.

    References
    ----------
    Ash, Zhang, Krishnamurthy, Langford, Agarwal (2020), "Deep batch active learning by diverse,
    uncertain gradient lower bounds", arXiv:1906.03671.
    """

    name: ClassVar[str] = "badge"
    needs_labels: ClassVar[bool] = True

    def __init__(self, *, metric: str = METRIC) -> None:
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Take the item with the longest gradient, then draw the other items."""
        points = np.flatnonzero(~pool.unique_labelled)  # (f,)
        rows = pool.index.rows[points]  # (f,)
        pool.probabilities()  # computed before the sampler's threads start

        def residuals(at: NDArray[np.int64]) -> NDArray[np.float32]:
            return _residuals(pool.probabilities(rows[at]))

        sampler = DistanceSampler(pool.vectors, rows, rng, factors=residuals)
        picks = _draw(sampler, n)
        at = np.array([pick.position for pick in picks], dtype=np.int64)  # (k,)
        scores = np.sqrt([pick.squared_distance for pick in picks])
        if at.size < n:
            left = np.setdiff1d(np.arange(points.size), at)
            at = np.concatenate([at, left[: n - at.size]])  # (n,)
            scores = np.concatenate([scores, np.zeros(n - scores.size)])
        norms = sampler.norms(at).astype(np.float32)  # (n,)
        return UniquePicks(points[at], scores, {"gradient_norm": norms})


def _draw(sampler: DistanceSampler, n: int) -> list[Drawn]:
    """Return up to `n` picks, fewer if all remaining items are at distance 0."""
    first = sampler.longest()
    picks = [Drawn(first, float(sampler.norms(np.array([first]))[0] ** 2))]
    sampler.add(first)
    while len(picks) < n and (drawn := sampler.draw()) is not None:
        picks.append(drawn)
    return picks


def _residuals(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return p − e for each of (m, C) predictions."""
    residuals = probabilities.copy()
    residuals[np.arange(len(residuals)), probabilities.argmax(axis=1)] -= 1
    return residuals
