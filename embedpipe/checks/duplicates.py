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
"""Minimum local unit, as a share of the median unit; many copies make a unit too small."""

EVIDENCE = 6.0
"""Minimum combined evidence of vectors and images for a copy, in spreads of `RobustScale`."""

MIN_VECTOR_EVIDENCE, MIN_IMAGE_EVIDENCE = 1.0, 1.5
"""Minimum evidence of vectors, and of images, for a copy, in spreads."""

RATIO_SPREAD, LIKE_SPREAD = 0.05, 0.1
"""Minimum spreads of the log ratio of distances, and of the similarity (Fisher's z)."""

CERTAIN = 0.9999
"""Maximum similarity in Fisher's z. Larger similarities differ from 1 by rounding errors only."""

SAMPLE = 2000
"""Maximum pairs for the estimate of the usual similarity."""

TINY = 1e-12
"""Minimum ratio of distances, so that it has a logarithm."""

FEWEST = 20
"""Minimum number of distinct vectors for an estimate of limits."""


def first_of_content(content_ids: Sequence[bytes]) -> NDArray[np.int64]:
    """Return the first row with the same file content, for each of n rows."""
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
    """Return new names: rows that are connected by pairs or by equal old names have equal names."""
    # The old names are integers from 0 to n - 1 for n rows.
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
        (e, 2) int64, e pairs of rows with different vectors.
    ratios
        (e,) float64, distance of each pair, divided by the geometric mean of the distances of both
        rows to their tenth neighbours.
    likenesses
        (e,) float32, similarity of the two images; None if no images were compared.
    ratio_limit, likeness_limit
        Maximum ratio and minimum similarity of a pair, estimated from the data. None without an
        estimate, because of fewer than 20 distinct vectors or no images.
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
    usual distances; tenth neighbours give the usual similarity of images. A pair is a copy if its
    distance and its similarity are both unusual, and their combined evidence (root of the sum of
    squares) is at least six spreads.

    Parameters
    ----------
    index
        Index of all items.
    names
        An integer from 0 to n - 1 for each of the n items, equal for equal file contents.
    stats
        Image statistics, to compare the images. Without them, only vectors are compared, and
        copies with other colours, sizes or edges are missed.

    Notes
    -----
    Extra memory is about 250 bytes per item. The comparison of a pair of images takes half a
    millisecond. Usually fewer pairs are compared than there are items.

    Examples
    --------
    >>> matrix = np.random.default_rng(0).standard_normal((100, 64)).astype(np.float32)
    >>> matrix[7] = matrix[3] + np.float32(0.01)
    >>> [group.tolist() for group in near_duplicates(Index(matrix), np.arange(100)).groups]
    [[3, 7]]
    """
    if index.rows.size < FEWEST:
        no_pairs = np.empty((0, 2), np.int64)
        groups = _groups(index, names, no_pairs)
        return NearDuplicates(groups, no_pairs, np.empty(0), None, None, None)
    ratios = _ratios(index)  # (distinct vectors, 8)
    ratio_scale = RobustScale.below(np.log(ratios[:, 1].astype(np.float64)), RATIO_SPREAD)
    min_evidence = EVIDENCE if stats is None else MIN_VECTOR_EVIDENCE
    ratio_limit = float(np.exp(ratio_scale.limit(min_evidence)))
    pairs, pair_ratios = _pairs(index, ratios, ratio_limit)
    if stats is None:
        groups = _groups(index, names, pairs)
        return NearDuplicates(groups, pairs, pair_ratios, None, ratio_limit, None)
    similarity_scale = _usual_similarity(index, stats)
    likenesses = similarity(stats.greys, pairs[:, 0], pairs[:, 1])
    image_evidence = similarity_scale.beyond(_fisher_z(likenesses))
    evidence = np.hypot(ratio_scale.beyond(np.log(pair_ratios)), image_evidence)
    enough = (image_evidence >= MIN_IMAGE_EVIDENCE) & (evidence >= EVIDENCE)
    kept = enough & stats.seen[pairs].all(axis=1)
    pairs, pair_ratios, likenesses = pairs[kept], pair_ratios[kept], likenesses[kept]
    limit = float(np.tanh(similarity_scale.limit(MIN_IMAGE_EVIDENCE)))
    groups = _groups(index, names, pairs)
    return NearDuplicates(groups, pairs, pair_ratios, likenesses, ratio_limit, limit)


def _ratios(index: Index) -> NDArray[np.float32]:
    """Return distances to 8 neighbours, divided by the mean local unit of vector and neighbour."""
    # The mean is the geometric mean.
    found = index.neighbours(LOCAL)
    scales = found.distances[:, -1].copy()  # (p,)
    scales = np.sqrt(np.maximum(scales, LEAST_SCALE * np.median(scales)))
    ratios = found.distances[:, :COMPARED] / scales[:, None]
    ratios /= scales[found.positions[:, :COMPARED]]
    positive: NDArray[np.float32] = np.maximum(ratios, np.float32(TINY), out=ratios)
    return positive


def _pairs(
    index: Index, ratios: NDArray[np.float32], limit: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the pairs of rows with a ratio up to `limit`, and the ratios."""
    left, rank = np.nonzero(ratios <= limit)
    right = index.neighbours(LOCAL).positions[left, rank]
    ordered = np.column_stack([np.minimum(left, right), np.maximum(left, right)])
    pairs, first = np.unique(ordered, axis=0, return_index=True)
    return index.rows[pairs], ratios[left, rank][first].astype(np.float64)


def _usual_similarity(index: Index, stats: ImageStats) -> RobustScale:
    """Return the scale of the similarity of tenth neighbours, which are rarely copies."""
    sample = np.arange(0, index.rows.size, -(-index.rows.size // SAMPLE))
    left = index.rows[sample]
    right = index.rows[index.neighbours(LOCAL).positions[sample, -1]]
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
    """Return the groups whose files have at least two different contents."""
    n = index.copy_of.size
    names = np.asarray(names)
    same = connected_names(names, np.arange(n), index.rows[index.copy_of])  # connects equal vectors
    found = groups_of(connected_names(same, pairs[:, 0], pairs[:, 1]))
    return tuple(rows for rows in found if (names[rows] != names[rows[0]]).any())
