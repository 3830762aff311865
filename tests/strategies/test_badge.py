import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from embedpipe.index import sampling
from embedpipe.strategies import Pool, get_strategy


def gradients(matrix, predictions):
    """Return every gradient."""
    residuals = predictions.astype(np.float64)
    residuals[np.arange(len(residuals)), predictions.argmax(axis=1)] -= 1
    return np.einsum("ic,id->icd", residuals, matrix.astype(np.float64)).reshape(len(matrix), -1)


def make(matrix, predictions, labelled=(0,)):
    matrix = np.asarray(matrix, dtype=np.float32)
    predictions = np.asarray(predictions, dtype=np.float32)
    labels = np.zeros(len(labelled), dtype=int)
    return Pool(
        matrix, labelled=labelled, labels=labels, probabilities=lambda rows: predictions[rows]
    )


def select(pool, n, seed=0):
    return get_strategy("badge(metric=euclidean)").select(pool, n, np.random.default_rng(seed))


def test_picks_worked_out_by_hand():
    # The gradients (p - e) x of rows 1 to 4 are (-1, 1), (-3, 3), (0, 0) and (0.5, -0.5).
    predictions = [[1, 0], [0.75, 0.25], [0.5, 0.5], [1, 0], [0.25, 0.75]]
    selection = select(make([[9], [4], [6], [8], [2]], predictions), 4)
    assert selection.rows[0] == 2
    assert selection.scores[0] == np.float32(np.sqrt(18))
    assert sorted(selection.rows.tolist()) == [1, 2, 3, 4]
    norms = dict(zip(selection.rows.tolist(), selection.diagnostics["gradient_norm"], strict=True))
    expected = {1: np.sqrt(2), 2: np.sqrt(18), 3: 0, 4: np.sqrt(0.5)}
    assert norms == {row: np.float32(norm) for row, norm in expected.items()}


def test_the_second_pick_follows_the_squared_distances():
    rng = np.random.default_rng(4)
    matrix = rng.standard_normal((8, 3)).astype(np.float32)
    predictions = rng.dirichlet([1, 1, 1], size=8).astype(np.float32)
    items = gradients(matrix, predictions)[1:]
    first = int(np.square(items).sum(axis=1).argmax())
    squared = np.square(items - items[first]).sum(axis=1)
    pool, runs = make(matrix, predictions), 1500
    picks = np.array([select(pool, 2, seed).rows for seed in range(runs)])
    assert (picks[:, 0] == first + 1).all()
    counts = np.bincount(picks[:, 1] - 1, minlength=7)
    expected = runs * squared / squared.sum()
    assert counts[first] == 0
    others = np.arange(7) != first
    statistic = (np.square(counts - expected)[others] / expected[others]).sum()
    assert statistic < chi2.ppf(0.9999, 5)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(2, 40),
    d=st.integers(1, 6),
    classes=st.integers(1, 4),
    grid=st.booleans(),
    refresh=st.sampled_from([-1e18, 1e18]),
    seed=st.integers(0, 10**6),
)
def test_scores_are_distances_between_gradients_and_zeros_come_last_by_row(
    n, d, classes, grid, refresh, seed
):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((n, d)).astype(np.float32)
    predictions = rng.dirichlet(np.ones(classes), size=n).astype(np.float32)
    if grid:
        matrix = np.arange(n * d).reshape(n, d).astype(np.float32)
        matrix[:, 0] += 1
        predictions = np.eye(classes, dtype=np.float32)[rng.integers(0, classes, n)]
        unsure = rng.random(n) < 0.5
        predictions[unsure] = 1 / classes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "PASS", refresh)
        selection = select(make(matrix, predictions), n - 1, seed)
    items = gradients(matrix, predictions)
    rows = selection.rows
    norms = np.sqrt(np.square(items).sum(axis=1))
    expected = [norms[rows[0]]]
    for place in range(1, n - 1):
        away = np.square(items[rows[:place]] - items[rows[place]]).sum(axis=1)
        expected.append(np.sqrt(away.min()))
    np.testing.assert_allclose(selection.scores, expected, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(selection.diagnostics["gradient_norm"], norms[rows], rtol=1e-5)
    assert norms[rows[0]] == pytest.approx(norms[1:].max(), rel=1e-6)
    rest = rows[1:][selection.scores[1:] == 0]
    assert rest.tolist() == sorted(rest.tolist())
    if rest.size:
        assert (selection.scores[-rest.size :] == 0).all()


def test_certain_predictions_give_the_lowest_rows():
    pool = make(np.arange(6)[:, None], np.eye(2)[[0, 1, 1, 0, 1, 0]])
    assert select(pool, 4).rows.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(("shift", "scale"), [(1e3, 1), (0, 1e-25), (0, 1e18)])
def test_extreme_values(shift, scale):
    rng = np.random.default_rng(0)
    matrix = (rng.standard_normal((200, 16)) * scale + shift).astype(np.float32)
    predictions = rng.dirichlet([1, 1, 1], size=200)
    selection = select(make(matrix, predictions), 150)
    assert np.isfinite(selection.scores).all()
    assert (selection.scores > 0).all()


def test_a_thousand_classes_need_no_extra_memory():
    rng = np.random.default_rng(0)
    predictions = rng.dirichlet(np.ones(1000), size=500)
    selection = select(make(rng.standard_normal((500, 8)), predictions), 20)
    assert np.unique(selection.rows).size == 20
