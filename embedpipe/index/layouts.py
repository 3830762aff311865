"""Layouts of all items in the plane: principal components, and UMAP."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .._threads import one_blas_thread
from ..errors import UnknownNameError, UsageError
from .index import Index
from .neighbours import Neighbours
from .sketch import sketch_of
from .vectors import Matrix, UnitRows

__all__ = [
    "LAYOUTS",
    "Report",
    "check_umap",
    "layout_of",
    "map_coordinates",
    "principal_plane",
    "resolve_layout",
    "umap_layout",
]

LAYOUTS = ("components", "neighbours")
"""Names of layouts: principal components, and UMAP."""

FULL = 65535
"""Largest coordinate on the map: the largest uint16."""

BLOCK_ROWS = 8192

Report = Callable[[str, float], None]
"""Called with the current step, ``"neighbours"`` or ``"layout"``, and its finished share."""

NEIGHBOURS = 15
"""Number of points in a neighbourhood, including its centre."""

CLOSEST = 0.1
"""Minimum distance between points, relative to the width of a neighbourhood."""

SEED = 0

WIDTH = 10.0
"""Width of UMAP's initial layout."""

NOISE = 1e-4
"""Standard deviation of the initial noise, which separates equal points."""


def check_umap() -> None:
    """Raise `UsageError` if UMAP is not installed."""
    if importlib.util.find_spec("umap") is None:
        raise UsageError("UMAP is not installed: `pip install 'embedpipe[map]'`.")


def resolve_layout(name: str) -> str:
    """Return the layout of a name; ``"auto"`` is ``"neighbours"`` if UMAP is installed."""
    if name == "auto":
        return LAYOUTS[importlib.util.find_spec("umap") is not None]
    if name not in LAYOUTS:
        raise UnknownNameError("layout", name, ("auto", *LAYOUTS))
    if name == "neighbours":
        check_umap()
    return name


def layout_of(
    matrix: NDArray[np.float32], rows: NDArray[np.int64], layout: str, report: Report
) -> NDArray[np.uint16]:
    """Return (m, 2) little-endian uint16: the places of m ascending rows in a layout."""
    if layout == "components":
        return map_coordinates(principal_plane(matrix, rows))
    return umap_layout(Index(matrix, rows), report)


def principal_plane(matrix: Matrix, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return (p, 2) float32: the first two principal components of the unit vectors of `rows`."""
    # The first component has the largest variance. A missing component is 0. The bits do not
    # depend on the number of threads. Time O(p·d·m) for p rows of d dimensions and a sketch of m
    # dimensions, at most 128. Memory: 512 bytes for each row.
    sketch = sketch_of(UnitRows(matrix), rows)  # (p, m)
    plane = np.zeros((rows.size, 2), dtype=np.float32)
    if not rows.size:
        return plane
    centre = sketch.mean(axis=0, dtype=np.float64).astype(np.float32)
    sketch -= centre
    products = np.zeros((sketch.shape[1], sketch.shape[1]))
    with one_blas_thread():
        for start in range(0, len(sketch), BLOCK_ROWS):
            block = sketch[start : start + BLOCK_ROWS].astype(np.float64)  # (b, m)
            products += block.T @ block
        _, axes = np.linalg.eigh(products)  # (m, m), the largest variance last
        top = axes[:, ::-1][:, :2].astype(np.float32)  # (m, at most 2)
        plane[:, : top.shape[1]] = sketch @ top
    return plane


def map_coordinates(plane: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Return (p, 2) little-endian uint16: each axis scaled to 0 to 65,535."""
    # If all values of an axis are equal, its coordinates are 0.
    low = plane.min(axis=0, initial=np.inf)
    width = np.maximum(plane.max(axis=0, initial=-np.inf) - low, 1e-9)
    return np.asarray(np.rint((plane - low) / width * FULL), dtype="<u2")


def umap_layout(index: Index, report: Report) -> NDArray[np.uint16]:
    """Return (m, 2) little-endian uint16: the UMAP layout of the candidates of an index."""
    # McInnes, Healy and Melville (2018), "UMAP: Uniform Manifold Approximation and Projection for
    # Dimension Reduction", arXiv:1802.03426. The initial layout is the principal components. For
    # up to 15 distinct vectors, it is also the final layout. Copies have the same place. The
    # optimisation runs on one thread, because its result depends on the order of the updates.
    plane = principal_plane(index.matrix, index.rows)  # (p, 2)
    if len(plane) > NEIGHBOURS:
        near = index.neighbours(
            NEIGHBOURS - 1, lambda done, total: report("neighbours", done / total)
        )
        report("layout", 0.0)
        plane = _umap(plane, near, report)
    return map_coordinates(plane)[index.copy_of]  # (m, 2)


def _umap(plane: NDArray[np.float32], near: Neighbours, report: Report) -> NDArray[np.float32]:
    """Return the plane, (p, 2), with points moved towards their neighbours by UMAP."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # a part of UMAP needs TensorFlow
        from umap.umap_ import find_ab_params, fuzzy_simplicial_set, simplicial_set_embedding

    random = np.random.RandomState(SEED)
    own = np.arange(len(plane), dtype=np.int32)[:, None]  # (p, 1)
    members = np.concatenate([own, near.positions], axis=1)  # (p, k)
    gaps = np.zeros(members.shape, dtype=np.float32)
    gaps[:, 1:] = _mean_one(near.distances)
    graph, _, _ = fuzzy_simplicial_set(
        plane, NEIGHBOURS, random, "euclidean", knn_indices=members, knn_dists=gaps
    )  # (p, p), sparse
    a, b = find_ab_params(spread=1.0, min_dist=CLOSEST)
    start = map_coordinates(plane) * (WIDTH / FULL)
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
            "file": _PercentReader(report),
            "mininterval": 0.5,
            "bar_format": "{percentage:.0f}",
        },
    )
    return np.asarray(found, dtype=np.float32)


def _mean_one(distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return distances divided by their mean, because UMAP searches for scales near 1."""
    finite = np.minimum(distances, np.finfo(np.float32).max).astype(np.float64)
    return np.asarray(finite / (finite.mean() or 1.0))


class _PercentReader:
    """A file object that reports the percentages which a progress bar writes."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def write(self, text: str) -> None:
        if text.strip().isdecimal():
            self._report("layout", int(text) / 100)

    def flush(self) -> None:
        pass
