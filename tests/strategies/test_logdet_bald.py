"""Joint information against determinants written out in full."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.naive_bayes import GaussianNB
from threadpoolctl import threadpool_limits

from embedpipe.errors import SelectionError
from embedpipe.heads import LogisticHead
from embedpipe.strategies import Pool, get_strategy
from embedpipe.strategies.algorithms import d_optimal
from embedpipe.strategies.algorithms.d_optimal import DOptimalDesign, LinearModel
from embedpipe.strategies.logdet_bald import noise_weights


def plain(x, weights, observed, observed_weights, prior, n, follow=None):
    """Greedy picks by one inverse per pick; gains equal to nine digits go to the lowest.

    With `follow`, these are picked, and the gains are the largest at each step.
    """
    precision = prior * np.eye(x.shape[1]) + (observed.T * observed_weights) @ observed
    left, picks, gains = list(range(len(x))), [], []
    for turn in range(n):
        inverse = np.linalg.inv(precision)
        gain = np.array([0.5 * np.log1p(weights[i] * (x[i] @ inverse @ x[i])) for i in left])
        best = int(np.flatnonzero(gain >= gain.max() * (1 - 1e-9))[0])
        picks.append(left.pop(best if follow is None else left.index(follow[turn])))
        gains.append(gain[best])
        precision += weights[picks[-1]] * np.outer(x[picks[-1]], x[picks[-1]])
    return picks, np.array(gains), precision


def identity(vectors):
    return vectors


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    u=st.integers(1, 120),
    d=st.integers(1, 9),
    m=st.integers(1, 12),
    prior=st.sampled_from([1e-4, 0.3, 20.0]),
    grid=st.booleans(),
)
def test_the_picks_are_those_of_the_plain_algorithm(seed, u, d, m, prior, grid):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((u + m, d))
    weights = rng.random(u + m) * (rng.random(u + m) > 0.2)
    if grid:  # many ties, copies and rows of zeros
        matrix, weights = rng.integers(-1, 2, (u + m, d)), rng.integers(0, 3, u + m) / 3
    matrix = matrix.astype(np.float32)
    n = int(rng.integers(1, u + 1))
    rows, observed = np.arange(u), np.arange(u, u + m)
    model = LinearModel(matrix, identity, prior)
    found = DOptimalDesign(model, observed, weights[u:]).greedy(rows, weights[:u], n)
    exact = matrix.astype(np.float64)
    follow = found.positions.tolist() if grid else None  # on a grid, rounding may decide ties
    picks, gains, _ = plain(exact[:u], weights[:u], exact[u:], weights[u:], prior, n, follow)
    np.testing.assert_allclose(found.gains, gains, rtol=1e-6, atol=1e-9)
    assert found.positions.tolist() == picks
    assert np.unique(found.positions).size == n


@pytest.mark.parametrize("m", [3, 40])
@pytest.mark.parametrize("refreshed", [1, 7, 1000])
def test_the_number_of_updates_at_once_changes_nothing(m, refreshed, monkeypatch):
    rng = np.random.default_rng(m)
    matrix = rng.standard_normal((500 + m, 12)).astype(np.float32)
    weights = rng.random(500 + m)
    monkeypatch.setattr(d_optimal, "REFRESHED", refreshed)
    monkeypatch.setattr(d_optimal, "BLOCK_ROWS", 37)
    design = DOptimalDesign(
        LinearModel(matrix, identity, 0.1), np.arange(500, 500 + m), weights[500:]
    )
    found = design.greedy(np.arange(500), weights[:500], 60)
    exact = matrix.astype(np.float64)
    picks, gains, _ = plain(exact[:500], weights[:500], exact[500:], weights[500:], 0.1, 60)
    assert found.positions.tolist() == picks
    np.testing.assert_allclose(found.gains, gains, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e12])
@pytest.mark.parametrize("m", [3, 80])
@pytest.mark.parametrize("prior", [1e-10, 1e-3, 1.0, 1e6])
def test_bounds_hold_and_are_close(scale, m, prior):
    rng = np.random.default_rng(0)
    vectors = (scale * rng.standard_normal((300 + m, 40))).astype(np.float32)
    weights = rng.random(m)
    model = LinearModel(vectors, identity, prior * scale**2)
    found = DOptimalDesign(model, np.arange(300, 300 + m), weights).upper_bounds(np.arange(300))
    exact = vectors.astype(np.float64) / scale
    precision = prior * np.eye(40) + (exact[300:].T * weights) @ exact[300:]
    true = np.einsum("ue,ef,uf->u", exact[:300], np.linalg.inv(precision), exact[:300])
    rounding = 1e-9 if prior > 1e-8 else 1e-4  # of the inverse
    assert (found >= true * (1 - rounding)).all()
    assert (found <= true * 1.02 + 1e-3 / prior * (m < 40)).all()


def test_most_points_are_never_computed(monkeypatch):
    rng = np.random.default_rng(0)
    matrix = (rng.standard_normal((20_050, 24)) * np.linspace(1, 0.1, 24)).astype(np.float32)
    seen = set()
    original = d_optimal._Search._refresh
    monkeypatch.setattr(
        d_optimal._Search,
        "_refresh",
        lambda self, at: (seen.update(at.tolist()), original(self, at))[1],
    )
    design = DOptimalDesign(
        LinearModel(matrix, identity, 0.1), np.arange(20_000, 20_050), np.ones(50)
    )
    design.greedy(np.arange(20_000), rng.random(20_000), 10)
    assert len(seen) < 2000


class Linear:
    """A head with a linear last layer whose predictions are given by row: column 0 of it."""

    classes_ = np.array([0, 1])
    prior_precision = 0.5

    def __init__(self, p):
        self.p = np.asarray(p)

    def predict_proba(self, vectors):
        p = self.p[vectors[:, 0].astype(int)]
        return np.column_stack([p, 1 - p])

    def features(self, vectors):
        return vectors[:, 1:]


def linear(features, p, labelled):
    features = np.asarray(features, dtype=np.float32)
    matrix = np.column_stack([np.arange(len(features)), features]).astype(np.float32)
    return Pool(matrix, labelled=labelled, labels=[0] * len(labelled), head=Linear(p))


def test_picks_worked_out_by_hand():
    # w is 2 p (1 - p): .5 for all but item 3, .18. Item 0 is labelled, so the precision is 1 in
    # its direction and the prior's .5 in the other two. Gains: item 1 .5·4/.5 = 4, item 2
    # .5·(3²/1) = 4.5, item 3 .18·16/.5 = 5.76, item 4 .5·1/.5 = 1. Then, with item 3 counted,
    # item 1 has .5·4/(.5 + .18·16) and the others are as before.
    features = [[1, 0, 0], [0, 2, 0], [3, 0, 0], [0, 4, 0], [0, 0, 1]]
    pool = linear(features, [0.5, 0.5, 0.5, 0.9, 0.5], [0])
    selection = get_strategy("logdet_bald").select(pool, 4, np.random.default_rng(0))
    assert selection.rows.tolist() == [3, 2, 4, 1]
    products = [5.76, 4.5, 1.0, 2 / 3.38]
    assert selection.scores == pytest.approx(0.5 * np.log1p(products), abs=1e-6)
    expected = {
        "variance": [32, 9, 2, 4 / 3.38],
        "weight": [0.18, 0.5, 0.5, 0.5],
        "information": np.cumsum(0.5 * np.log1p(products)),
    }
    assert selection.diagnostics.keys() == expected.keys()
    for name, values in expected.items():
        assert selection.diagnostics[name].dtype == np.float32
        assert selection.diagnostics[name] == pytest.approx(values, rel=1e-6)


@pytest.fixture
def problem():
    rng = np.random.default_rng(4)
    matrix = rng.standard_normal((150, 6)).astype(np.float32) + 0.5
    return matrix, np.arange(12), np.arange(12) % 3


@pytest.mark.parametrize("normalize", [True, False])
def test_the_information_is_that_of_the_determinant_of_the_logistic_head(problem, normalize):
    matrix, labelled, labels = problem
    head = LogisticHead(C=3.0, normalize=normalize).fit(matrix[labelled], labels)
    pool = Pool(matrix, labelled=labelled, labels=labels, head=head)
    selection = get_strategy("logdet_bald").select(pool, 20, np.random.default_rng(0))
    x = matrix.astype(np.float64)
    x = np.column_stack([x / np.linalg.norm(x, axis=1)[:, None] if normalize else x, np.ones(150)])
    p = head.predict_proba(matrix).astype(np.float64)
    w = (p * (1 - p)).sum(axis=1)
    left = pool.unlabelled
    picks, gains, after = plain(x[left], w[left], x[labelled], w[labelled], 1 / 3, 20)
    before = np.eye(7) / 3 + (x[labelled].T * w[labelled]) @ x[labelled]
    assert selection.rows.tolist() == left[picks].tolist()
    np.testing.assert_allclose(selection.scores, gains, rtol=1e-5)
    joint = 0.5 * (np.linalg.slogdet(after)[1] - np.linalg.slogdet(before)[1])
    assert selection.diagnostics["information"][-1] == pytest.approx(joint, rel=1e-6)


def test_a_batch_is_not_redundant():
    # Fifty near copies of the single best item, and two others.
    rng = np.random.default_rng(0)
    near = np.array([0, 3.0, 0]) + 1e-3 * rng.standard_normal((50, 3))
    features = np.concatenate([[[1, 0, 0]], near, [[0, 0, 1], [1, 0, 0.5]]])
    pool = linear(features, np.full(53, 0.5), [0])
    rows = get_strategy("logdet_bald").select(pool, 3, np.random.default_rng(0)).rows
    assert rows[0] <= 50
    assert rows[1] == 51
    best = get_strategy("logdet_bald").select(pool, 1, np.random.default_rng(0))
    assert best.rows[0] == rows[0]


@pytest.mark.parametrize(("scale", "shift"), [(1e-25, 0), (1, 1e3), (1e15, 0)])
@pytest.mark.parametrize("C", ["auto", 1e-3, 1e8])
def test_extreme_scales(problem, scale, shift, C):
    matrix, labelled, labels = problem
    matrix = ((matrix + np.float32(shift)) * np.float32(scale)).astype(np.float32)
    head = LogisticHead(C=C).fit(matrix[labelled], labels)
    pool = Pool(matrix, labelled=labelled, labels=labels, head=head)
    selection = get_strategy("logdet_bald").select(pool, 30, np.random.default_rng(0))
    assert np.isfinite(selection.scores).all()
    assert (selection.scores > 0).all()
    assert (np.diff(selection.scores) <= 1e-6).all()


def test_certain_predictions_give_the_lowest_rows_with_score_0():
    pool = linear(np.random.default_rng(0).standard_normal((3000, 4)), np.ones(3000), [5])
    selection = get_strategy("logdet_bald").select(pool, 6, np.random.default_rng(0))
    assert selection.rows.tolist() == [0, 1, 2, 3, 4, 6]
    assert selection.scores.tolist() == [0] * 6


def test_ties_go_to_the_lowest_row():
    corners = np.array([[x, y, z] for x in (1, -1) for y in (1, -1) for z in (1, -1)])
    features = np.concatenate([[[0, 0, 0]], corners / 7])
    pool = linear(features, np.full(9, 0.5), [0])
    # x and -x have the same information; at first all four directions have equal gains.
    rows = get_strategy("logdet_bald").select(pool, 4, np.random.default_rng(0)).rows
    assert rows.tolist() == [1, 2, 3, 4]


def test_threads_change_nothing(make_pool):
    matrix = np.random.default_rng(0).standard_normal((2000, 300)).astype(np.float32)
    found = []
    for count in (1, 2):
        with threadpool_limits(count):
            pool = make_pool(matrix, labelled=range(400))
            found.append(get_strategy("logdet_bald").select(pool, 50, np.random.default_rng(0)))
    assert found[0].rows.tolist() == found[1].rows.tolist()
    assert found[0].scores.tolist() == found[1].scores.tolist()


def test_a_head_without_a_linear_last_layer_is_refused():
    matrix = np.arange(12, dtype=np.float32).reshape(6, 2)
    head = GaussianNB().fit(matrix[:2], [0, 1])
    pool = Pool(matrix, labelled=[0, 1], labels=[0, 1], head=head)
    with pytest.raises(SelectionError) as caught:
        get_strategy("logdet_bald").select(pool, 2, np.random.default_rng(0))
    assert str(caught.value) == (
        "strategy 'logdet_bald' needs a head with a linear last layer (`features` and "
        "`prior_precision`); GaussianNB has none. Use LogisticHead, or the "
        "strategy 'query_by_committee', which works with any head."
    )


def test_the_weight_of_a_prediction():
    p = np.array([[1, 0, 0], [0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]])
    assert noise_weights(p) == pytest.approx([0, 0.625, 2 / 3])
    assert noise_weights(np.float32([[1 - 1e-4, 1e-4]])) == pytest.approx([2e-4], rel=1e-3)
    assert noise_weights(np.float32([[1.0000001, 0]])).tolist() == [0]


def test_noise_weights():
    assert noise_weights(np.array([[1.0, 0.0], [0.5, 0.5]])).tolist() == [0.0, 0.5]
