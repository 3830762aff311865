"""What predictions tell: how unsure each is, the two likeliest classes, columns of classes.

An uncertainty is a function of class probabilities: 0 for a one-hot prediction and 1 for a uniform
one; 0 where there is a single class. It takes (m, K) probabilities and returns (m,) float64; the
scalings are those of Lightly's ``uncertainty_*``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...errors import SelectionError
from ...index.vectors import row_blocks
from ..pool import Pool

__all__ = [
    "UNCERTAINTIES",
    "Uncertainty",
    "entropy",
    "label_columns",
    "least_confidence",
    "margin",
    "two_largest",
    "uncertainty_of",
]

Uncertainty: TypeAlias = Callable[[NDArray[Any]], NDArray[np.float64]]

ROWS = 4096
"""How many predictions are looked at once: some classes make for many bytes."""


def least_confidence(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Return (1 − p₁)·K/(K − 1), with p₁ the largest of K probabilities."""
    p = np.asarray(probabilities, dtype=np.float64)  # (m, K)
    k = p.shape[1]
    if k == 1:
        return np.zeros(len(p))
    return _unit((1 - p.max(axis=1)) * k / (k - 1))  # (m,)


def margin(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Return 1 − (p₁ − p₂), with p₁ and p₂ the two largest probabilities."""
    p = np.asarray(probabilities, dtype=np.float64)  # (m, K)
    if p.shape[1] == 1:
        return np.zeros(len(p))
    second, first = np.partition(p, -2, axis=1)[:, -2:].T  # (m,), (m,)
    return _unit(1 - (first - second))  # (m,)


def entropy(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Return H(p)/log K, the entropy of K probabilities as a share of the largest possible."""
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


def label_columns(pool: Pool, n_columns: int) -> NDArray[np.int64]:
    """Return the column of each labelled row's class: (m,) int64, -1 where there is none."""
    classes = pool.classes.tolist()
    if len(classes) != n_columns:
        raise SelectionError(
            f"the predictions have {n_columns} columns, but {len(classes)} classes are labelled: "
            "give the pool a fitted `head`, which says what its columns stand for."
        )
    column = {label: number for number, label in enumerate(classes)}
    labels = [] if pool.labels is None else pool.labels.tolist()
    return np.array([column.get(label, -1) for label in labels], dtype=np.int64)


def uncertainty_of(
    pool: Pool, uncertainty: Uncertainty, rows: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return how unsure the head is of (k,) rows, by default the unlabelled: (k,)."""
    wanted = pool.unlabelled if rows is None else rows
    found = np.empty(wanted.size)
    for part in row_blocks(wanted.size, ROWS):
        found[part] = uncertainty(pool.probabilities(wanted[part]))
    return found


def two_largest(
    probabilities: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Return the most probable class of (k, C) predictions, its probability and the next: (k,)."""
    # With a single class the next is 0; the first of equally probable classes counts.
    best = np.empty(len(probabilities), dtype=np.int64)
    first, second = np.zeros((2, best.size), dtype=np.float32)
    for part in row_blocks(best.size, ROWS):
        some = probabilities[part]  # (b, C)
        best[part], first[part] = some.argmax(axis=1), some.max(axis=1)
        if some.shape[1] > 1:
            second[part] = np.partition(some, -2, axis=1)[:, -2]
    return best, first, second
