"""Reproducible k-means: the same clusters for any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks, one_blas_thread
from ..errors import SelectionError
from .distances import FrameRows, safe_frame
from .vectors import row_blocks, take_rows

__all__ = ["Clusters", "kmeans"]

GAPS = 1 << 18
"""Approximate number of float32 distances per block (1 MB)."""

ROWS = (256, 2048)
"""Minimum and maximum vectors per block."""

SUMMED = 1 << 14
"""Vectors per float32 sum; these sums are added in float64."""

SEEDED_FROM = 64
"""Vectors per cluster in the sample from which seeds are drawn."""

TRAINED_ON = 64
"""Vectors per cluster in the sample that updates the centres."""

SAMPLE = 1 << 15
"""Minimum size of both samples; if there are fewer vectors, a sample contains all vectors."""

SPARE = 2
"""Seeds drawn per cluster; the better half is kept."""

THINNED = 1024
"""Number of clusters above which no spare seeds are drawn."""

DRAWN = 128
"""Maximum number of seeds drawn at once."""

GAIN = 2e-3
"""Relative decrease of the sum of squared distances below which k-means ends."""


@dataclass(frozen=True)
class Clusters:
    """A partition of p vectors.

    Attributes
    ----------
    labels
        (p,) int32, the cluster of each vector.
    sizes
        (k,) int64, the number of vectors of each cluster, at least 1.
    centres
        (k, m) float32, the means used for the last assignment.
    """

    labels: NDArray[np.int32]
    sizes: NDArray[np.int64]
    centres: NDArray[np.float32]


def kmeans(vectors: NDArray[np.float32], k: int, seed: int, iterations: int = 20) -> Clusters:
    """Partition vectors into `k` clusters that are not empty.

    For up to 1,024 clusters, exact k-means++ draws twice as many seeds as clusters. A greedy second
    draw keeps half of the seeds; it weights each seed by the number of vectors nearest to it. For
    more clusters, exact k-means++ draws one seed per cluster. Lloyd's algorithm runs until no label
    changes or the sum of squared distances decreases by less than 0.2 %.

    Parameters
    ----------
    vectors
        (p, m) finite float32 array or memory map.
    k
        Number of clusters, from 1 to p.
    seed
        Random seed; the same arguments give the same clusters.
    iterations
        Maximum number of updates of the centres.

    Raises
    ------
    SelectionError
        If `k` is not from 1 to p.

    Notes
    -----
    O(p·k·m) time per iteration, on at most 64 vectors per cluster (at least 32,768 in all); other
    vectors are assigned at the end. Extra memory: 16 bytes per vector, 8·k·m bytes, and 1 MB per
    thread. Several seeds are drawn at once, from squared distances that ignore the other
    seeds of this draw. Each seed is kept with probability true squared distance / this squared
    distance, so the distribution is exact.

    References
    ----------
    Arthur and Vassilvitskii (2007), "k-means++: the advantages of careful seeding". Bahmani et
    al. (2012), "Scalable k-means++", arXiv:1203.6402. Lloyd (1982), "Least squares quantization
    in PCM".

    Examples
    --------
    >>> vectors = np.array([[0], [1], [9], [10], [11]], dtype=np.float32)
    >>> found = kmeans(vectors, 2, seed=0)
    >>> left, right = found.labels[0], found.labels[-1]
    >>> found.labels.tolist() == [left, left, right, right, right], sorted(found.sizes.tolist())
    (True, [2, 3])
    """
    p = len(vectors)
    if not 1 <= k <= p:
        raise SelectionError(f"`k` must be from 1 to {p} (the number of vectors); got {k}.")
    rng = np.random.default_rng(seed)
    frame, _ = safe_frame(vectors, np.arange(p))
    trained = frame.rows(_sample(rng, p, max(TRAINED_ON * k, SAMPLE)))
    centres = trained.vectors[_seeds(rng, trained, k)]  # (k, m)
    count, read = trained.norms.size, partial(_part, trained)
    labels, error = _assign(count, read, centres)
    for _ in range(iterations):
        centres = _means(trained.vectors, labels, k)
        before, last = labels, error
        labels, error = _assign(count, read, centres)
        if error > last * (1 - GAIN) or np.array_equal(labels, before):
            break
    if count < p:
        labels, _ = _assign(p, lambda part: frame.rows(np.arange(part.start, part.stop)), centres)
    sizes = np.bincount(labels, minlength=k)
    with np.errstate(over="ignore", under="ignore"):
        return Clusters(labels, sizes, (centres + frame.shift) / np.float32(frame.scale))


def _sample(rng: np.random.Generator, n: int, size: int) -> NDArray[np.int64]:
    """Return `size` random positions below `n`, ascending, or all if `n` is at most `size`."""
    return np.sort(rng.choice(n, size, replace=False)) if size < n else np.arange(n)


def _seeds(rng: np.random.Generator, trained: FrameRows, k: int) -> NDArray[np.int64]:
    """Choose `k` distinct positions of seeds: (k,) int64."""
    allowed = _sample(rng, len(trained.vectors), max(SEEDED_FROM * k, SAMPLE))
    shifted = FrameRows(take_rows(trained.vectors, allowed), trained.norms[allowed])
    count = min(SPARE * k, allowed.size)
    if k > THINNED or count == k:
        return allowed[_draw(rng, shifted, k)[0]]
    chosen, nearest = _draw(rng, shifted, count)  # (c,), (s,)
    weights = np.bincount(nearest, minlength=count)
    return allowed[chosen[_thin(rng, _distances(shifted.vectors[chosen]), weights, k)]]


def _draw(
    rng: np.random.Generator, shifted: FrameRows, k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw seeds by k-means++: (k,) positions, and the nearest seed of each vector: (s,)."""
    count = shifted.norms.size
    chosen = [int(rng.integers(count))]
    nearest = np.zeros(count, dtype=np.int64)
    # Squared distance to the nearest of the first `measured` seeds.
    closest = np.full(count, np.inf)
    measured = 0
    while True:
        _approach(closest, nearest, shifted, np.array(chosen), measured)
        measured = len(chosen)
        if measured == k:
            return np.array(chosen), nearest
        sums = closest.cumsum()
        if not sums[-1]:  # all other vectors are duplicates of seeds
            rest = np.setdiff1d(np.arange(count), chosen)
            return np.array([*chosen, *rest[: k - measured]]), nearest
        size = min(DRAWN, max(4, measured), 2 * (k - measured))
        drawn = sums.searchsorted(rng.random(size) * sums[-1], side="right")
        drawn = np.minimum(drawn, count - 1)  # (b,)
        current = closest[drawn]  # (b,)
        needed = rng.random(size) * current
        apart = _distances(shifted.vectors[drawn])  # (b, b)
        for at in range(size):
            if needed[at] < current[at] and len(chosen) < k:
                chosen.append(int(drawn[at]))
                np.minimum(current, apart[at], out=current)


