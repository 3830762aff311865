import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.strategies import Pool, get_strategy
from embedpipe.strategies.algorithms.predictions import margin


def binary(margins):
    second = np.asarray(margins, dtype=np.float64) / 2
    return np.c_[1 - second, second]


def make(matrix, margins, labelled=(0,)):
    predictions = binary(margins)
    return Pool(
        np.asarray(matrix, dtype=np.float32), labelled=labelled, labels=[0] * len(labelled),
        probabilities=lambda rows: predictions[rows],
    )  # fmt: skip


def select(pool, n, seed=0, **options):
    options = {"metric": "euclidean", **options}
    return get_strategy("cluster_margin", **options).select(pool, n, np.random.default_rng(seed))


LINE = [[0], [1], [2], [3], [100], [101], [200]]
MARGINS = [0, 0.875, 0.75, 0.625, 0.5, 0.25, 0.375]


def test_picks_worked_out_by_hand():
    # Kept: rows 1, 2, 3 near 0, rows 4 and 5 near 100, row 6. The smallest cluster comes first.
    pool = make(LINE, MARGINS)
    selection = select(pool, 6, clusters=3, order="margin")
    assert selection.rows.tolist() == [6, 4, 1, 5, 2, 3]
    assert selection.scores.tolist() == [0.375, 0.5, 0.875, 0.25, 0.75, 0.625]
    assert selection.diagnostics["kept"].tolist() == [1, 2, 3, 2, 3, 3]
    assert selection.diagnostics["cluster"][1] == selection.diagnostics["cluster"][3]


def test_only_the_least_margins_are_kept():
    pool = make(LINE, MARGINS)
    selection = select(pool, 2, clusters=3, order="margin", margin_factor=2)
    assert selection.rows.tolist() == [4, 1]  # kept: 1, 2, 3, 4
    assert selection.diagnostics["kept"].tolist() == [1, 3]


def test_random_order_is_random_inside_a_cluster_only():
    pool = make(LINE, MARGINS)
    found = {tuple(select(pool, 3, seed, clusters=3).rows.tolist()) for seed in range(60)}
    assert found == {(6, near, low) for near in (4, 5) for low in (1, 2, 3)}


@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(2, 50),
    clusters=st.integers(1, 12),
    factor=st.integers(1, 4),
    order=st.sampled_from(["random", "margin"]),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
def test_picks_are_those_of_the_reference(n, clusters, factor, order, seed, data):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((n, 3)).astype(np.float32)
    margins = rng.integers(0, 5, n) / 4
    pool = make(matrix, margins)
    picks = data.draw(st.integers(1, n - 1))
    options = {"clusters": clusters, "margin_factor": factor, "order": order}
    selection = select(pool, picks, seed, **options)

    uncertainty = margin(binary(margins))
    left = sorted(range(1, n), key=lambda row: (-uncertainty[row], row))[: factor * picks]
    if order == "random":
        left = np.random.default_rng(seed).permutation(sorted(left)).tolist()
    labels = pool.index.clusters(min(clusters, n), 0).labels  # points are rows here
    queues = {label: [r for r in left if labels[r] == label] for label in {labels[r] for r in left}}
    turns, expected = sorted(queues, key=lambda label: (len(queues[label]), label)), []
    while len(expected) < picks:
        expected += [queues[label].pop(0) for label in turns if queues[label]]
    assert selection.rows.tolist() == expected[:picks]
    np.testing.assert_array_equal(selection.scores, uncertainty[selection.rows].astype("f4"))


@pytest.mark.parametrize(("points", "expected"), [(30, 20), (10, 10), (5000, 50), (100_000, 256)])
def test_the_number_of_clusters_follows_from_the_number_of_points(points, expected):
    class Index:
        rows = np.arange(points)

    class Some:
        index = Index()

    assert get_strategy("cluster_margin")._number(Some()) == expected
