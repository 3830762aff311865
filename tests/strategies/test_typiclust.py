import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.strategies import Pool, get_strategy, typiclust
from embedpipe.strategies import typiclust as typicality
from embedpipe.strategies.typiclust import most_typical


def line(*values):
    return np.array(values, dtype=np.float32)[:, None]


def select(pool, n, **options):
    options = {"metric": "euclidean", **options}
    return get_strategy("typiclust", **options).select(pool, n, np.random.default_rng(0))


def by_definition(matrix, rows, allowed, n, neighbours):
    """Typicality from every distance, in float64."""
    x = matrix[rows].astype(np.float64)
    away = np.sqrt(np.square(x[:, None] - x).sum(axis=2))
    np.fill_diagonal(away, np.inf)
    k = max(1, min(neighbours, len(x) // 2))
    means = np.sort(away, axis=1)[:, :k].mean(axis=1)
    free = np.flatnonzero(allowed)
    order = free[np.argsort(means[free], kind="stable")][:n]
    return order, 1 / means[order]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["gaussian", "grid", "shifted", "tiny", "near copies"]),
    c=st.integers(2, 60),
    d=st.integers(1, 8),
    neighbours=st.sampled_from([1, 3, 20]),
    data=st.data(),
)
def test_the_most_typical_are_those_of_the_definition(seed, kind, c, d, neighbours, data):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((c, d))
    if kind == "grid":
        matrix = rng.permutation(np.unique(rng.integers(0, 5, (c, d)).astype(float), axis=0))
    if kind == "near copies":
        matrix = matrix[rng.integers(0, 3, c) % c] + 1e-5 * rng.standard_normal((c, d))
    matrix = (matrix * (1e-25 if kind == "tiny" else 1) + 1e3 * (kind == "shifted")).astype("f4")
    rows = np.sort(np.unique(matrix, axis=0, return_index=True)[1])
    c = rows.size
    allowed = rng.random(c) < 0.7
    allowed[rng.integers(c)] = True
    n = data.draw(st.integers(1, int(allowed.sum())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typicality, "BLOCK", data.draw(st.sampled_from([1, 7, 1024])))
        found = most_typical(matrix, rows, matrix[rows], allowed, n, neighbours)
    if c == 1:
        assert (found[0].tolist(), found[1].tolist()) == ([0], [0])
        return
    expected = by_definition(matrix, rows, allowed, n, neighbours)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-9)
    same = found[0] == expected[0]  # another order of sums may break ties
    np.testing.assert_allclose(found[1][~same], expected[1][~same], rtol=1e-14)


def test_a_large_cluster_is_searched_among_promising_points(monkeypatch):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((900, 6)).astype(np.float32)
    rows, allowed = np.arange(900), rng.random(900) < 0.8
    exact = most_typical(matrix, rows, matrix, allowed, 3, 20)
    monkeypatch.setattr(typicality, "EXACT", 300)
    monkeypatch.setattr(typicality, "COMPARED", 100)
    looked = []
    bounds = typicality._Cluster.bounds

    def counted(self, some):
        looked.append(some.size)
        return bounds(self, some)

    monkeypatch.setattr(typicality._Cluster, "bounds", counted)
    found = most_typical(matrix, rows, matrix, allowed, 3, 20)
    assert looked == [100]
    assert found[0].tolist() == exact[0].tolist()
    np.testing.assert_array_equal(found[1], exact[1])


def test_picks_worked_out_by_hand():
    # Two clusters; half of 5 points is 2 neighbours. {0, 2, 3, 4, 7}: 3 has 1 + 1, so 1 / 1.
    # {50, 51, 53, 55, 57, 58}, 3 neighbours: 51, 53, 55 and 57 have 7 in all: the lowest row.
    pool = Pool(line(0, 2, 3, 4, 7, 50, 51, 53, 55, 57, 58))
    selection = select(pool, 2)
    assert selection.rows.tolist() == [6, 2]  # the larger cluster first
    np.testing.assert_allclose(selection.scores, [3 / 7, 1], rtol=1e-6)
    assert selection.diagnostics["cluster_size"].tolist() == [6, 5]


def test_clusters_without_labels_come_first_then_larger_ones():
    # Four clusters, for two labelled points and two picks; the largest holds both labels.
    pool = Pool(
        line(*range(9), *range(100, 106), *range(200, 205), 300, 301, 302, 303, 304, 305, 306),
        labelled=[0, 8],
    )
    assert select(pool, 2).diagnostics["cluster_size"].tolist() in ([7, 6], [7, 5], [6, 5])
    turns = typiclust.TypiClust()._turns(
        order=np.array([2, 0, 1]), sizes=np.array([9, 6, 7]), free=np.array([7, 6, 7]), n=5
    )
    assert turns.tolist() == [2, 0, 1, 2, 0]


def test_clusters_take_turns_and_small_ones_come_last():
    turns = typiclust.TypiClust()._turns(
        order=np.array([3, 1, 0, 2]),
        sizes=np.array([5, 4, 6, 8]),
        free=np.array([1, 4, 3, 2]),
        n=10,
    )
    # Cluster 1 has fewer than 5 points; 0 is empty after one turn, 3 after two.
    assert turns.tolist() == [3, 0, 2, 3, 2, 2, 1, 1, 1, 1]


def test_small_clusters_are_used_only_when_no_other_is_left():
    pool = Pool(line(*range(10), 100, 200))
    rows = select(pool, 3).rows
    assert set(rows.tolist()) <= set(range(10))
    assert {10, 11} <= set(select(pool, 3, min_cluster_size=1).rows.tolist())


def test_the_second_turn_takes_the_second_most_typical():
    pool = Pool(line(0, 2, 3, 4, 7))
    # Mean distances to two neighbours: 2.5, 1.5, 1, 1.5, 3.5.
    selection = select(pool, 5, max_clusters=1)
    assert selection.rows.tolist() == [2, 1, 3, 0, 4]
    np.testing.assert_allclose(selection.scores, 1 / np.array([1, 1.5, 1.5, 2.5, 3.5]), rtol=1e-6)


def test_labelled_points_are_neighbours_but_no_picks():
    pool = Pool(line(0, 2, 3, 4, 7), labelled=[2])
    selection = select(pool, 1, max_clusters=1)
    assert selection.rows.tolist() == [1]
    np.testing.assert_allclose(selection.scores, [1 / 1.5], rtol=1e-6)


def test_as_many_clusters_as_labelled_points_and_picks(monkeypatch):
    asked = []
    pool = Pool(np.random.default_rng(0).standard_normal((200, 3)), labelled=[1, 2, 3])
    clusters = pool.index.clusters
    monkeypatch.setattr(
        pool.index, "clusters", lambda k, seed=0: (asked.append(k), clusters(k, seed))[1]
    )
    select(pool, 7)
    select(pool, 7, max_clusters=4)
    assert asked == [10, 4]


def test_the_most_typical_of_a_line():
    line = np.array([[0], [3], [4], [6]], dtype=np.float32)
    positions, values = most_typical(line, np.arange(4), line, np.ones(4, dtype=bool), 1, 20)
    assert (positions.tolist(), values.round(6).tolist()) == ([2], [0.666667])
