import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.strategies import Pool, get_strategy
from embedpipe.strategies.algorithms.clusters import Members
from embedpipe.strategies.centroid import _middles


def line(*values):
    return np.array(values, dtype=np.float32)[:, None]


def select(pool, n, seed=0):
    return get_strategy("centroid(metric=euclidean)").select(pool, n, np.random.default_rng(seed))


def test_picks_worked_out_by_hand():
    # Clusters {1000, 1001, 1003}, {0, 1, 2, 3} and {500, 501}: means 1001⅓, 1.5 and 500.5.
    selection = select(Pool(line(1000, 1001, 1003, 0, 1, 2, 3, 500, 501)), 3)
    assert selection.rows.tolist() == [4, 1, 7]  # row 4 is as near as row 5, row 7 as row 8
    np.testing.assert_allclose(selection.scores, [4 / 9, 3 / 9, 2 / 9], rtol=1e-6)
    assert selection.diagnostics["cluster_size"].tolist() == [4, 3, 2]
    np.testing.assert_allclose(selection.diagnostics["distance"], [0.5, 1 / 3, 0.5], rtol=1e-6)


def test_duplicates_count_as_items_but_not_in_the_mean():
    # {0, 1, 2} has the mean 1 though 2 is there five times, and more items than {90 … 93}.
    selection = select(Pool(line(90, 91, 92, 93, 0, 1, 2, 2, 2, 2, 2)), 2)
    assert selection.rows.tolist() == [5, 1]
    assert selection.diagnostics["cluster_size"].tolist() == [7, 4]


def test_labelled_items_are_left_out():
    # With the labelled ones 90 and 91 and their copies there would be a third cluster.
    selection = select(Pool(line(0, 1, 2, 40, 41, 90, 91, 90, 91), labelled=[5, 6]), 2)
    assert selection.rows.tolist() == [1, 3]
    np.testing.assert_allclose(selection.scores, [0.6, 0.4], rtol=1e-6)


def test_one_cluster_for_each_point_takes_all_by_row():
    assert select(Pool(line(5, 3, 9, 1)), 4).rows.tolist() == [0, 1, 2, 3]


def test_picks_depend_on_the_seed_alone():
    matrix = np.random.default_rng(0).standard_normal((300, 4)).astype(np.float32)
    pool = Pool(matrix)
    assert select(pool, 20, 1).rows.tolist() == select(pool, 20, 1).rows.tolist()
    assert select(pool, 20, 1).rows.tolist() != select(pool, 20, 2).rows.tolist()


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["gaussian", "grid", "shifted", "tiny"]),
    p=st.integers(1, 60),
    k=st.integers(1, 20),
    d=st.integers(1, 8),
)
def test_the_middle_of_a_cluster_is_the_one_nearest_to_its_mean(reference, seed, kind, p, k, d):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((p, d))
    if kind == "grid":
        matrix = rng.integers(0, 3, (p, d)).astype(float)
    matrix = (matrix * (1e-25 if kind == "tiny" else 1) + 1e3 * (kind == "shifted")).astype("f4")
    k = min(k, p)
    labels = np.concatenate([np.arange(k), rng.integers(0, k, p - k)])
    rows = np.sort(rng.permutation(p))
    middle, distance = _middles(matrix, rows, Members.of(labels, k))
    for cluster in range(k):
        own = np.flatnonzero(labels == cluster)
        mean = reference.mean(matrix, own)
        away = [reference.squared(matrix, row, mean) for row in own]
        assert middle[cluster] == own[int(np.argmin(away))]
        assert distance[cluster] == pytest.approx(np.sqrt(min(away)), rel=1e-12)
