from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.strategies import Pool, get_strategy


def line(*values):
    return np.array(values, dtype=np.float32)[:, None]


def select(pool, n, neighbours):
    chooser = get_strategy("facility_location", neighbours=neighbours, metric="euclidean")
    return chooser.select(pool, n, np.random.default_rng(0))


class Dense:
    """The objective from its definition: a similarity for every pair of points."""

    def __init__(self, pool, neighbours):
        x = pool.embeddings[pool.index.rows].astype(np.float64)
        away = np.sqrt(np.square(x[:, None] - x).sum(axis=2))
        p, k = len(x), min(neighbours, len(x) - 1)
        near = [[j for j in np.argsort(away[i], kind="stable") if j != i][:k] for i in range(p)]
        kept = np.array([[away[i, j] for j in near[i]] for i in range(p)])
        scale = np.median(kept) if kept.size else 1.0
        self.like = np.eye(p)
        for i in range(p):
            for j in near[i]:
                self.like[i, j] = np.exp(-((away[i, j] / scale) ** 2))
        self.weights = pool.index.sizes / pool.index.sizes.sum()

    def value(self, chosen):
        return float(self.weights @ self.like[:, list(chosen)].max(axis=1, initial=0))


def test_picks_worked_out_by_hand():
    # Neighbour distances: 1, 1, 1, 6, so the median is 1 and e^-1 is the similarity of 0, 1 and 2.
    # Each gains 1 + 2/e by itself at row 1, 1 + 1/e elsewhere; row 3 is in no other neighbourhood.
    selection = select(Pool(line(0, 1, 2, 8)), 2, neighbours=1)
    e = np.exp(-1)
    # The nearest of 0 is 1, of 1 is 0 (the lower of two), of 2 is 1.
    assert selection.rows.tolist() == [1, 3]
    np.testing.assert_allclose(selection.scores, [(1 + 2 * e) / 4, 1 / 4], rtol=1e-6)
    np.testing.assert_allclose(
        selection.diagnostics["objective"], [(1 + 2 * e) / 4, (2 + 2 * e) / 4], rtol=1e-6
    )


def test_labelled_points_count_as_picked():
    selection = select(Pool(line(0, 1, 2, 8, 9), labelled=[1]), 1, neighbours=1)
    assert selection.rows.tolist() == [3]


def test_duplicates_count_as_items():
    # Each pair has the same gain; three copies of 9 decide.
    selection = select(Pool(line(0, 1, 9, 10, 10, 10)), 1, neighbours=1)
    assert selection.rows.tolist() == [3]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    p=st.integers(2, 40),
    d=st.integers(1, 5),
    copies=st.booleans(),
    neighbours=st.sampled_from([1, 3, 32]),
    data=st.data(),
)
def test_every_pick_is_the_best_by_the_definition(seed, p, d, copies, neighbours, data):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((p, d)).astype(np.float32)
    if copies:
        matrix = matrix[rng.integers(0, p, p)]
    pool = Pool(matrix, labelled=np.arange(data.draw(st.integers(0, p - 1))))
    free = np.flatnonzero(~pool.unique_labelled)
    if not free.size:
        return
    n = data.draw(st.integers(1, free.size))
    selection, dense = select(pool, n, neighbours), Dense(pool, neighbours)
    chosen = np.flatnonzero(pool.unique_labelled).tolist()
    for turn, row in enumerate(selection.rows):
        point, before = int(pool.index.find(np.array([row]))[0]), dense.value(chosen)
        left = [each for each in free if each not in chosen]
        best = max(dense.value([*chosen, each]) for each in left)
        chosen.append(point)
        assert dense.value(chosen) == pytest.approx(best, abs=1e-6)
        assert selection.scores[turn] == pytest.approx(dense.value(chosen) - before, abs=1e-6)
        assert selection.diagnostics["objective"][turn] == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("labelled", [[], [2]])
def test_the_bound_holds_for_the_best_of_all_choices(seed, n, labelled):
    matrix = np.random.default_rng(seed).standard_normal((9, 2)).astype(np.float32)
    pool = Pool(matrix, labelled=labelled)
    selection, dense = select(pool, n, 3), Dense(pool, 3)
    best = max(dense.value([*labelled, *some]) for some in combinations(pool.unlabelled, n))
    bound = selection.diagnostics["bound"]
    assert best <= bound + 1e-6
    value = float(selection.diagnostics["objective"][-1])
    assert value <= bound + 1e-6
    assert selection.diagnostics["share_of_optimum"] == pytest.approx(value / bound, abs=1e-5)
    assert bound < 1  # not trivial


def test_selecting_everything_is_certified_as_optimal():
    matrix = np.random.default_rng(0).standard_normal((9, 2)).astype(np.float32)
    diagnostics = select(Pool(matrix), 9, 3).diagnostics
    assert diagnostics["bound"] == pytest.approx(1)
    assert diagnostics["share_of_optimum"] == pytest.approx(1)
