"""How unsure a prediction is: pure functions of class probabilities.

Each is 0 for a one-hot prediction and 1 for a uniform one; with a single class nothing is
uncertain and each is 0. They say nothing about picking.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNCERTAINTIES", "Uncertainty", "entropy", "least_confidence", "margin"]

Uncertainty: TypeAlias = Callable[[NDArray[Any]], NDArray[np.float64]]


def least_confidence(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Return (1 − p₁)·K/(K − 1), with p₁ the largest of K probabilities.

    Parameters
    ----------
    probabilities
        (m, K) class probabilities, each row summing to 1.

    Returns
    -------
    (m,) float64
        In [0, 1].

    Notes
    -----
    The scaling is that of Lightly's ``uncertainty_least_confidence``. O(m·K) time.

    References
    ----------
    Lewis, Gale (1994), "A sequential algorithm for training text classifiers".

    Examples
    --------
    >>> least_confidence(np.array([[1, 0, 0], [0.5, 0.25, 0.25]])).tolist()
    [0.0, 0.75]
    """
    p = np.asarray(probabilities, dtype=np.float64)  # (m, K)
    k = p.shape[1]
    if k == 1:
        return np.zeros(len(p))
    return _unit((1 - p.max(axis=1)) * k / (k - 1))  # (m,)


def margin(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Return 1 − (p₁ − p₂), with p₁ and p₂ the two largest probabilities.

    Parameters
    ----------
    probabilities
        (m, K) class probabilities, each row summing to 1.

    Returns
    -------
    (m,) float64
        In [0, 1].

    Notes
    -----
    The scaling is that of Lightly's ``uncertainty_margin``. O(m·K) time.

    References
    ----------
    Scheffer, Decomain, Wrobel (2001), "Active hidden Markov models for information extraction".

    Examples
    --------
    >>> margin(np.array([[1, 0, 0], [0.5, 0.25, 0.25]])).tolist()
    [0.0, 0.75]
    """
    p = np.asarray(probabilities, dtype=np.float64)  # (m, K)
    if p.shape[1] == 1:
        return np.zeros(len(p))
    second, first = np.partition(p, -2, axis=1)[:, -2:].T  # (m,), (m,)
    return _unit(1 - (first - second))  # (m,)


def entropy(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Return H(p)/log K, the entropy of K probabilities as a share of the largest possible.

    Parameters
    ----------
    probabilities
        (m, K) class probabilities, each row summing to 1.

    Returns
    -------
    (m,) float64
        In [0, 1].

    Notes
    -----
    The scaling is that of Lightly's ``uncertainty_entropy``. O(m·K) time.

    References
    ----------
    Shannon (1948), "A mathematical theory of communication".

    Examples
    --------
    >>> entropy(np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0]])).tolist()
    [0.0, 0.5]
    """
    p = np.asarray(probabilities, dtype=np.float64)  # (m, K)
    k = p.shape[1]
    if k == 1:
        return np.zeros(len(p))
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)  # 0·log 0 = 0
    return _unit(-(p * logs).sum(axis=1) / np.log(k))  # (m,)


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Remove what rounding put outside [0, 1], and the sign of zero."""
    return np.clip(values, 0, 1) + 0.0


UNCERTAINTIES: Mapping[str, Uncertainty] = MappingProxyType(
    {"least_confidence": least_confidence, "margin": margin, "entropy": entropy}
)
"""The uncertainties by name."""
