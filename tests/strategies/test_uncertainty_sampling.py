import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.strategies import Pool, get_strategy
from embedpipe.strategies.algorithms.predictions import (
    UNCERTAINTIES,
    entropy,
    least_confidence,
    margin,
)
from embedpipe.strategies.strategy import top_k

every_uncertainty = pytest.mark.parametrize("measure", UNCERTAINTIES.values())

PREDICTIONS = np.array([[0.5, 0.5, 0], [0.4, 0.3, 0.3], [0.9, 0.1, 0], [0.5, 0.5, 0], [1, 0, 0]])


@every_uncertainty
@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_one_hot_is_0_and_uniform_is_1(measure, classes):
    assert measure(np.eye(classes)[:1]).tolist() == [0]
    assert measure(np.full((1, classes), 1 / classes)) == pytest.approx([1], abs=1e-12)


@every_uncertainty
def test_a_single_class_is_certain(measure):
    assert measure(np.ones((2, 1))).tolist() == [0, 0]


def test_values_worked_out_by_hand():
    p = np.array([[0.7, 0.2, 0.1]])
    assert least_confidence(p) == pytest.approx([0.3 * 3 / 2])
    assert margin(p) == pytest.approx([0.5])
    bits = 0.7 * np.log(0.7) + 0.2 * np.log(0.2) + 0.1 * np.log(0.1)
    assert entropy(p) == pytest.approx([-bits / np.log(3)])


@every_uncertainty
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 6), sharp=st.floats(0.01, 50))
def test_they_stay_between_0_and_1(measure, seed, classes, sharp):
    p = np.random.default_rng(seed).dirichlet(np.full(classes, sharp), size=20)
    values = measure(p.astype(np.float32))
    assert ((values >= 0) & (values <= 1)).all()


@pytest.mark.parametrize(
    ("name", "rows", "scores"),
    [
        # least confidence: .75 .9 .15 .75 0; margin: 1 .9 .2 1 0;
        # entropy / log 3: .631 .991 .296 .631 0
        ("least_confidence", [1, 0, 3, 2], [0.9, 0.75, 0.75, 0.15]),
        ("margin", [0, 3, 1, 2], [1, 1, 0.9, 0.2]),
        ("entropy", [1, 0, 3, 2], [0.9912, 0.6309, 0.6309, 0.2959]),
    ],
)
def test_rankings_worked_out_by_hand(name, rows, scores):
    matrix = np.zeros((6, 2), dtype=np.float32)
    pool = Pool(matrix, labelled=[5], labels=[0], probabilities=lambda rows: PREDICTIONS[rows])
    selection = get_strategy(name).select(pool, 4, np.random.default_rng(0))
    assert selection.rows.tolist() == rows
    assert selection.scores == pytest.approx(scores, abs=1e-4)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30), st.data())
def test_top_k_is_a_stable_sort(values, data):
    k = data.draw(st.integers(1, len(values)))
    expected = sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]
    assert top_k(np.array(values, dtype=np.float64), k).tolist() == expected
