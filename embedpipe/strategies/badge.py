"""BADGE: batches that are uncertain and diverse in the space of gradients."""

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
    """The items whose gradients are long and far apart: BADGE.

    The gradient of an item x with class probabilities p is that of the log-loss by the weights
    of a linear head, were the predicted class true: g = (p − e) ⊗ x, with e the one-hot vector of
    the most probable class, the first of several. Uncertain items have long gradients. The first
    pick has the longest, as in the authors' code; each further one is drawn with a probability
    proportional to its squared distance from the nearest pick before it, as k-means++ draws its
    seeds. When all of these are 0 (certain predictions, or copies of what is picked), the lowest
    rows follow.

    x is the embedding scaled to unit length, as most heads see it, or with the Euclidean metric as
    it is given, as in the paper; nothing is appended to it for the bias of the head. Distances
    factorise over p − e and x, and the draws follow exactly the distribution that they have when
    every item is measured after each pick, see `DistanceSampler`; only few items are.

    Parameters
    ----------
    metric
        ``"cosine"``: x has unit length; ``"euclidean"``: x is the embedding as it is.

    Raises
    ------
    UsageError
        If there is no such metric.

    Notes
    -----
    `Selection.scores` holds the distance of each pick from the nearest one before it; the first
    pick has none and gets its norm.

    Diagnostics: ``gradient_norm`` (k,) float32, the length of g of each pick.

    O(u·(C + d)) time to start, then a small fraction of that per pick; extra memory: 96 bytes
    per item beside the pool's predictions, up to 96 MB of picks and distances, and blocks of 256
    vectors. No gradient is ever written out.

    References
    ----------
    Ash, Zhang, Krishnamurthy, Langford, Agarwal (2020), "Deep batch active learning by diverse,
    uncertain gradient lower bounds", arXiv:1906.03671.

    Examples
    --------
    >>> predictions = np.array([[1, 0], [0.5, 0.5], [0.75, 0.25], [1, 0]])
    >>> pool = Pool(
    ...     np.array([[9], [2], [8], [5]], dtype=np.float32),
    ...     labelled=[0], labels=[0], probabilities=lambda rows: predictions[rows],
    ... )
    >>> selection = Badge(metric="euclidean").select(pool, 1, np.random.default_rng(0))
    >>> selection.rows.tolist(), selection.scores  # 8·√(1/8), which is more than 2·√(1/2)
    ([2], array([2.828427], dtype=float32))
    """

    name: ClassVar[str] = "badge"
    needs_labels: ClassVar[bool] = True

    def __init__(self, *, metric: str = METRIC) -> None:
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Take the longest gradient, then draw."""
        points = np.flatnonzero(~pool.unique_labelled)  # (f,)
        rows = pool.index.rows[points]  # (f,)
        pool.probabilities()  # worked out here, not in the sampler's threads

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
    """Return up to `n` picks, fewer if all that is left is at distance 0."""
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
