import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.index import FarthestFirst
from embedpipe.strategies import Pool, get_strategy
from embedpipe.strategies.coreset import pick_while_positive, spread

RNG = np.random.default_rng(0)


def select(matrix, n, labelled=(), block_size=None, candidates=None, metric="euclidean"):
    pool = Pool(matrix, labelled=labelled, candidates=candidates)
    return get_strategy("coreset", metric=metric, block_size=block_size).select(pool, n, RNG)


def line(*values):
    return np.array(values, dtype=np.float32)[:, None]


def test_picks_without_labels_worked_out_by_hand():
    # The mean is 4: row 2 is nearest. Then 10 (6 away), 0 (4 away), 1 and 5 (1 away; lowest).
    selection = select(line(0, 1, 4, 5, 10), 5)
    assert selection.rows.tolist() == [2, 4, 0, 1, 3]
    assert selection.scores.tolist() == [6, 6, 4, 1, 1]
    assert selection.diagnostics["radius"].tolist() == [6, 4, 1, 1, 0]
    assert selection.diagnostics["lower_bound"] == 0


def test_picks_after_labels_worked_out_by_hand():
    selection = select(line(0, 1, 4, 5, 10), 2, labelled=[0])
    assert selection.rows.tolist() == [4, 3]  # 10 away; then 4 is 4 and 5 is 5 away
    assert selection.scores.tolist() == [10, 5]
    assert selection.diagnostics["radius"].tolist() == [5, 1]
    assert selection.diagnostics["lower_bound"] == 0.5


def test_the_only_item_is_picked():
    selection = select(line(3, 8), 1, candidates=[1])
    assert selection.rows.tolist() == [1]
    assert selection.scores.tolist() == [0]
    assert selection.diagnostics["radius"].tolist() == [0]


def test_duplicates_fill_the_batch_lowest_first():
    selection = select(line(7, 2, 7, 2, 2, 9), 5, labelled=[1])
    assert selection.rows.tolist() == [5, 0, 2, 3, 4]
    assert selection.scores.tolist() == [7, 2, 0, 0, 0]


def test_a_labelled_row_outside_the_candidates_counts():
    assert select(line(0, 9, 10), 1, labelled=[2], candidates=[0, 1]).rows.tolist() == [0]


def make(kind, n, d, rng):
    """Return embeddings that are hard in one way."""
    matrix = rng.standard_normal((n, d))
    if kind == "grid":
        matrix = rng.integers(-2, 3, size=(n, d))
    elif kind == "shifted":
        matrix += 1e3
    elif kind == "tiny":
        matrix *= 1e-25
    elif kind == "huge":
        matrix *= 1e37
    elif kind == "mixed scales":
        matrix *= 10.0 ** rng.integers(-30, 30, size=(n, 1))
    elif kind == "duplicates":
        matrix = matrix[rng.integers(0, max(1, n // 3), size=n)]
    elif kind == "outlier":
        matrix[0] *= 1e6
    elif kind == "nearly equal":
        matrix = 1 + 1e-6 * matrix
    return matrix.astype(np.float32)


KINDS = [
    "gaussian", "grid", "shifted", "tiny", "huge", "mixed scales",
    "duplicates", "outlier", "nearly equal",
]  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(2, 40),
    d=st.integers(1, 12),
    seed=st.integers(0, 10**6),
    block_size=st.sampled_from([None, 1, 3, 16]),
    data=st.data(),
)
def test_picks_are_those_of_the_reference(reference, kind, n, d, seed, block_size, data):
    rng = np.random.default_rng(seed)
    matrix = make(kind, n, d, rng)
    labelled = rng.permutation(n)[: data.draw(st.integers(0, n - 1))]
    unlabelled = np.setdiff1d(np.arange(n), labelled)
    picks = data.draw(st.integers(1, unlabelled.size))
    selection = select(matrix, picks, labelled=labelled, block_size=block_size)
    rows, scores, radius = reference.coreset(matrix, unlabelled, labelled, picks)
    assert selection.rows.tolist() == rows
    with np.errstate(over="ignore"):
        assert selection.scores.tolist() == scores.astype(np.float32).tolist()
        assert selection.diagnostics["radius"].tolist() == radius.astype(np.float32).tolist()


def plain(matrix, unlabelled, labelled, n):
    """Greedy k-center in float64, one new centre at a time, for larger pools."""
    wide = matrix.astype(np.float64)
    away = np.full(len(matrix), np.inf)
    for row in labelled:
        away = np.minimum(away, np.square(wide - wide[row]).sum(axis=1))
    allowed = np.zeros(len(matrix), dtype=bool)
    allowed[unlabelled] = True
    picks = []
    for _ in range(n):
        picks.append(int(np.where(allowed, away, -1).argmax()))
        allowed[picks[-1]] = False
        away = np.minimum(away, np.square(wide - wide[picks[-1]]).sum(axis=1))
    return picks


@pytest.mark.parametrize("kind", ["gaussian", "grid", "shifted", "duplicates", "outlier"])
@pytest.mark.parametrize("labelled", [3, 1700])  # the latter is updated in stages
@pytest.mark.parametrize("block_size", [None, 37])
def test_larger_pools_agree_with_the_plain_algorithm(kind, labelled, block_size):
    rng = np.random.default_rng(1)
    matrix = make(kind, 3000, 24 if kind != "grid" else 4, rng)
    rows = np.sort(rng.permutation(3000)[:labelled])
    unlabelled = np.setdiff1d(np.arange(3000), rows)
    selection = select(matrix, 300, labelled=rows, block_size=block_size)
    assert selection.rows.tolist() == plain(matrix, unlabelled, rows, 300)


def test_the_lower_bound_holds_against_every_choice():
    from itertools import combinations

    matrix = np.random.default_rng(4).standard_normal((12, 2)).astype(np.float32)
    pairs = np.linalg.norm(matrix[:, None] - matrix[None], axis=2)
    best = min(pairs[:, list(some)].min(axis=1).max() for some in combinations(range(12), 3))
    selection = select(matrix, 3)
    assert selection.diagnostics["lower_bound"] <= best <= selection.diagnostics["radius"][-1]


def test_picks_end_when_the_best_key_is_0():
    matrix = np.array([[0], [0], [5], [3]], dtype=np.float32)
    search = FarthestFirst(matrix, np.array([1, 2, 3]), np.array([0]))
    left = np.ones(3, dtype=bool)
    assert [pick.position for pick in pick_while_positive(search, left, 3)] == [1, 2]
    assert left.tolist() == [True, False, False]


def test_spread_returns_the_farthest_items_and_the_radii():
    matrix = np.array([[0], [1], [9], [5]], dtype=np.float32)
    positions, reach = spread(matrix, np.array([1, 2, 3]), np.array([0]), 2)
    assert (positions.tolist(), reach.tolist()) == ([1, 2], [9.0, 4.0, 1.0])
