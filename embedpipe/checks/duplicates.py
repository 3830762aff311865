"""Exact and near duplicates, their groups, and groups in more than one split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..datasets.dataset import SPLITS
from ..index import Index
from .image_stats import ImageStats
from .outliers import RobustScale
from .similarity import similarity

__all__ = [
    "NearDuplicates",
    "Rows",
    "connected_names",
    "exact_duplicates",
    "first_of_content",
    "groups_of",
    "leaking",
    "near_duplicates",
]

Rows = NDArray[np.int64]

COMPARED = 8
"""Number of nearest neighbours with which each item is compared."""

LOCAL = 10
"""Rank of the neighbour whose distance is the local unit of distances."""

LEAST_SCALE = 0.25
"""Minimum local unit, as a share of the median unit; items with many copies have a small unit."""

EVIDENCE = 6.0
"""Minimum evidence for a copy, of vectors and images together, in spreads."""

MIN_VECTOR_EVIDENCE, MIN_IMAGE_EVIDENCE = 1.0, 1.5
"""Minimum evidence for a copy of each kind, in spreads."""

RATIO_SPREAD, LIKE_SPREAD = 0.05, 0.1
"""Minimum spreads of the log ratio of distances, and of the similarity (Fisher's z)."""

CERTAIN = 0.9999
"""Maximum similarity, because of rounding errors."""

SAMPLE = 2000
"""Maximum pairs for the estimate of the usual similarity."""

TINY = 1e-12
"""Minimum ratio of distances, so that it has a logarithm."""

FEWEST = 20
"""Minimum number of distinct vectors for an estimate of limits."""


def first_of_content(content_ids: Sequence[bytes]) -> NDArray[np.int64]:
    """Return, for each row, the first row with the same file content."""
    first: dict[bytes, int] = {}
    rows = (first.setdefault(content, row) for row, content in enumerate(content_ids))
    return np.fromiter(rows, dtype=np.int64, count=len(content_ids))


def exact_duplicates(content_ids: Sequence[bytes]) -> tuple[Rows, ...]:
    """Return groups of rows with the same file content, sorted by their first row."""
    return groups_of(first_of_content(content_ids))


def leaking(groups: Iterable[Rows], splits: Sequence[str | None]) -> tuple[Rows, ...]:
    """Return the groups with rows in more than one split; rows without a split are left out."""
    found = []
    for rows in groups:
        inside = rows[[splits[row] in SPLITS for row in rows.tolist()]]
        if len({splits[row] for row in inside.tolist()}) > 1:
            found.append(inside)
    return tuple(found)


def groups_of(names: NDArray[np.integer]) -> tuple[Rows, ...]:
    """Return groups of two or more rows with the same name, sorted by their first row."""
    order = names.argsort(kind="stable").astype(np.int64)
    bounds = np.flatnonzero(np.diff(names[order])) + 1
    starts, stops = np.append(0, bounds), np.append(bounds, names.size)
    crowds = np.flatnonzero(stops - starts > 1)
    found = [order[starts[at] : stops[at]] for at in crowds]
    return tuple(sorted(found, key=lambda rows: int(rows[0])))


def connected_names(names: NDArray[np.integer], left: Rows, right: Rows) -> NDArray[np.integer]:
    """Return new names: equal for equal old names (0 to n - 1) and for rows connected by pairs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = names.size
    ends = (names[left], names[right])
    table = coo_array((np.ones(left.size, np.int8), ends), shape=(n, n))
    _, component = connected_components(table, directed=False)
    found: NDArray[np.integer] = component[names]
    return found


@dataclass(frozen=True)
class NearDuplicates:
    """Images that look the same but have different files.

    Attributes
    ----------
    groups
        Rows of each group, including exact copies; groups are sorted by their first row.
    pairs
        (e, 2) int64, pairs of rows with different vectors.
    ratios
        (e,) float64, distance of each pair relative to the distances to their tenth neighbours.
    likenesses
        (e,) float32, similarity of the images; None if they were not compared.
    ratio_limit, likeness_limit
        Largest ratio and smallest similarity of a pair, estimated from the data; None without an
        estimate (fewer than 20 distinct vectors).
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
    """Group near duplicates: images that were compressed, resized or slightly cropped.

    The limits are estimated from the data. Second neighbours, which are rarely copies, give the
    usual distances; tenth neighbours give the usual similarity of images. A pair is a copy if both
    are unusual, and their combined evidence (root of the sum of squares) is at least six spreads.

    Parameters
    ----------
    index
        Index of all items.
    names
        (n,) integers from 0 to n - 1, equal for equal file contents.
    stats
        Image statistics, to compare the images. Without them, only vectors are compared, and
        copies with other colours, sizes or edges are missed.

    Notes
    -----
    About 250 bytes of extra memory per item; half a millisecond for each pair of compared images,
    usually fewer pairs than items.

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
    least = EVIDENCE if stats is None else MIN_VECTOR_EVIDENCE
    ratio_limit = float(np.exp(usual.limit(least)))
    pairs, near = _pairs(index, ratios, ratio_limit)
    if stats is None:
        groups = _groups(index, names, pairs)
        return NearDuplicates(groups, pairs, near, None, ratio_limit, None)
    common = _usual_similarity(index, stats)
    likenesses = similarity(stats.greys, pairs[:, 0], pairs[:, 1])
    alike = common.beyond(_fisher_z(likenesses))
    evidence = np.hypot(usual.beyond(np.log(near)), alike)
    enough = (alike >= MIN_IMAGE_EVIDENCE) & (evidence >= EVIDENCE)
    kept = enough & stats.seen[pairs].all(axis=1)
    pairs, near, likenesses = pairs[kept], near[kept], likenesses[kept]
    limit = float(np.tanh(common.limit(MIN_IMAGE_EVIDENCE)))
    groups = _groups(index, names, pairs)
    return NearDuplicates(groups, pairs, near, likenesses, ratio_limit, limit)


def _ratios(index: Index) -> NDArray[np.float32]:
    """Return the distances to neighbours relative to those of the tenth neighbours: (p, 8)."""
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
    """Return the (e, 2) pairs of rows with a ratio up to `limit`, and their ratios."""
    left, rank = np.nonzero(ratios <= limit)
    right = index.neighbours(LOCAL).positions[left, rank]
    ordered = np.column_stack([np.minimum(left, right), np.maximum(left, right)])
    pairs, first = np.unique(ordered, axis=0, return_index=True)
    return index.rows[pairs], ratios[left, rank][first].astype(np.float64)


def _usual_similarity(index: Index, stats: ImageStats) -> RobustScale:
    """Return the scale of the similarity of tenth neighbours, which are rarely copies."""
    points = np.arange(0, index.rows.size, -(-index.rows.size // SAMPLE))
    left = index.rows[points]
    right = index.rows[index.neighbours(LOCAL).positions[points, -1]]
    both = stats.seen[left] & stats.seen[right]
    if not both.any():
        return RobustScale(0.0, LIKE_SPREAD)  # no images to compare
    values = _fisher_z(similarity(stats.greys, left[both], right[both]))
    return RobustScale.above(values, LIKE_SPREAD)


def _fisher_z(likenesses: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return Fisher's transformation of correlations, which is approximately normal."""
    found: NDArray[np.float64] = np.arctanh(likenesses.astype(np.float64).clip(-CERTAIN, CERTAIN))
    return found


def _groups(index: Index, names: NDArray[np.integer], pairs: NDArray[np.int64]) -> tuple[Rows, ...]:
    """Return the groups in which not all files have the same content."""
    n = index.copy_of.size
    names = np.asarray(names)
    same = connected_names(names, np.arange(n), index.rows[index.copy_of])  # equal vectors
    found = groups_of(connected_names(same, pairs[:, 0], pairs[:, 1]))
    return tuple(rows for rows in found if (names[rows] != names[rows[0]]).any())
