"""Replay policies that rank the rows of an experience by their vectors."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks
from ..errors import SelectionError
from ..index import mean_vector, squared_distances
from ..index.vectors import first_non_finite, unit_length
from ..strategies import CoreSet, Pool
from ..strategies.algorithms.clusters import Members
from .memory import ExperienceBatch, evenly
from .policy import Ranked, policies

__all__ = ["ByVectors", "ClosestToCentre", "Herding", "KCenter", "OfEachClass"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Positions = NDArray[np.int64]

ROUNDING = 2.0**-24
"""Unit roundoff of float32."""


class ByVectors(Ranked):
    """A policy that ranks by vectors, scaled to unit length in float32.

    Of rows that rank equally, the lowest row is first. A subclass has a `name` and the method
    `chosen`.
    """

    @abstractmethod
    def chosen(self, vectors: Float32, codes: NDArray[np.int64], n: int) -> Positions:
        """Return the positions of `n` of (b, d) unit vectors with (b,) classes, the best first."""

    def rank(self, batch: ExperienceBatch, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Order the rows by their vectors."""
        bad = first_non_finite(batch.vectors, np.arange(batch.rows.size))
        if bad is not None:
            raise SelectionError(
                f"row {int(batch.rows[bad])} of the embeddings holds NaN or infinity: embed that "
                "item again or leave it out of the stream."
            )
        ascending = np.argsort(batch.rows)  # (b,)
        vectors = unit_length(batch.vectors[ascending])  # (b, d)
        return ascending[self.chosen(vectors, batch.codes[ascending], n)]


class OfEachClass(ByVectors):
    """A policy that ranks the rows of each class separately, and takes the classes in turn.

    So the first k rows of the ranking have nearly equal numbers of rows of each class, for any k. A
    subclass has a `name` and the method `of_class`.
    """

    @abstractmethod
    def of_class(self, vectors: Float32, n: int) -> Positions:
        """Return the positions of `n` of the (m, d) vectors of one class, the best first."""

    def chosen(self, vectors: Float32, codes: NDArray[np.int64], n: int) -> Positions:
        """Take the classes in turn."""
        classes, numbers = np.unique(codes, return_inverse=True)
        members = Members.of(numbers, classes.size)
        quotas = evenly(members.counts, n)  # (c,)

        def work(part: slice) -> Positions:
            own = members[part.start]  # (m,)
            return own[self.of_class(vectors[own], int(quotas[part.start]))]

        picks = map_blocks(work, classes.size, 1)
        turns = np.concatenate([np.arange(quota) for quota in quotas.tolist()])  # (n,)
        order = np.lexsort((np.repeat(np.arange(classes.size), quotas), turns))
        return np.concatenate(picks)[order]


@policies.register("herding")
class Herding(OfEachClass):
    """The rows of each class whose mean is closest to the mean of the class.

    Each pick is the row that brings the mean of the picks nearest to the mean of all rows of its
    class in the experience. Vectors are scaled to unit length.

    Notes
    -----
    The result is exact in float64 for the scaled float32 vectors. Takes O(q·m·d) time for q picks
    of a class with m rows of length d. Needs 4·d bytes for each new row; each thread needs 4·d + 24
    bytes more for each row of the class that it ranks.

    References
    ----------
    Rebuffi, Kolesnikov, Sperl, Lampert (2017), "iCaRL: incremental classifier and representation
    learning", arXiv:1611.07725. Welling (2009), "Herding dynamical weights to learn".
    """

    name: ClassVar[str] = "herding"

    def of_class(self, vectors: Float32, n: int) -> Positions:
        """Pick greedily."""
        mean = mean_vector(vectors, np.arange(len(vectors)))  # (d,)
        norms = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)  # (m,)
        total = np.zeros_like(mean)
        picks = np.empty(n, dtype=np.int64)
        for k in range(n):
            # The row nearest to this target brings the two means closest together.
            target = (k + 1) * mean - total  # (d,)
            picks[k] = _nearest(vectors, norms, target)
            norms[picks[k]] = np.inf  # excludes the row
            total += vectors[picks[k]]
        return picks


@policies.register("closest_to_centre")
class ClosestToCentre(OfEachClass):
    """The rows of each class that are closest to the mean of the class.

    The mean is over all rows of the class in the experience. Vectors are scaled to unit length.

    Notes
    -----
    The result is exact in float64 for the scaled float32 vectors. Takes O(b·d) time for b new rows
    of length d. Needs 4·d bytes for each new row; each thread needs 4·d + 16 bytes more for each
    row of the class that it ranks.
    """

    name: ClassVar[str] = "closest_to_centre"

    def of_class(self, vectors: Float32, n: int) -> Positions:
        """Order by distance to the mean."""
        mean = mean_vector(vectors, np.arange(len(vectors)))  # (d,)
        return np.argsort(squared_distances(vectors, mean), kind="stable")[:n]


@policies.register("kcenter")
class KCenter(ByVectors):
    """The rows of greedy k-center: each pick is the row farthest from the earlier picks.

    The first pick is the row nearest to the mean of the experience, as in strategy ``coreset``
    without labels. Classes are ignored. Vectors are scaled to unit length.

    Notes
    -----
    The result is exact in float64 for the scaled float32 vectors. Takes at most O(q·b·d) time for
    q picks of b new rows of length d. Needs 4·d bytes for each new row, and the memory of
    `CoreSet`.

    References
    ----------
    Sener, Savarese (2018), "Active learning for convolutional neural networks: a core-set
    approach", arXiv:1708.00489. Gonzalez (1985), "Clustering to minimize the maximum
    intercluster distance".
    """

    name: ClassVar[str] = "kcenter"

    def chosen(self, vectors: Float32, codes: NDArray[np.int64], n: int) -> Positions:
        """Pick with `CoreSet`."""
        return CoreSet().select(Pool(vectors), n, np.random.default_rng(0)).rows


def _nearest(vectors: Float32, norms: Float64, target: Float64) -> int:
    """Return the position of the vector nearest to `target`; skip vectors of infinite norm."""
    length = float(np.linalg.norm(target))
    estimates = norms - 2.0 * (vectors @ target.astype(np.float32))  # (m,)
    # Bound on the rounding errors of the product and of `target`, for any order of summation.
    error_bound = 2 * 1.01 * (target.size + 8) * ROUNDING * length + 1e-12 * (1 + length**2)
    rivals = np.flatnonzero(estimates <= estimates.min() + 2 * error_bound)
    if rivals.size == 1:
        return int(rivals[0])
    return int(rivals[squared_distances(vectors[rivals], target).argmin()])
