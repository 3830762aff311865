"""Least-confidence sampling."""

from __future__ import annotations

from typing import ClassVar

from .base import strategies
from .parts import uncertainty
from .parts.most_uncertain import MostUncertain

__all__ = ["LeastConfidence"]


@strategies.register("least_confidence")
class LeastConfidence(MostUncertain):
    """The items whose most likely class is the least likely.

    The score is (1 − p₁)·K/(K − 1): 0 for a one-hot prediction, 1 for a uniform one. Ties go to the
    lowest row.

    Notes
    -----
    O(u·K) time; 8·K + 24 bytes of extra memory per unlabelled item beside the pool's predictions.

    References
    ----------
    Lewis, Gale (1994), "A sequential algorithm for training text classifiers".

    Examples
    --------
    >>> import numpy as np
    >>> from embedpipe.strategies import Pool
    >>> predictions = np.array([[1, 0], [0.4, 0.6], [0, 1]])
    >>> pool = Pool(
    ...     np.eye(3, dtype=np.float32),
    ...     labelled=[2], labels=[1], probabilities=lambda rows: predictions[rows],
    ... )
    >>> selection = LeastConfidence().select(pool, 2, np.random.default_rng(0))
    >>> selection.rows.tolist(), [round(float(s), 2) for s in selection.scores]
    ([1, 0], [0.8, 0.0])
    """

    name: ClassVar[str] = "least_confidence"
    score = staticmethod(uncertainty.least_confidence)
