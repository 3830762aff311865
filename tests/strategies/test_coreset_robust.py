import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.strategies import Pool, get_strategy


def line(*values):
    return np.array(values, dtype=np.float32)[:, None]


def select(pool, n, **options):
    options = {"metric": "euclidean", **options}
    chooser = get_strategy("coreset_robust", **options)
    return chooser.select(pool, n, np.random.default_rng(0))


def test_picks_worked_out_by_hand():
    # Row 6 is the outlier; the others are covered first, from row 0: 4, then 2, then row 6.
    pool = Pool(line(0, 1, 2, 3, 4, 5, 90), labelled=[0])
    selection = select(pool, 6, outliers=0.2)
    assert selection.rows.tolist() == [5, 2, 1, 3, 4, 6]
    assert selection.scores.tolist() == [5, 2, 1, 1, 1, 85]
    assert selection.diagnostics["radius"].tolist() == [2, 1, 1, 1, 0, 0]
    assert selection.diagnostics["lower_bound"] == 0
    assert selection.diagnostics["radius_of_all"] == 0
    assert selection.diagnostics["outliers"] == 1


def test_the_radius_of_all_counts_outliers():
    pool = Pool(line(0, 1, 2, 3, 4, 5, 90), labelled=[0])
    diagnostics = select(pool, 2, outliers=0.2).diagnostics
    assert diagnostics["radius"].tolist() == [2, 1]
    assert diagnostics["lower_bound"] == 0.5
    assert diagnostics["radius_of_all"] == 85


def test_without_labels_the_first_pick_is_nearest_to_the_mean_of_inliers():
    selection = select(Pool(line(0, 1, 2, 3, 4, 90)), 2, outliers=0.2)
    assert selection.rows.tolist() == [2, 0]
    assert selection.scores.tolist() == [2, 2]
    assert selection.diagnostics["radius"].tolist() == [2, 2]


def test_the_default_share_of_outliers_is_a_tenth():
    matrix = np.random.default_rng(0).standard_normal((57, 4)).astype(np.float32)
    assert select(Pool(matrix, labelled=[0]), 3).diagnostics["outliers"] == 5


def test_without_outliers_it_is_coreset():
    matrix = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
    pool = Pool(matrix, labelled=[3])
    expected = get_strategy("coreset(metric=euclidean)").select(pool, 30, np.random.default_rng(0))
    selection = select(pool, 30, outliers=0.0)
    assert selection.rows.tolist() == expected.rows.tolist()
    assert selection.scores.tolist() == expected.scores.tolist()
    for key in ("radius", "lower_bound"):
        np.testing.assert_array_equal(selection.diagnostics[key], expected.diagnostics[key])
    assert selection.diagnostics["radius_of_all"] == pytest.approx(
        expected.diagnostics["radius"][-1], rel=1e-6
    )


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    p=st.integers(2, 40),
    d=st.integers(1, 5),
    outliers=st.sampled_from([0.01, 0.1, 0.5, 0.9]),
    block_size=st.sampled_from([None, 1, 5]),
    data=st.data(),
)
def test_it_is_coreset_on_inliers_then_on_outliers(
    reference, seed, p, d, outliers, block_size, data
):
    matrix = np.random.default_rng(seed).standard_normal((p, d)).astype(np.float32)
    m = data.draw(st.integers(0, p - 1))
    n = data.draw(st.integers(1, p - m))
    pool = Pool(matrix, labelled=np.arange(m))
    selection = select(pool, n, outliers=outliers, block_size=block_size)
    away = pool.index.neighbours(10).distances.astype(np.float64)  # rounding may decide between two
    x = matrix.astype(np.float64)
    exact = np.sort(np.sqrt(np.square(x[:, None] - x).sum(axis=2)), axis=1)[:, 1:11]
    np.testing.assert_allclose(away, exact, rtol=1e-6)
    count = int(outliers * (p - m) + 1e-9)
    free = np.arange(m, p)
    lonely = np.sort(free[np.argsort(-away.mean(axis=1)[free], kind="stable")[:count]])
    inner = np.setdiff1d(free, lonely)
    first = min(n, inner.size)
    picks, scores, radius = reference.coreset(matrix, inner, np.arange(m), first)
    if n > first:
        more, far, _ = reference.coreset(matrix, lonely, [*range(m), *picks], n - first)
        picks, scores = picks + more, np.concatenate([scores, far])
    assert selection.rows.tolist() == picks
    np.testing.assert_allclose(selection.scores, scores, rtol=1e-6)
    np.testing.assert_allclose(selection.diagnostics["radius"][:first], radius, rtol=1e-6)
    assert not selection.diagnostics["radius"][first:].any()
    left = np.setdiff1d(free, picks)
    widest = np.sqrt(reference.nearest(matrix, left, [*range(m), *picks]).max(initial=0))
    assert selection.diagnostics["radius_of_all"] == pytest.approx(widest, rel=1e-6)
    assert selection.diagnostics["outliers"] == count
