import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.strategies import Pool, get_strategy
from embedpipe.strategies.algorithms import coverage as herding
from embedpipe.strategies.algorithms.coverage import (
    KernelCoverage,
    References,
    nearest_pair,
    spread_of,
)
from embedpipe.strategies.algorithms.predictions import UNCERTAINTIES


def line(*values):
    return np.array(values, dtype=np.float32)[:, None]


def select(name, pool, n, **options):
    options = {"metric": "euclidean", **options}
    return get_strategy(name, **options).select(pool, n, np.random.default_rng(0))


def dense(sketch, width):
    x = sketch.astype(np.float64)
    return np.exp(-np.square(x[:, None] - x).sum(axis=2) / width**2)


def check_picks(pool, selection, weights, width):
    """Every pick must be the best by the definition, with a kernel value for every pair."""
    kernel, free = dense(pool.index.sketch, width), np.flatnonzero(~pool.unique_labelled)
    weights = weights / weights.sum()
    covered = kernel[:, pool.unique_labelled].max(axis=1, initial=0)[free]
    points = pool.index.find(selection.rows)
    left = set(free.tolist())
    for turn, point in enumerate(points):
        gains = {
            each: float(weights @ np.maximum(kernel[free, each] - covered, 0)) for each in left
        }
        best = max(gains.values())
        assert gains[point] == pytest.approx(best, abs=1e-11)
        assert all(gains[each] < best + 1e-11 for each in left)
        rivals = [each for each in left if gains[each] > gains[point] - 1e-14]
        assert point == min(rivals) or gains[point] > 0  # ties at 0 go to the lowest row
        assert selection.scores[turn] == pytest.approx(gains[point], abs=1e-6)
        covered = np.maximum(covered, kernel[free, point])
        expected = float(weights @ covered)
        assert selection.diagnostics["coverage"][turn] == pytest.approx(expected, abs=1e-6)
        left.remove(point)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    p=st.integers(2, 40),
    d=st.integers(1, 5),
    kind=st.sampled_from(["gaussian", "grid", "copies", "shifted", "tiny"]),
    width=st.sampled_from([0.1, 1.0, 3.0]),
    data=st.data(),
)
def test_max_herding_is_greedy_by_the_definition(seed, p, d, kind, width, data):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((p, d))
    if kind == "grid":
        matrix = rng.integers(0, 4, (p, d)).astype(float)
    if kind == "copies":
        matrix = matrix[rng.integers(0, p, p)]
    matrix = (matrix * (1e-25 if kind == "tiny" else 1) + 1e3 * (kind == "shifted")).astype("f4")
    pool = Pool(matrix, labelled=np.arange(data.draw(st.integers(0, p - 1))))
    free = np.flatnonzero(~pool.unique_labelled)
    if not free.size:
        return
    n = data.draw(st.integers(1, free.size))
    selection = select("max_herding", pool, n, width=width)
    x = pool.index.sketch.astype(np.float64)
    spread = np.sqrt(np.square(x - x.mean(axis=0)).sum(axis=1).mean()) or 1.0
    assert selection.diagnostics["width"] == pytest.approx(width * spread)
    check_picks(pool, selection, pool.index.sizes[free], selection.diagnostics["width"])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    p=st.integers(3, 40),
    m=st.integers(1, 20),
    name=st.sampled_from(sorted(UNCERTAINTIES)),
    data=st.data(),
)
def test_uncertainty_herding_is_greedy_by_the_definition(seed, p, m, name, data):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((p, 3)).astype(np.float32)
    predictions = rng.dirichlet(np.ones(4) / 2, p).astype(np.float32)
    m = min(m, p - 1)
    pool = Pool(
        matrix,
        labelled=np.arange(m),
        labels=np.arange(m) % 4,
        probabilities=lambda rows: predictions[rows],
    )
    n = data.draw(st.integers(1, p - m))
    selection = select("uncertainty_herding", pool, n, uncertainty=name)
    x = pool.index.sketch.astype(np.float64)
    apart = np.sqrt(np.square(x[:m, None] - x[:m]).sum(axis=2)[np.triu_indices(m, 1)])
    width = apart.min(initial=spread_of(pool.index.sketch))
    assert selection.diagnostics["width"] == pytest.approx(width, rel=1e-6)
    unsure = UNCERTAINTIES[name](predictions)
    np.testing.assert_allclose(
        selection.diagnostics["uncertainty"], unsure[selection.rows], rtol=1e-6
    )
    check_picks(pool, selection, unsure[m:], selection.diagnostics["width"])


def test_max_herding_picks_worked_out_by_hand():
    # With a narrow kernel a point covers itself and its copies: the most copies, the lowest row.
    selection = select("max_herding", Pool(line(0, 5, 9, 9, 20)), 3, width=1e-3)
    assert selection.rows.tolist() == [2, 0, 1]
    np.testing.assert_allclose(selection.scores, [0.4, 0.2, 0.2], rtol=1e-6)
    # With a wide one the middle covers all.
    assert select("max_herding", Pool(line(0, 4, 5, 6, 10)), 1, width=10.0).rows.tolist() == [2]