def _thin(
    rng: np.random.Generator,
    squared: NDArray[np.float64],
    weights: NDArray[np.int64],
    k: int,
) -> NDArray[np.int64]:
    """Choose `k` of c weighted vectors by greedy k-means++, from (c, c) squared distances."""
    trials = 2 + int(np.log(k))
    chosen = [int(weights.cumsum().searchsorted(rng.random() * weights.sum(), side="right"))]
    closest = squared[chosen[0]]  # (c,)
    while len(chosen) < k:
        sums = (weights * closest).cumsum()
        if not sums[-1]:
            rest = np.setdiff1d(np.arange(weights.size), chosen)
            return np.array([*chosen, *rest[: k - len(chosen)]])
        tried = sums.searchsorted(rng.random(trials) * sums[-1], side="right")
        tried = np.minimum(tried, weights.size - 1)  # (t,)
        after = np.minimum(squared[tried], closest)  # (t, c)
        best = int((after * weights).sum(axis=1).argmin())
        chosen.append(int(tried[best]))
        closest = after[best]
    return np.array(chosen)


def _approach(
    closest: NDArray[np.float64],
    nearest: NDArray[np.int64],
    shifted: FrameRows,
    seeds: NDArray[np.int64],
    measured: int,
) -> None:
    """Update `closest` and `nearest`, both (s,), with the seeds from number `measured` on."""
    fresh = seeds[measured:]
    scaled, norms = -2 * shifted.vectors[fresh].T, shifted.norms[fresh].astype(np.float32)  # (b,)

    def work(part: slice) -> None:
        gaps = shifted.vectors[part] @ scaled  # (s, b)
        gaps += norms
        best = gaps.argmin(axis=1)  # (s,)
        away = np.take_along_axis(gaps, best[:, None], axis=1)[:, 0] + shifted.norms[part]
        away = np.maximum(away, 0)
        nearer = away < closest[part]
        closest[part][nearer] = away[nearer]
        nearest[part][nearer] = best[nearer] + measured

    map_blocks(work, closest.size, _block(fresh.size))
    closest[fresh], nearest[fresh] = 0, np.arange(measured, seeds.size)


