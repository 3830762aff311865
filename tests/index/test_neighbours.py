import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedpipe.index import neighbours, pairs, screening
from embedpipe.index.neighbours import Neighbours, nearest_neighbours
from embedpipe.index.pairs import TILE, tile_pairs
from embedpipe.index.vectors import UnitRows

KINDS = ["gaussian", "grid", "shifted", "far apart", "tiny", "huge", "mixed", "line", "corners"]


def check(matrix, k, found, reference):
    positions, distances = reference(matrix, min(k, len(matrix) - 1))
    assert found.positions.dtype == np.int32
    assert found.distances.dtype == np.float32
    np.testing.assert_array_equal(found.positions, positions)
    np.testing.assert_array_equal(found.distances, distances)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 7, 32])
def test_results_equal_float64(kind, k, distinct, reference):
    matrix = distinct(kind, 400)
    check(matrix, k, nearest_neighbours(matrix, np.arange(len(matrix)), k), reference)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("crowd", [0, 3])
def test_tiles_strips_and_crowds_change_nothing(kind, crowd, distinct, reference, monkeypatch):
    monkeypatch.setattr(pairs, "TILE", 64)
    monkeypatch.setattr(neighbours, "TILE", 64)
    monkeypatch.setattr(pairs, "STRIP", 24)
    monkeypatch.setattr(pairs, "MANY", 2)
    monkeypatch.setattr(pairs, "CROWD", crowd)  # so that float64 is used
    monkeypatch.setattr(neighbours, "CROWD", crowd)
    monkeypatch.setattr(neighbours, "HARD", 7)
    matrix = distinct(kind, 300)
    rows = np.arange(len(matrix))
    check(matrix, 5, nearest_neighbours(matrix, rows, 5), reference)
    some = rows[::3]
    found = nearest_neighbours(matrix, rows, 5, some=some)
    positions, distances = reference(matrix, 5)
    np.testing.assert_array_equal(found.positions, positions[some])
    np.testing.assert_array_equal(found.distances, distances[some])


def test_memory_is_bounded_where_all_distances_are_equal(monkeypatch):
    matrix = np.eye(700, dtype=np.float32)
    seen = []
    join = pairs.Close.join
    monkeypatch.setattr(
        pairs.Close,
        "join",
        lambda parts: seen.append(sum(p.points.size for p in parts)) or join(parts),
    )
    found = nearest_neighbours(matrix, np.arange(700), 3)
    assert max(seen) <= 2 * 700
    assert found.positions[[0, 1, 5, 699]].tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 2], [0, 1, 2]]
    assert (found.distances == np.float32(2**0.5)).all()


@pytest.mark.parametrize("crowd", [0, 3, 128])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("kind", ["gaussian", "shifted", "clusters", "grid", "corners"])
def test_short_vectors_change_nothing(kind, unit, crowd, distinct, reference, monkeypatch):
    monkeypatch.setattr(pairs, "TILE", 64)
    monkeypatch.setattr(pairs, "STRIP", 24)
    for name, value in (("STRIP", 24), ("LEAF", 20), ("SCREENED", 100), ("CROWD", crowd)):
        monkeypatch.setattr(neighbours, name, value)
    monkeypatch.setattr(screening, "WIDTHS", (3,))
    monkeypatch.setattr(screening, "COLUMN", 1e9)  # short vectors are always used
    used = []
    close = screening.Screen.close
    monkeypatch.setattr(
        screening.Screen, "close", lambda *args, **rest: used.append(1) or close(*args, **rest)
    )
    if kind == "clusters":
        rng = np.random.default_rng(3)
        centres = rng.integers(0, 5, size=(9, 40))
        matrix = (centres[rng.integers(0, 9, 400)] + 0.1 * rng.normal(size=(400, 40))).astype("f4")
    else:
        matrix = distinct(kind, 300)
    rows = np.arange(len(matrix))
    if unit:
        matrix = matrix[np.linalg.norm(matrix, axis=1) > 0]
        matrix = UnitRows(matrix)
        rows = np.arange(len(matrix))
        expected = nearest_neighbours(matrix, rows, 7, some=rows)
    else:
        expected = Neighbours(*reference(matrix, 7))
    assert not used
    found = nearest_neighbours(matrix, rows, 7)
    assert used
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_array_equal(found.distances, expected.distances)


