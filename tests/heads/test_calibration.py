"""The calibration error by hand, and the temperature against a search of every value."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from embedpipe.heads._calibration import expected_calibration_error, fit_temperature


def test_an_error_worked_out_by_hand():
    # Bins of width 1/2: (0.4, 0.5] hold a right one of 0.4 and a wrong one of 0.5, whose gaps of
    # -0.6 and 0.5 cancel but for -0.1; the upper bin has 0.9 right, 0.7 wrong: -0.1 + 0.7 = 0.6.
    probabilities = np.array([[0.4, 0.3, 0.3], [0.5, 0.3, 0.2], [0.05, 0.9, 0.05], [0.2, 0.1, 0.7]])
    codes = np.array([0, 1, 1, 0])
    assert expected_calibration_error(probabilities, codes, 2) == pytest.approx(0.7 / 4)
    assert expected_calibration_error(probabilities, codes, 1) == pytest.approx(0.5 / 4)


def test_certainty_that_is_right_or_wrong():
    sure = np.eye(3)
    assert expected_calibration_error(sure, np.arange(3)) == 0.0
    assert expected_calibration_error(sure, np.array([1, 2, 0])) == 1.0


def test_the_edge_of_a_bin_belongs_to_the_bin_below():
    # 1/3 and 2/3 are the upper edges of the first two of three bins: all three rows stand alone.
    top = np.array([[1 / 3, 1 / 3, 1 / 3], [0.5, 0.25, 0.25], [0.9, 0.05, 0.05]])
    codes = np.array([0, 1, 0])
    expected = ((1 - 1 / 3) + 0.5 + (1 - 0.9)) / 3
    assert expected_calibration_error(top, codes, 3) == pytest.approx(expected)


def test_a_class_that_the_head_does_not_know_is_a_miss():
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([2])) == 1.0


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 40),
    C=st.integers(2, 6),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    prior=st.sampled_from([0.0, 5.0]),
    weighted=st.booleans(),
)
def test_the_temperature_is_the_best_there_is(seed, n, C, scale, prior, weighted):
    rng = np.random.default_rng(seed)
    codes = rng.integers(C, size=n)
    logits = scale * (rng.normal(size=(n, C)) + np.eye(C)[codes])
    weights = rng.uniform(0.1, 2.0, size=n) if weighted else None
    counts = np.ones(n) if weights is None else weights

    def loss(log_t):
        own = log_softmax(logits / np.exp(log_t), axis=1)[np.arange(n), codes]
        return -(counts @ own) + prior * (np.exp(-log_t) - 1.0 + log_t)

    found = fit_temperature(logits, codes, weights, prior_rows=prior)
    bounds = (np.log(0.05), np.log(20.0))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    assert 0.05 <= found <= 20.0
    assert loss(np.log(found)) <= best.fun + 1e-7 * max(1.0, abs(best.fun))


def test_a_temperature_worked_out_by_hand():
    # Two of three are right: the log-odds should be log 2, and 4 is said.
    logits, codes = np.array([[4.0, 0.0]] * 3), np.array([0, 0, 1])
    assert fit_temperature(logits, codes) == pytest.approx(4.0 / np.log(2.0))
    assert fit_temperature(logits, codes, np.array([1.0, 2.0, 1.0])) == pytest.approx(
        4.0 / np.log(3.0)
    )


def test_weights_are_repeated_rows():
    rng = np.random.default_rng(0)
    codes = rng.integers(3, size=20)
    logits = rng.normal(size=(20, 3)) + np.eye(3)[codes]
    times = rng.integers(0, 4, size=20)
    repeated = fit_temperature(np.repeat(logits, times, axis=0), np.repeat(codes, times))
    assert fit_temperature(logits, codes, times.astype(float)) == pytest.approx(repeated)


def test_logits_that_are_always_right_or_always_wrong_stay_in_bounds():
    logits = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(logits, np.array([0, 1])) == 0.05
    assert fit_temperature(logits, np.array([1, 0])) == 20.0
    assert fit_temperature(1e30 * logits, np.array([1, 0])) == 20.0


def test_where_nothing_can_be_told_the_temperature_is_one():
    assert fit_temperature(np.empty((0, 3)), np.empty(0, dtype=int)) == 1.0
    assert fit_temperature(np.zeros((4, 1)), np.zeros(4, dtype=int)) == 1.0
    assert fit_temperature(np.full((2, 3), 7.0), np.array([0, 1])) == 1.0
    assert fit_temperature(np.array([[3.0, 0.0]]), np.array([0]), np.zeros(1)) == 1.0


def test_a_prior_of_many_rows_keeps_the_temperature_near_one():
    logits, codes = np.array([[4.0, 0.0]] * 3), np.array([0, 0, 1])
    free, pulled, held = (
        fit_temperature(logits, codes, prior_rows=rows) for rows in (0.0, 5.0, 1e6)
    )
    assert free > pulled > held > 1.0
    assert held == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inputs_stay_as_they_are(dtype):
    logits, codes = np.array([[4.0, 0.0], [1.0, 2.0]], dtype=dtype), np.array([0, 1])
    before = logits.copy()
    fit_temperature(logits, codes)
    np.testing.assert_array_equal(logits, before)
