"""Near duplicates: pictures that are the same but for their files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..index import Index
from .duplicates import Rows, groups_of, joined
from .image_stats import ImageStats
from .outliers import RobustScale
from .similarity import similarity

__all__ = ["NearDuplicates", "near_duplicates"]

COMPARED = 8
"""Each item is compared with so many nearest ones: copies are among them, or their copies are."""

LOCAL = 10
"""Distances are measured in those to this neighbour, for some regions are denser than others."""

LEAST_SCALE = 0.25
"""As a share of the median: what has many copies is not in a denser region for it."""

EVIDENCE = 6.0
"""So many spreads beyond what is no copy, vectors and pictures together, are a copy."""

NEARER, MORE_ALIKE = 1.0, 1.5
"""Of these, at least so many each of the vectors and of the pictures: neither does alone."""

RATIO_SPREAD, LIKE_SPREAD = 0.05, 0.1
"""Spreads are at least these: where everything is the same by half, a little is no evidence."""

CERTAIN = 0.9999
"""Likenesses above this are rounding."""

SAMPLE = 2000
"""On so many pairs the likeness of what is no copy is measured."""

TINY = 1e-12
"""Ratios are at least this, so that they have logarithms."""

FEWEST = 20
"""Of fewer distinct items nobody can say what is usual."""


@dataclass(frozen=True)
class NearDuplicates:
    """Pictures that are the same but for their files.

    Attributes
    ----------
    groups
        Rows of each group, ascending; groups by their first row. Exact copies of members are
        members too.
    pairs
        (e, 2) int64 rows with different vectors that were found to be the same picture.
    ratios
        (e,) float64 distance of each pair, in those to their tenth neighbours.
    likenesses
        (e,) float32 likeness of the pictures; None if they were not compared.
    ratio_limit, likeness_limit
        No pair has a larger ratio or a smaller likeness: limits that the data gave. None where
        that was not looked at, or there are fewer than 20 distinct vectors to choose it from.
    """

    groups: tuple[Rows, ...]
    pairs: NDArray[np.int64]
    ratios: NDArray[np.float64]
    likenesses: NDArray[np.float32] | None
    ratio_limit: float | None
    likeness_limit: float | None


def near_duplicates(
    index: Index, names: NDArray[np.integer], stats: ImageStats | None = None
) -> NearDuplicates:
    """Group pictures that are the same but for their files: compressed, resized, cut a little.

    Nothing is set beforehand but how rare a mistake should be. What second neighbours have, who
    are no copies as a rule, tells which distances are usual; how alike the pictures of tenth
    neighbours are tells which likenesses are. A pair is a copy if both are unusual, and together
    by six spreads: the square root of the sum of their squares.

    Parameters
    ----------
    index
        Of all items.
    names
        (n,) integers from 0 to n - 1: equal for files with the same bytes.
    stats
        Statistics of the images, to compare the pictures of neighbours. None: vectors must do, and
        they alone be six spreads nearer than usual; copies with other colours, sizes or edges are
        missed.

    Returns
    -------
    NearDuplicates

    Notes
    -----
    Beside the index, about 250 bytes of extra memory per item; half a millisecond for each pair
    whose pictures are compared, usually less than one an item.

    Examples
    --------
    >>> matrix = np.random.default_rng(0).standard_normal((100, 64)).astype(np.float32)
    >>> matrix[7] = matrix[3] + np.float32(0.01)
    >>> [group.tolist() for group in near_duplicates(Index(matrix), np.arange(100)).groups]
    [[3, 7]]
    """
    if index.rows.size < FEWEST:
        none = np.empty((0, 2), np.int64)
        groups = _groups(index, names, none)
        return NearDuplicates(groups, none, np.empty(0), None, None, None)
    ratios = _ratios(index)  # (p, 8)
    usual = RobustScale.below(np.log(ratios[:, 1].astype(np.float64)), RATIO_SPREAD)
    ratio_limit = float(np.exp(usual.limit(EVIDENCE if stats is None else NEARER)))
    pairs, near = _pairs(index, ratios, ratio_limit)
    if stats is None:
        groups = _groups(index, names, pairs)
        return NearDuplicates(groups, pairs, near, None, ratio_limit, None)
    common = _usual_similarity(index, stats)
    likenesses = similarity(stats.greys, pairs[:, 0], pairs[:, 1])
    alike = common.beyond(_normal(likenesses))
    evidence = np.hypot(usual.beyond(np.log(near)), alike)
    kept = (alike >= MORE_ALIKE) & (evidence >= EVIDENCE) & stats.seen[pairs].all(axis=1)
    pairs, near, likenesses = pairs[kept], near[kept], likenesses[kept]
    limit = float(np.tanh(common.limit(MORE_ALIKE)))
    groups = _groups(index, names, pairs)
    return NearDuplicates(groups, pairs, near, likenesses, ratio_limit, limit)


def _ratios(index: Index) -> NDArray[np.float32]:
    """Return the distances to the nearest neighbours in those to their tenth ones: (p, 8)."""
    found = index.neighbours(LOCAL)
    scales = found.distances[:, -1].copy()  # (p,)
    scales = np.sqrt(np.maximum(scales, LEAST_SCALE * np.median(scales)))
    ratios = found.distances[:, :COMPARED] / scales[:, None]
    ratios /= scales[found.positions[:, :COMPARED]]
    least: NDArray[np.float32] = np.maximum(ratios, np.float32(TINY), out=ratios)
    return least


def _pairs(
    index: Index, ratios: NDArray[np.float32], limit: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the pairs of rows up to a ratio, each once: (e, 2), and their ratios."""
    left, rank = np.nonzero(ratios <= limit)
    right = index.neighbours(LOCAL).positions[left, rank]
    ordered = np.column_stack([np.minimum(left, right), np.maximum(left, right)])
    pairs, first = np.unique(ordered, axis=0, return_index=True)
    return index.rows[pairs], ratios[left, rank][first].astype(np.float64)


def _usual_similarity(index: Index, stats: ImageStats) -> RobustScale:
    """Return which likenesses are usual of pictures that are no copies, but tenth neighbours."""
    points = np.arange(0, index.rows.size, -(-index.rows.size // SAMPLE))
    left = index.rows[points]
    right = index.rows[index.neighbours(LOCAL).positions[points, -1]]
    both = stats.seen[left] & stats.seen[right]
    if not both.any():
        return RobustScale(0.0, LIKE_SPREAD)  # there is nothing to compare
    return RobustScale.above(_normal(similarity(stats.greys, left[both], right[both])), LIKE_SPREAD)


def _normal(likenesses: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return Fisher's transformation: correlations become about normal."""
    found: NDArray[np.float64] = np.arctanh(likenesses.astype(np.float64).clip(-CERTAIN, CERTAIN))
    return found


def _groups(index: Index, names: NDArray[np.integer], pairs: NDArray[np.int64]) -> tuple[Rows, ...]:
    """Return groups in which not all files have the same bytes."""
    n = index.copy_of.size
    names = np.asarray(names)
    same = joined(names, np.arange(n), index.rows[index.copy_of])  # equal vectors
    found = groups_of(joined(same, pairs[:, 0], pairs[:, 1]))
    return tuple(rows for rows in found if (names[rows] != names[rows[0]]).any())
