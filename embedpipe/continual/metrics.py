"""Metrics of an accuracy matrix, as defined by CLEAR, GEM and Avalanche."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UnknownNameError, UsageError
from .stream import PROTOCOLS

__all__ = ["METRICS", "accuracy_matrix", "continual_metrics"]

Float64 = NDArray[np.float64]

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "clear_in_domain": "accuracy on the experience just learned: mean of R[i, i]",
        "clear_next_domain": "accuracy on the next experience: mean of R[i, i + 1]",
        "clear_accuracy": "accuracy on all experiences so far: mean of R[i, j] over i >= j",
        "clear_backward": "accuracy on earlier experiences: mean of R[i, j] over i > j",
        "clear_forward": "accuracy on later experiences: mean of R[i, j] over i < j",
        "gem_accuracy": "final accuracy: mean of R[T - 1, j]",
        "gem_bwt": "backward transfer: mean of R[T - 1, j] - R[j, j] over j < T - 1",
        "gem_fwt": "forward transfer: mean of R[j - 1, j] - floor[j] over j >= 1",
        "avalanche_bwt": "final accuracy minus accuracy just after learning: "
        "mean of R[T - 1, j] - R[j, j] over j < T - 1",
        "avalanche_fwt": "accuracy before learning minus accuracy of an untrained head: "
        "mean of R[j - 1, j] - floor[j] over j >= 1",
        "forgetting_last": "accuracy just after learning minus final accuracy: "
        "mean of R[j, j] - R[T - 1, j] over j < T - 1",
        "forgetting_max": "best accuracy minus final accuracy: "
        "mean of (max of R[i, j] over i < T - 1) - R[T - 1, j] over j < T - 1",
    }
)
"""Definitions of the metrics. R[i, j] is the accuracy on experience j after learning experience i.
There are T experiences, counted from 0. floor[j] is the accuracy of an untrained head."""


def accuracy_matrix(rows: Iterable[tuple[int, ArrayLike]], size: int) -> Float64:
    """Return the (T, T) accuracy matrix from pairs (experience, (T,) accuracies); T is `size`.

    >>> accuracy_matrix([(1, [0.5, 1.0])], 2).tolist()
    [[nan, nan], [0.5, 1.0]]
    """
    matrix = np.full((size, size), np.nan)
    for experience, accuracies in rows:
        matrix[experience] = accuracies
    return matrix


def continual_metrics(
    R: ArrayLike, *, protocol: str = "iid", floor: ArrayLike | None = None
) -> dict[str, float]:
    """Return the metrics of an accuracy matrix.

    Parameters
    ----------
    R
        (T, T) accuracies: R[i, j] on the test rows of experience j, after learning experience i.
        NaN where undefined.
    protocol
        ``"iid"`` or ``"streaming"``. In the streaming protocol, cells with i >= j are ignored,
        because the head was trained on their test rows.
    floor
        (T,) accuracies of an untrained head, the lower baseline. If None, the metrics that use
        `floor` are NaN.

    Returns
    -------
    dict
        Values by the names in `METRICS`, which has the formulas. A value that needs an undefined
        cell is NaN.

    Raises
    ------
    UsageError
        If `R` is not square, is empty or holds infinity, or `floor` has another length.
    UnknownNameError
        If `protocol` is unknown.

    Notes
    -----
    CLEAR's backward and forward transfer are accuracies; GEM's are differences of accuracies.
    Avalanche computes its transfer metrics after every experience. The values here are those after
    the last experience, which equal GEM's.

    References
    ----------
    Lin, Shi, Pathak, Ramanan (2021), "The CLEAR benchmark: continual learning on real-world
    imagery", arXiv:2201.06289. Lopez-Paz, Ranzato (2017), "Gradient episodic memory for continual
    learning", arXiv:1706.08840. Chaudhry, Dokania, Ajanthan, Torr (2018), "Riemannian walk for
    incremental learning", arXiv:1801.10112. Lomonaco et al. (2021), "Avalanche: an end-to-end
    library for continual learning", arXiv:2104.00405.

    Examples
    --------
    >>> found = continual_metrics([[0.75, 0.5], [0.5, 1.0]], floor=[0.25, 0.25])
    >>> found["clear_in_domain"], found["gem_bwt"], found["gem_fwt"], found["forgetting_max"]
    (0.875, -0.25, 0.25, 0.25)
    """
    matrix = _checked(R, protocol)  # (T, T)
    T = len(matrix)
    base = _checked_floor(floor, T)  # (T,)
    i, j = np.indices((T, T))
    if protocol == "streaming":
        matrix[i >= j] = np.nan
    own, last = matrix.diagonal(), matrix[-1]  # (T,), (T,)
    best = matrix[:-1].max(axis=0, initial=-np.inf)  # (T,), without the last row of R
    past = slice(T - 1)
    cells = {
        "clear_in_domain": own,
        "clear_next_domain": matrix.diagonal(1),
        "clear_accuracy": matrix[i >= j],
        "clear_backward": matrix[i > j],
        "clear_forward": matrix[i < j],
        "gem_accuracy": last,
        "gem_bwt": (last - own)[past],
        "gem_fwt": matrix.diagonal(1) - base[1:],
        "forgetting_last": (own - last)[past],
        "forgetting_max": (best - last)[past],
    }
    cells["avalanche_bwt"], cells["avalanche_fwt"] = cells["gem_bwt"], cells["gem_fwt"]
    return {name: float(cells[name].mean()) if cells[name].size else np.nan for name in METRICS}


def _checked(R: ArrayLike, protocol: str) -> Float64:
    """Return a copy of the accuracy matrix; refuse invalid arguments."""
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", str(protocol), PROTOCOLS)
    matrix = np.array(R, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise UsageError(
            f"the accuracy matrix has shape {matrix.shape}: give one row and one column for each "
            "experience."
        )
    if np.isinf(matrix).any():
        raise UsageError("the accuracy matrix holds infinity: give NaN where it is undefined.")
    return matrix


def _checked_floor(given: Any, T: int) -> Float64:
    """Return the lower baseline; NaN without one."""
    if given is None:
        return np.full(T, np.nan)
    floor = np.asarray(given, dtype=np.float64)
    if floor.shape != (T,) or np.isinf(floor).any():
        raise UsageError(
            f"floor is {given!r}: give the accuracy of an untrained head on each of the {T} "
            "experiences."
        )
    return floor
