"""Neighbours in a subset are those of an index of the subset alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from embedpipe.active import Problem
from embedpipe.index import Index
from embedpipe.index.subsets import width_for_subset

Matrix = NDArray[np.float32]


def clouds(n: int, d: int) -> Matrix:
    rng = np.random.default_rng(n)
    centres = rng.standard_normal((9, d)) * 3
    return (centres[rng.integers(9, size=n)] + rng.standard_normal((n, d))).astype(np.float32)


def with_copies_and_ties(n: int) -> Matrix:
    rng = np.random.default_rng(7)
    return rng.integers(4, size=(n, 6)).astype(np.float32)


def assert_same_neighbours(matrix: Matrix, candidates: NDArray[np.int64], k: int) -> Index:
    for metric in ("euclidean", "cosine"):
        whole = Index(matrix, metric=metric)
        part = Index(matrix, candidates, metric=metric, whole=whole)
        alone = Index(matrix, candidates, metric=metric)
        found, expected = part.neighbours(k), alone.neighbours(k)
        assert found.positions.dtype == expected.positions.dtype
        assert np.array_equal(found.positions, expected.positions)
        assert np.array_equal(found.distances, expected.distances)
        assert part.rows.tolist() == alone.rows.tolist()
    return part


@pytest.mark.parametrize("share", [0.5, 0.8, 0.97])
@pytest.mark.parametrize("k", [1, 40])
def test_neighbours_are_the_same_as_without_the_whole_index(share: float, k: int) -> None:
    matrix = clouds(900, 12)
    rows = np.sort(np.random.default_rng(3).permutation(900)[: round(share * 900)])
    part = assert_same_neighbours(matrix, rows, k)
    assert part.whole is not None
    assert part.whole.neighbours(1).positions.shape == (900, 1)
    assert part.whole.describe()["neighbours"] == width_for_subset(max(k, 32), share)


@pytest.mark.parametrize("seed", range(4))
def test_copies_and_ties_have_the_order_of_the_subset(seed: int) -> None:
    matrix = with_copies_and_ties(700)
    assert np.unique(matrix, axis=0).shape[0] < 700
    rows = np.sort(np.random.default_rng(seed).permutation(700)[:560])
    assert_same_neighbours(matrix, rows, 33)


def test_vectors_with_too_few_neighbours_in_the_subset_are_searched_again() -> None:
    rng = np.random.default_rng(0)
    near = rng.standard_normal((100, 3)) * 0.1
    matrix = np.concatenate([near, rng.standard_normal((400, 3)) + 20]).astype(np.float32)
    rows = np.concatenate([[0], np.arange(100, 500)])  # row 0 is left without its 99 neighbours
    assert_same_neighbours(matrix, rows, 5)


def test_a_small_subset_is_searched_alone() -> None:
    matrix = clouds(300, 5)
    whole = Index(matrix)
    part = Index(matrix, np.arange(100), whole=whole)
    assert np.array_equal(
        part.neighbours(3).positions, Index(matrix, np.arange(100)).neighbours(3).positions
    )
    assert whole.describe()["neighbours"] == 0


def test_an_approximate_index_of_a_pool_uses_the_search_of_all_candidates() -> None:
    matrix = clouds(2000, 16)
    whole = Index(matrix, kind="ivf")
    rows = np.sort(np.random.default_rng(1).permutation(2000)[:1600])
    part = Index(matrix, rows, kind="ivf", whole=whole)
    true = Index(matrix, rows).neighbours(32).positions
    found = part.neighbours(32).positions
    shared = np.mean([np.isin(a, b).mean() for a, b in zip(found, true, strict=True)])
    assert shared > 0.9
    assert part.recall == whole.recall
    assert "_search" not in part.__dict__


def test_the_index_of_a_pool_stores_nothing(tmp_path: Path) -> None:
    labels = ["a", "b"] * 200
    problem = Problem.from_arrays(clouds(400, 4), labels, range(400))
    problem.save(tmp_path)
    opened = Problem.load(tmp_path)
    for seed in range(3):
        pool = opened.subsampled(0.8, seed)
        assert pool.index.candidates.tolist() == pool.candidates.tolist()
        pool.index.measured_by("cosine").neighbours(8)
        pool.index.clusters(5)
    (folder,) = (tmp_path / "index").iterdir()  # of all candidates, with one metric
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == [
        "meta.json", "neighbours-distances.npy", "neighbours-positions.npy", "points-copy_of.npy",
        "points-hashes.npy", "points-rows.npy",
    ]  # fmt: skip
