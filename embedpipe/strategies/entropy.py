"""Entropy sampling."""

from __future__ import annotations

from typing import ClassVar

from .base import strategies
from .parts import uncertainty
from .parts.most_uncertain import MostUncertain

__all__ = ["Entropy"]


@strategies.register("entropy")
class Entropy(MostUncertain):
    """The items whose predicted distribution has the largest entropy.

    The score is H(p)/log K: 0 for a one-hot prediction, 1 for a uniform one. Ties go to the
    lowest row.

    Notes
    -----
    O(u·K) time; 8·K + 24 bytes of extra memory per unlabelled item beside the pool's predictions.

    References
    ----------
    Shannon (1948), "A mathematical theory of communication".

    Examples
    --------
    >>> import numpy as np
    >>> from embedpipe.strategies import Pool
    >>> predictions = np.array([[1, 0], [0.4, 0.6], [0, 1]])
    >>> pool = Pool(
    ...     np.eye(3, dtype=np.float32),
    ...     labelled=[2], labels=[1], probabilities=lambda rows: predictions[rows],
    ... )
    >>> selection = Entropy().select(pool, 2, np.random.default_rng(0))
    >>> selection.rows.tolist(), [round(float(s), 2) for s in selection.scores]
    ([1, 0], [0.97, 0.0])
    """

    name: ClassVar[str] = "entropy"
    score = staticmethod(uncertainty.entropy)
