import numpy as np
import pytest

from embedpipe.errors import SelectionError
from embedpipe.index import pairs, radius_neighbors
from embedpipe.index.neighbours import nearest_neighbours
from embedpipe.index.radius_neighbors import balls_by_neighbours, balls_within

KINDS = ["gaussian", "grid", "shifted", "far apart", "tiny", "huge", "mixed", "line", "corners"]


def check(found, inside):
    assert found.starts.dtype == np.int64
    assert found.members.dtype == np.int32
    assert np.diff(found.starts).tolist() == inside.sum(axis=1).tolist()
    assert found.members.tolist() == np.nonzero(inside)[1].tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tile", [64, 4096])
def test_results_equal_float64(kind, tile, distinct, squared_reference, monkeypatch):
    monkeypatch.setattr(pairs, "TILE", tile)
    monkeypatch.setattr(radius_neighbors, "TILE", tile)
    matrix = distinct(kind, 250)
    p = len(matrix)
    rows = np.arange(p)
    squared = squared_reference(matrix)
    known = nearest_neighbours(matrix, rows, 6)

    def find(points, k):
        return nearest_neighbours(matrix, rows, k, some=points)

    shares = np.sqrt(np.quantile(squared, [0.005, 0.02, 0.1, 0.6]))  # some are exact distances
    for radius in [0, 1, 2.0, 2**0.5, *shares]:
        inside = squared <= radius * radius
        check(balls_within(matrix, rows, radius, p), inside)
        check(balls_within(matrix, rows, radius, p, known), inside)
        check(balls_by_neighbours(matrix, rows, radius, p, find), inside)


def test_points_with_sufficient_neighbours_are_not_searched(monkeypatch):
    matrix = np.arange(50, dtype=np.float32)[:, None]
    known = nearest_neighbours(matrix, np.arange(50), 8)
    monkeypatch.setattr(radius_neighbors, "Pairs", None)  # would raise
    found = balls_within(matrix, np.arange(50), 2, known=known)
    assert found.members[:7].tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert np.diff(found.starts)[2:-2].tolist() == [5] * 46


def test_threads_change_nothing(threads):
    matrix = np.random.default_rng(1).standard_normal((5000, 8)).astype(np.float32)
    found = []
    for count in (1, 2):
        with threads(count):
            found.append(balls_within(matrix, np.arange(5000), 1.2))
    np.testing.assert_array_equal(found[0].members, found[1].members)
    np.testing.assert_array_equal(found[0].starts, found[1].starts)


@pytest.mark.parametrize("radius", [100, 1e300, np.inf])
def test_too_many_members_are_refused_early(radius):
    matrix = np.random.default_rng(1).standard_normal((600, 4)).astype(np.float32)
    with pytest.raises(SelectionError) as error:
        balls_within(matrix, np.arange(600), radius)
    assert str(error.value) == (
        f"balls of radius {radius:g} have about 599 members on average; `max_edges` is 250. Use a "
        "smaller radius, or increase `max_edges`: this needs 2396 bytes per item, and four times "
        "that during the search."
    )


def test_too_many_neighbours_are_refused():
    matrix = np.random.default_rng(1).standard_normal((600, 4)).astype(np.float32)
    rows = np.arange(600)
    known = nearest_neighbours(matrix, rows, 20)
    radius = float(np.median(known.distances[:, -1]))
    with pytest.raises(SelectionError, match=r"on average; `max_edges` is 3"):
        balls_within(matrix, rows, radius, 3, known)

    def find(points, k):
        return nearest_neighbours(matrix, rows, k, some=points)

    with pytest.raises(SelectionError, match=r"about 513 members on average; `max_edges` is 250"):
        balls_by_neighbours(matrix, rows, 100, 250, find)


@pytest.mark.parametrize("radius", [-1, np.nan])
def test_a_negative_radius_is_refused(radius):
    with pytest.raises(SelectionError) as error:
        balls_within(np.zeros((1, 1), np.float32), np.arange(1), radius)
    assert str(error.value) == f"`radius` must be at least 0; got {radius:g}."


@pytest.mark.parametrize("p", [0, 1])
def test_few_points(p):
    found = balls_within(np.zeros((p, 2), np.float32), np.arange(p), 1)
    assert found.starts.tolist() == list(range(p + 1))
    assert found.members.tolist() == list(range(p))


def test_example_of_balls_within():
    matrix = np.array([[0], [1], [3], [7]], dtype=np.float32)
    balls = balls_within(matrix, np.arange(4), 2)
    assert (balls.starts.tolist(), balls.members.tolist()) == (
        [0, 2, 5, 7, 8],
        [0, 1, 0, 1, 2, 1, 2, 3],
    )
