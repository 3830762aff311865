"""Layouts of all items in a plane: principal components, and neighbourhoods by UMAP."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .._threads import one_blas_thread
from ..index import Index, Neighbours, UnitRows
from ..index.sketch import sketch_of

__all__ = ["Tell", "neighbourhoods", "on_the_map", "plane_of"]

FULL = 65535
"""Coordinate of the end of the map: the largest uint16."""

BLOCK_ROWS = 8192

Tell = Callable[[str, float], None]
"""Called with the current step, ``"neighbours"`` or ``"layout"``, and its finished share."""

NEIGHBOURS = 15
"""Number of points in a neighbourhood, with its centre."""

CLOSEST = 0.1
"""Minimum distance of points, where a neighbourhood is about 1 wide."""

SEED = 0

WIDTH = 10.0
"""Width of the plane that UMAP begins with."""

NOISE = 1e-4
"""Standard deviation of the first move of points: none may lie on another."""


def plane_of(matrix: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return (p, 2) float32: `rows` along two principal components of the unit vectors."""
    # The most spread first; zeros where there is no such direction. The same bits on any number
    # of threads. O(p·d·m) for m at most 128; 512 bytes a row.
    found = sketch_of(UnitRows(matrix), rows)  # (p, m)
    plane = np.zeros((rows.size, 2), dtype=np.float32)
    if not rows.size:
        return plane
    centre = found.mean(axis=0, dtype=np.float64).astype(np.float32)
    found -= centre
    products = np.zeros((found.shape[1], found.shape[1]))
    with one_blas_thread():
        for start in range(0, len(found), BLOCK_ROWS):
            block = found[start : start + BLOCK_ROWS].astype(np.float64)  # (b, m)
            products += block.T @ block
        _, axes = np.linalg.eigh(products)  # (m, m), the most spread last
        top = axes[:, ::-1][:, :2].astype(np.float32)  # (m, at most 2)
        plane[:, : top.shape[1]] = found @ top
    return plane


def on_the_map(plane: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Return (p, 2) little-endian uint16: a plane stretched so that each axis is 0 to 65,535."""
    # An axis on which all are equal is 0.
    low = plane.min(axis=0, initial=np.inf)
    width = np.maximum(plane.max(axis=0, initial=-np.inf) - low, 1e-9)
    return np.asarray(np.rint((plane - low) / width * FULL), dtype="<u2")


def neighbourhoods(index: Index, tell: Tell) -> NDArray[np.uint16]:
    """Return (m, 2) little-endian uint16: the candidates of an index in the layout of UMAP."""
    # McInnes, Healy and Melville (2018), "UMAP: Uniform Manifold Approximation and Projection for
    # Dimension Reduction", arXiv:1802.03426. It starts from the principal components, where up to
    # 15 distinct vectors stay. Copies lie on each other. The same on any number of threads: points
    # are moved in one, as their order decides where they end. 200 passes (500 of up to 10,000
    # points) move a point towards some 20 others and away from 100.
    plane = plane_of(index.matrix, index.rows)  # (p, 2)
    if len(plane) > NEIGHBOURS:
        near = index.neighbours(
            NEIGHBOURS - 1, lambda done, total: tell("neighbours", done / total)
        )
        tell("layout", 0.0)
        plane = _umap(plane, near, tell)
    return on_the_map(plane)[index.copy_of]  # (m, 2)


def _umap(plane: NDArray[np.float32], near: Neighbours, tell: Tell) -> NDArray[np.float32]:
    """Return points moved from where they are in the plane to their neighbours: (p, 2)."""
    from umap.umap_ import find_ab_params, fuzzy_simplicial_set, simplicial_set_embedding

    random = np.random.RandomState(SEED)
    own = np.arange(len(plane), dtype=np.int32)[:, None]  # (p, 1)
    members = np.concatenate([own, near.positions], axis=1)  # (p, k)
    gaps = np.zeros(members.shape, dtype=np.float32)
    gaps[:, 1:] = _around_one(near.distances)
    graph, _, _ = fuzzy_simplicial_set(
        plane, NEIGHBOURS, random, "euclidean", knn_indices=members, knn_dists=gaps
    )  # (p, p), sparse
    a, b = find_ab_params(spread=1.0, min_dist=CLOSEST)
    start = on_the_map(plane) * (WIDTH / FULL)
    start += random.normal(scale=NOISE, size=start.shape)
    found, _ = simplicial_set_embedding(
        data=plane,
        graph=graph,
        n_components=2,
        initial_alpha=1.0,
        a=a,
        b=b,
        gamma=1.0,
        negative_sample_rate=5,
        n_epochs=None,
        init=start,
        random_state=random,
        metric="euclidean",
        metric_kwds={},
        densmap=False,
        densmap_kwds={},
        output_dens=False,
        parallel=False,
        tqdm_kwds={
            "disable": False,
            "file": _Percents(tell),
            "mininterval": 0.5,
            "bar_format": "{percentage:.0f}",
        },
    )
    return np.asarray(found, dtype=np.float32)


def _around_one(distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return distances in units of their mean: UMAP looks for scales not too far from 1."""
    finite = np.minimum(distances, np.finfo(np.float32).max).astype(np.float64)
    return np.asarray(finite / (finite.mean() or 1.0))


class _Percents:
    """What a progress bar writes to."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def write(self, text: str) -> None:
        if text.strip().isdecimal():
            self._tell("layout", int(text) / 100)

    def flush(self) -> None:
        pass