def test_labelled_items_are_covered():
    pool = Pool(line(0, 1, 9, 10), labelled=[0])
    assert select("max_herding", pool, 1, width=0.1).rows.tolist() == [2]


def test_without_labels_uncertainty_herding_is_max_herding():
    matrix = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    left = select("uncertainty_herding", Pool(matrix), 20)
    right = select("max_herding", Pool(matrix), 20)
    assert left.rows.tolist() == right.rows.tolist()
    assert left.diagnostics["uncertainty"].tolist() == [1.0] * 20


def test_certain_predictions_count_all_items_the_same(make_pool):
    matrix = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    pool = Pool(
        matrix, labelled=[0], labels=[1], probabilities=lambda rows: np.ones((rows.size, 1))
    )
    expected = select("max_herding", Pool(matrix, labelled=[0]), 20).rows
    assert select("uncertainty_herding", pool, 20).rows.tolist() == expected.tolist()


def test_with_a_narrow_kernel_uncertainty_alone_decides():
    predictions = np.array([[1, 0], [0.9, 0.1], [0.5, 0.5], [0.7, 0.3], [1, 0]])
    pool = Pool(
        line(0, 1, 2, 3, 4),
        labelled=[0, 4],
        labels=[0, 1],
        probabilities=lambda rows: predictions[rows],
    )
    selection = select("uncertainty_herding", pool, 3, width=1e-2)
    assert selection.rows.tolist() == [2, 3, 1]
    np.testing.assert_allclose(selection.diagnostics["uncertainty"], [1, 0.6, 0.2], rtol=1e-6)


def test_the_width_shrinks_with_more_labels_and_has_a_minimum():
    widths = []
    for labelled in ([0], [0, 3], [0, 3, 1], [0, 3, 1, 4]):
        pool = Pool(
            line(0, 1, 2, 8, 1 + 1e-6, 30),
            labelled=labelled,
            labels=labelled,
            probabilities=lambda rows: np.full((rows.size, 2), 0.5),
        )
        widths.append(select("uncertainty_herding", pool, 1).diagnostics["width"])
    spread = spread_of(line(0, 1, 2, 8, 1 + 1e-6, 30))
    np.testing.assert_allclose(widths, [spread, 8, 1, spread / 1000], rtol=1e-5)


def test_references_are_evenly_spaced_items():
    matrix = np.repeat(np.arange(4000, dtype=np.float32), 2)[:, None]
    free = np.arange(4000) >= 1000
    found = References.of(Pool(matrix, labelled=np.flatnonzero(~np.repeat(free, 2))))
    items = 2000 + np.arange(2048) * 6000 // 2048
    points, counts = np.unique(items // 2, return_counts=True)
    assert found.points.tolist() == points.tolist()
    assert found.items.tolist() == counts.tolist()
    assert found.items.sum() == herding.REFERENCES


def test_many_points_are_compared_in_float32_and_agree_with_float64():
    vectors = np.random.default_rng(0).standard_normal((2500, 30)).astype(np.float32)
    references, weights = np.arange(0, 2500, 5), np.arange(1, 501)
    coverage = KernelCoverage(vectors, 6.0, vectors[references], weights, np.array([7, 9]))
    kernel = dense(vectors, 6.0)[:, references]
    covered = kernel[[7, 9]].max(axis=0)
    expected = np.maximum(kernel - covered, 0) @ weights / weights.sum()
    np.testing.assert_allclose(coverage.covered, covered, rtol=1e-4, atol=1e-7)
    gains = coverage.gains(np.arange(2500))
    np.testing.assert_allclose(gains, expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(gains, expected, rtol=1e-12, atol=0)  # it was float32
    narrow = KernelCoverage(vectors, 0.1, vectors[references], weights, np.array([7, 9]))
    wanted = dense(vectors, 0.1)[:, references]
    wanted = np.maximum(wanted - wanted[[7, 9]].max(axis=0), 0) @ weights / weights.sum()
    np.testing.assert_allclose(narrow.gains(np.arange(2500)), wanted, rtol=1e-9, atol=1e-15)


def test_nearest_pair_over_several_blocks():
    vectors = np.random.default_rng(0).standard_normal((700, 4)).astype(np.float32)
    vectors[650] = vectors[3] + np.float32(0.001)
    assert nearest_pair(vectors) == pytest.approx(0.002, rel=1e-3)
    assert nearest_pair(vectors[:1]) == nearest_pair(vectors[:0]) == np.inf


def test_distances_of_a_few_vectors():
    assert nearest_pair(np.array([[0], [7], [3]], dtype=np.float32)) == 3.0
    assert spread_of(np.array([[-3], [3]], dtype=np.float32)) == 3.0
