"""Functions of predictions: uncertainties, the two most probable classes, columns of classes.

An uncertainty maps (m, K) probabilities to (m,) float64, from 0 (one-hot) to 1 (uniform), and to
0 for a single class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...errors import SelectionError, UnknownNameError
from ...index.vectors import row_blocks
from ..pool import Pool

__all__ = [
    "UNCERTAINTIES",
    "Uncertainty",
    "check_uncertainty",
    "entropy",
    "label_columns",
    "least_confidence",
    "margin",
    "two_largest",
    "uncertainty_of",
]

Uncertainty: TypeAlias = Callable[[NDArray[Any]], NDArray[np.float64]]

ROWS = 4096
"""Predictions per block."""


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
    """Return H(p)/log K, the entropy of K probabilities as a share of the maximum."""
    p = np.asarray(probabilities, dtype=np.float64)  # (m, K)
    k = p.shape[1]
    if k == 1:
        return np.zeros(len(p))
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)  # 0·log 0 = 0
    return _unit(-(p * logs).sum(axis=1) / np.log(k))  # (m,)


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clip values to [0, 1], and replace -0 by 0."""
    return np.clip(values, 0, 1) + 0.0


UNCERTAINTIES: Mapping[str, Uncertainty] = MappingProxyType(
    {"least_confidence": least_confidence, "margin": margin, "entropy": entropy}
)
"""The uncertainties by name."""


def check_uncertainty(name: str) -> str:
    """Return the name of an uncertainty, or raise `UnknownNameError`."""
    if name not in UNCERTAINTIES:
        raise UnknownNameError("uncertainty", name, UNCERTAINTIES)
    return name


def label_columns(pool: Pool, n_columns: int) -> NDArray[np.int64]:
    """Return the (m,) column of the class of each labelled row; -1 for a class without column."""
    classes = pool.classes.tolist()
    if len(classes) != n_columns:
        raise SelectionError(
            f"the predictions have {n_columns} columns, but {len(classes)} classes are labelled: "
            "give the pool a fitted `head`, whose `classes_` name the columns."
        )
    column = {label: number for number, label in enumerate(classes)}
    labels = [] if pool.labels is None else pool.labels.tolist()
    return np.array([column.get(label, -1) for label in labels], dtype=np.int64)


def uncertainty_of(
    pool: Pool, uncertainty: Uncertainty, rows: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return the uncertainty of (k,) rows, by default the unlabelled rows: (k,)."""
    wanted = pool.unlabelled if rows is None else rows
    found = np.empty(wanted.size)
    for part in row_blocks(wanted.size, ROWS):
        found[part] = uncertainty(pool.probabilities(wanted[part]))
    return found


def two_largest(
    probabilities: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Return the most probable class and the two largest probabilities of each item: (k,)."""
    # With a single class, the second probability is 0. Ties go to the first class.
    best = np.empty(len(probabilities), dtype=np.int64)
    first, second = np.zeros((2, best.size), dtype=np.float32)
    for part in row_blocks(best.size, ROWS):
        some = probabilities[part]  # (b, C)
        best[part], first[part] = some.argmax(axis=1), some.max(axis=1)
        if some.shape[1] > 1:
            second[part] = np.partition(some, -2, axis=1)[:, -2]
    return best, first, second