def _distances(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the (b, b) squared distances between vectors."""
    with one_blas_thread():
        wide = vectors.astype(np.float64)  # (b, m)
        products = wide @ wide.T  # (b, b)
    norms = np.diagonal(products)
    apart: NDArray[np.float64] = norms[:, None] + norms - 2 * products
    np.fill_diagonal(apart, 0)
    return np.maximum(apart, 0)


def _part(shifted: FrameRows, part: slice) -> FrameRows:
    return FrameRows(shifted.vectors[part], shifted.norms[part])


def _assign(
    count: int, read: Callable[[slice], FrameRows], centres: NDArray[np.float32]
) -> tuple[NDArray[np.int32], float]:
    """Return the nearest centre of each of `count` vectors, and the sum of squared distances."""
    # Ties go to the first centre. An empty cluster gets one vector from a cluster with several:
    # the vector that is farthest from its centre.
    k = len(centres)
    labels, away = np.empty(count, dtype=np.int32), np.empty(count)
    norms = np.einsum("ij,ij->i", centres, centres)  # (k,)
    scaled = -2 * centres.T  # (m, k)

    def work(part: slice) -> None:
        block = read(part)
        gaps = block.vectors @ scaled  # (b, k)
        gaps += norms
        labels[part] = gaps.argmin(axis=1)
        nearest = np.take_along_axis(gaps, labels[part, None], axis=1)[:, 0]  # (b,)
        away[part] = np.maximum(nearest + block.norms, 0)

    map_blocks(work, count, _block(k))
    error = float(away.sum())
    sizes = np.bincount(labels, minlength=k)
    for empty in np.flatnonzero(sizes == 0):
        farthest = int(np.where(sizes[labels] > 1, away, -1).argmax())
        sizes[labels[farthest]] -= 1
        labels[farthest], away[farthest], sizes[empty] = empty, 0, 1
    return labels, error


def _means(vectors: NDArray[np.float32], labels: NDArray[np.int32], k: int) -> NDArray[np.float32]:
    """Return the mean of each cluster: (k, m) float32."""
    from scipy.sparse import csc_array

    sums = np.zeros((k, vectors.shape[1]))
    for part in row_blocks(labels.size, SUMMED):
        own = labels[part]  # (b,)
        ones, ends = np.ones(own.size, np.float32), np.arange(own.size + 1)
        sums += csc_array((ones, own, ends), shape=(k, own.size)) @ vectors[part]
    return (sums / np.bincount(labels, minlength=k)[:, None]).astype(np.float32)


def _block(k: int) -> int:
    return int(np.clip(GAPS // k, *ROWS))