def test_few_are_left_to_float64(distinct, monkeypatch):
    monkeypatch.setattr(neighbours, "_exhaustively", None)  # would raise
    for kind in ("gaussian", "shifted", "line", "tiny", "huge"):
        matrix = distinct(kind, 500)
        nearest_neighbours(matrix, np.arange(len(matrix)), 10)


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.float32,
        st.tuples(st.integers(2, 30), st.integers(1, 4)),
        elements=st.one_of(
            st.integers(-2, 2).map(float),
            st.floats(-(2.0**60), 2.0**60, width=32),
            st.sampled_from([1e-30, -1e-25, 1000.0, 1000.0001, 3e37]),
        ),
    ),
    st.integers(1, 6),
)
def test_any_small_matrix(reference, matrix, k):
    matrix = np.unique(matrix + np.float32(0), axis=0)
    found = nearest_neighbours(matrix, np.arange(len(matrix)), k)
    check(matrix, k, found, reference)


def test_threads_change_nothing(threads):
    matrix = np.random.default_rng(1).standard_normal((9000, 40)).astype(np.float32)
    found = []
    for count in (1, 2):
        with threads(count):
            found.append(nearest_neighbours(matrix, np.arange(9000), 9))
    np.testing.assert_array_equal(found[0].positions, found[1].positions)
    np.testing.assert_array_equal(found[0].distances, found[1].distances)
    for point in (0, 4095, 4096, 8999):
        away = np.square(matrix.astype(np.float64) - matrix[point]).sum(axis=1)
        away[point] = np.inf
        assert found[0].positions[point].tolist() == np.argsort(away)[:9].tolist()


def test_other_rows_are_ignored(reference):
    matrix = np.random.default_rng(2).standard_normal((60, 3)).astype(np.float32)
    rows = np.arange(1, 60, 2)
    matrix[::2] = np.nan
    check(matrix[rows], 4, nearest_neighbours(matrix, rows, 4), reference)


def test_progress_is_reported(monkeypatch):
    monkeypatch.setattr(pairs, "TILE", 10)
    reports = []
    nearest_neighbours(
        np.arange(40, dtype=np.float32)[:, None],
        np.arange(40),
        2,
        progress=lambda done, total: reports.append((done, total)),
    )
    assert reports == [(4, 10), (8, 10), (10, 10)]


@pytest.mark.parametrize(("p", "k", "shape"), [(0, 3, (0, 0)), (1, 3, (1, 0)), (3, 0, (3, 0))])
def test_empty_results(p, k, shape):
    matrix = np.arange(p, dtype=np.float32)[:, None]
    found = nearest_neighbours(matrix, np.arange(p), k)
    assert found.positions.shape == found.distances.shape == shape


@pytest.mark.parametrize("p", [1, 64, 65, 200, 256, 300])
def test_every_pair_of_tiles_comes_once(p, monkeypatch):
    monkeypatch.setattr(pairs, "TILE", 64)
    seen = np.zeros((p, p), dtype=int)
    for band in pairs.tile_pairs(p):
        for left, right in band:
            seen[np.ix_(left, right)] += 1
            if left is not right:
                seen[np.ix_(right, left)] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_hold(kind, distinct, squared_reference):
    matrix = distinct(kind, 150)
    p = len(matrix)
    every = np.arange(p)
    compared = pairs.Pairs(matrix, every)
    far = np.full(p, neighbours.FAR, np.float32)
    (hits,) = compared.closer(every, every, far)
    assert hits.points.size == p * (p - 1)
    with np.errstate(over="ignore"):
        true = squared_reference(matrix)[hits.points, hits.others] * compared.frame.scale**2
    assert (compared.lower(hits) <= true).all()
    assert (compared.upper(hits) >= true).all()


def test_example_of_nearest_neighbours():
    matrix = np.array([[0], [1], [3], [7]], dtype=np.float32)
    found = nearest_neighbours(matrix, np.arange(4), 2)
    assert found.positions.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    assert found.distances.tolist() == [[1.0, 3.0], [1.0, 2.0], [2.0, 3.0], [4.0, 6.0]]


def test_example_of_tile_pairs():
    assert [len(band) for band in tile_pairs(4 * TILE)] == [4, 4, 2]
