"""Matrices that are hard on float32, and slow references."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import faiss
import numpy as np
import pytest
from threadpoolctl import threadpool_limits


@contextlib.contextmanager
def limit_threads(count: int) -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        faiss.omp_set_num_threads(before)


@pytest.fixture(scope="session")
def threads():
    """Return a context manager that sets how many threads everything may use."""
    return limit_threads


def make_distinct(kind: str, n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    matrix = {
        "gaussian": lambda: rng.standard_normal((n, 20)),
        "grid": lambda: rng.integers(0, 3, (n, 6)),
        "shifted": lambda: rng.standard_normal((n, 5)) + 1e3,
        "far apart": lambda: rng.standard_normal((n, 5)) + rng.choice([-1e6, 1e6], (n, 1)),
        "tiny": lambda: rng.standard_normal((n, 5)) * 1e-25,
        "huge": lambda: rng.standard_normal((n, 5)) * 1e37,
        "mixed": lambda: rng.standard_normal((n, 5)) * 10.0 ** rng.integers(-30, 30, (n, 1)),
        "line": lambda: rng.standard_normal((n, 1)),
        "corners": lambda: np.eye(n // 3),
    }[kind]()
    return np.unique(matrix.astype(np.float32), axis=0)


def all_distances(matrix: np.ndarray) -> np.ndarray:
    """Return every squared distance by float64 differences: (n, n)."""
    wide = matrix.astype(np.float64)
    return np.stack([np.square(wide - row).sum(axis=1) for row in wide])


def true_neighbours(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and distances of the k nearest, ties by lowest position."""
    squared = all_distances(matrix)
    np.fill_diagonal(squared, np.inf)
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return order, np.sqrt(np.take_along_axis(squared, order, axis=1)).astype(np.float32)


@pytest.fixture(scope="session")
def distinct():
    return make_distinct


@pytest.fixture(scope="session")
def reference():
    return true_neighbours


@pytest.fixture(scope="session")
def squared_reference():
    return all_distances
