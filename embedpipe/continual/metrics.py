"""What an accuracy matrix says: the measures of CLEAR, of GEM and of Avalanche, named apart."""

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
        "clear_next_domain": "accuracy on the experience to come: mean of R[i, i + 1]",
        "clear_accuracy": "accuracy on what has come so far: mean of R[i, j] over i >= j",
        "clear_backward": "accuracy on what came before: mean of R[i, j] over i > j",
        "clear_forward": "accuracy on what is still to come: mean of R[i, j] over i < j",
        "gem_accuracy": "accuracy in the end: mean of R[T - 1, j]",
        "gem_bwt": "what learning on did to the past: mean of R[T - 1, j] - R[j, j] over j < T - 1",
        "gem_fwt": "head start over knowing nothing: mean of R[j - 1, j] - floor[j] over j >= 1",
        "avalanche_bwt": "last accuracy minus first: mean of R[T - 1, j] - R[j, j] over j < T - 1",
        "avalanche_fwt": "accuracy before learning minus at initialisation: "
        "mean of R[j - 1, j] - floor[j] over j >= 1",
        "forgetting_last": "first accuracy minus last: "
        "mean of R[j, j] - R[T - 1, j] over j < T - 1",
        "forgetting_max": "best accuracy minus last: "
        "mean of max over i < T - 1 of R[i, j], minus R[T - 1, j], over j < T - 1",
    }
)
"""What each number means. R[i, j] is the accuracy on experience j, of T, after learning
experience i, both counted from 0; floor[j] that of a head that has learned nothing."""


def accuracy_matrix(rows: Iterable[tuple[int, ArrayLike]], size: int) -> Float64:
    """Return the (T, T) accuracy matrix, NaN after experiences of which nothing is known.

    Parameters
    ----------
    rows
        The number of an experience, and the (T,) accuracies after learning it.
    size
        T.

    Examples
    --------
    >>> accuracy_matrix([(1, [0.5, 1.0])], 2).tolist()
    [[nan, nan], [0.5, 1.0]]
    """
    found = np.full((size, size), np.nan)
    for experience, accuracies in rows:
        found[experience] = accuracies
    return found


def continual_metrics(
    R: ArrayLike, *, protocol: str = "iid", floor: ArrayLike | None = None
) -> dict[str, float]:
    """Return what an accuracy matrix says, in the words of CLEAR, GEM and Avalanche.

    Parameters
    ----------
    R
        (T, T) accuracies: R[i, j] on the test rows of experience j, after learning experience i.
        NaN where it is not defined.
    protocol
        ``"iid"``, or ``"streaming"``, in which the cells i >= j are training data: they count as
        not defined, whatever they hold.
    floor
        (T,) accuracies of a head that has learned nothing, on each experience. Without it what is
        measured from it is NaN; ``floor[0]`` is never needed.

    Returns
    -------
    dict
        By the names of `METRICS`, which has the formulas, in that order. NaN where there is no
        cell to take the mean of, or one that the formula needs is not defined: no mean leaves
        cells out.

    Raises
    ------
    UsageError
        If `R` is not square, is empty or holds infinity, or `floor` does not fit it.
    UnknownNameError
        If there is no such protocol.

    Notes
    -----
    After the last experience ``avalanche_bwt`` is ``gem_bwt``, ``forgetting_last`` minus that, and
    ``avalanche_fwt`` is ``gem_fwt``: Avalanche averages over the experiences learned before the
    one learned last, and takes the accuracy at random initialisation for `floor`. CLEAR's
    backward and forward transfer are accuracies, GEM's are differences.

    ``forgetting_max`` looks at all rows of R but the last, also at those before the experience
    was learned.

    O(T²) time.

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
    best = matrix[:-1].max(axis=0, initial=-np.inf)  # (T,), of all rows but the last
    past = slice(T - 1)
    found = {
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
    found["avalanche_bwt"], found["avalanche_fwt"] = found["gem_bwt"], found["gem_fwt"]
    return {name: float(found[name].mean()) if found[name].size else np.nan for name in METRICS}


def _checked(given: ArrayLike, protocol: str) -> Float64:
    """Return the matrix as a copy of its own."""
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", str(protocol), PROTOCOLS)
    matrix = np.array(given, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise UsageError(
            f"the accuracy matrix has shape {matrix.shape}: give one row and one column for each "
            "experience."
        )
    if np.isinf(matrix).any():
        raise UsageError("the accuracy matrix holds infinity: give NaN where it is not defined.")
    return matrix


def _checked_floor(given: Any, T: int) -> Float64:
    """Return the floor, NaN where none was given."""
    if given is None:
        return np.full(T, np.nan)
    floor = np.asarray(given, dtype=np.float64)
    if floor.shape != (T,) or np.isinf(floor).any():
        raise UsageError(
            f"floor is {given!r}: give the accuracy of an untrained head on each of the {T} "
            "experiences."
        )
    return floor
