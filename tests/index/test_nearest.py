import numpy as np
import pytest

from embedpipe.index import ShardedMatrix
from embedpipe.index.distances import between
from embedpipe.index.nearest import nearest_of
from embedpipe.index.pair_bounds import pair_bounds
from embedpipe.index.vectors import vectors_of

KINDS = ["gaussian", "grid", "shifted", "far apart", "tiny", "huge", "mixed", "line", "corners"]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["C", "F", "shards"])
def test_bounds_contain_the_distance(kind, metric, layout, distinct, tmp_path):
    matrix = np.asarray(distinct(kind, 120), order="F" if layout == "F" else "C")
    matrix[0] = 0
    if layout == "shards":
        for number, part in enumerate(np.array_split(matrix, 3)):
            np.save(tmp_path / f"{number}.npy", part)
        matrix = ShardedMatrix(sorted(tmp_path.iterdir()))
    vectors, rng = vectors_of(matrix, metric), np.random.default_rng(0)
    count = min(60, len(matrix))
    rows = np.sort(rng.choice(len(matrix), count, replace=False))
    rows[0] = 0
    points, others = rng.integers(0, count, 600), rng.integers(0, count, 600)
    lower, upper = pair_bounds(vectors, rows, points, others)
    with np.errstate(over="ignore"):
        true = between(vectors, rows[points], rows[others])
    assert (lower <= true).all()
    assert (upper >= true).all()
    if kind == "gaussian":
        assert (upper - lower < 1e-4 * (1 + true))[(points > 0) & (others > 0)].all()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_nearest_candidates_by_float64(kind, metric, distinct):
    matrix = distinct(kind, 150)
    vectors, rng = vectors_of(matrix, metric), np.random.default_rng(1)
    rows = np.arange(1, len(matrix), 2)
    points = np.arange(0, rows.size, 3)
    found = np.stack([rng.permutation(rows.size)[:18] for _ in points])
    found[:, -3:] = -1
    near = nearest_of(vectors, rows, points, found, 5)
    for at, point in enumerate(points):
        others = np.sort(found[at, :-3])
        with np.errstate(over="ignore"):
            squared = between(vectors, rows[others], rows[[point]])
            order = np.argsort(squared, kind="stable")[:5]
            away = np.sqrt(squared[order]).astype(np.float32)
        assert near.positions[at].tolist() == others[order].tolist()
        np.testing.assert_array_equal(near.distances[at], away)
