import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.strategies import Pool, get_strategy
from embedpipe.strategies.algorithms.predictions import UNCERTAINTIES

RNG = np.random.default_rng(0)


def binary(margins):
    """Return predictions of two classes whose margin uncertainty is as given."""
    second = np.asarray(margins, dtype=np.float64) / 2
    return np.c_[1 - second, second]


def select(matrix, margins, n, labelled=(0,), **options):
    predictions = binary(margins)
    labels = np.zeros(len(labelled), dtype=int)
    pool = Pool(
        matrix, labelled=labelled, labels=labels, probabilities=lambda rows: predictions[rows]
    )
    options = {"metric": "euclidean", **options}
    return get_strategy("coral", **options).select(pool, n, RNG)


def line(*values):
    return np.array(values, dtype=np.float32)[:, None]


def test_picks_worked_out_by_hand():
    # Products: 1·1, 8·0.25, 4·0.75 = 1, 2, 3: row 3. Then 1·1, 4·0.25 = 1, 1: the lowest row.
    selection = select(line(0, 1, 8, 4), [0, 1, 0.25, 0.75], 3)
    assert selection.rows.tolist() == [3, 1, 2]
    assert selection.scores.tolist() == [3, 1, 1]
    assert selection.diagnostics["uncertainty"].tolist() == [0.75, 1, 0.25]
    assert selection.diagnostics["distance"].tolist() == [4, 1, 4]


def test_certain_predictions_fall_back_on_distance_then_on_the_lowest_row():
    selection = select(line(0, 1, 8, 8, 4), [0, 0, 0, 0, 0], 4)
    assert selection.rows.tolist() == [2, 4, 1, 3]
    assert selection.scores.tolist() == [0, 0, 0, 0]


def test_duplicates_fall_back_on_uncertainty():
    selection = select(line(0, 0, 0, 0), [0, 0.25, 0.5, 0.5], 3)
    assert selection.rows.tolist() == [2, 3, 1]


def test_equal_uncertainty_is_coreset():
    matrix = np.random.default_rng(2).standard_normal((80, 6)).astype(np.float32)
    pool = Pool(matrix, labelled=[0, 5])
    expected = get_strategy("coreset(metric=euclidean)").select(pool, 40, RNG).rows
    assert select(matrix, np.full(80, 0.5), 40, [0, 5]).rows.tolist() == expected.tolist()


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(["gaussian", "grid", "shifted", "tiny", "duplicates"]),
    zeros=st.sampled_from([0.0, 0.5, 1.0]),
    name=st.sampled_from(sorted(UNCERTAINTIES)),
    n=st.integers(2, 36),
    d=st.integers(1, 10),
    seed=st.integers(0, 10**6),
    block_size=st.sampled_from([None, 1, 3, 16]),
    data=st.data(),
)
def test_picks_are_those_of_the_reference(
    reference, kind, zeros, name, n, d, seed, block_size, data
):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((n, d))
    if kind == "grid":
        matrix = rng.integers(-1, 2, size=(n, d))
    elif kind == "shifted":
        matrix += 1e3
    elif kind == "tiny":
        matrix *= 1e-25
    elif kind == "duplicates":
        matrix = matrix[rng.integers(0, max(1, n // 3), size=n)]
    matrix = matrix.astype(np.float32)
    margins = rng.integers(0, 5, size=n) / 4 if kind == "grid" else rng.random(n)
    margins[rng.random(n) < zeros] = 0
    labelled = rng.permutation(n)[: data.draw(st.integers(1, n - 1))]
    unlabelled = np.setdiff1d(np.arange(n), labelled)
    picks = data.draw(st.integers(1, unlabelled.size))
    selection = select(matrix, margins, picks, labelled, uncertainty=name, block_size=block_size)
    weights = UNCERTAINTIES[name](binary(margins)[unlabelled].astype(np.float32))
    expected = reference.coral(matrix, unlabelled, labelled, weights, picks)
    assert selection.rows.tolist() == expected
