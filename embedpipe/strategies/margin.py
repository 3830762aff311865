"""Margin sampling."""

from __future__ import annotations

from typing import ClassVar

from .base import strategies
from .parts import uncertainty
from .parts.most_uncertain import MostUncertain

__all__ = ["Margin"]


@strategies.register("margin")
class Margin(MostUncertain):
    """The items whose two most likely classes are the closest.

    The score is 1 − (p₁ − p₂): 0 for a one-hot prediction, 1 for a uniform one. Ties go to the
    lowest row.

    Notes
    -----
    O(u·K) time; 8·K + 24 bytes of extra memory per unlabelled item beside the pool's predictions.

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
    score = staticmethod(uncertainty.margin)
