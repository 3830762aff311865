"""Calibration error, temperature and cross-validated probabilities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.naive_bayes import GaussianNB

from embedpipe.errors import LabelError, UsageError
from embedpipe.heads import cross_validated_probabilities
from embedpipe.heads._held_out import (
    calibrated_loss,
    capped_temperature,
    expected_calibration_error,
    fit_temperature,
    temperature_for_confidence,
)


def test_an_error_worked_out_by_hand():
    # Bins of width 1/2. The lower bin has a correct 0.4 and a wrong 0.5: gaps -0.6 and 0.5, sum
    # -0.1. The upper bin has a correct 0.9 and a wrong 0.7: -0.1 + 0.7 = 0.6.
    probabilities = np.array([[0.4, 0.3, 0.3], [0.5, 0.3, 0.2], [0.05, 0.9, 0.05], [0.2, 0.1, 0.7]])
    codes = np.array([0, 1, 1, 0])
    assert expected_calibration_error(probabilities, codes, 2) == pytest.approx(0.7 / 4)
    assert expected_calibration_error(probabilities, codes, 1) == pytest.approx(0.5 / 4)


def test_the_calibration_error_of_certain_predictions():
    sure = np.eye(3)
    assert expected_calibration_error(sure, np.arange(3)) == 0.0
    assert expected_calibration_error(sure, np.array([1, 2, 0])) == 1.0


def test_the_edge_of_a_bin_belongs_to_the_bin_below():
    # 1/3 and 2/3 are the upper edges of the first two of three bins: one row per bin.
    top = np.array([[1 / 3, 1 / 3, 1 / 3], [0.5, 0.25, 0.25], [0.9, 0.05, 0.05]])
    codes = np.array([0, 1, 0])
    expected = ((1 - 1 / 3) + 0.5 + (1 - 0.9)) / 3
    assert expected_calibration_error(top, codes, 3) == pytest.approx(expected)


def test_a_class_without_a_column_counts_as_wrong():
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
def test_the_temperature_has_the_least_loss(seed, n, C, scale, prior, weighted):
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
    # Two of three are correct: the log-odds should be log 2; the logits give 4.
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


def test_the_temperature_is_one_without_information():
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
def test_inputs_are_not_changed(dtype):
    logits, codes = np.array([[4.0, 0.0], [1.0, 2.0]], dtype=dtype), np.array([0, 1])
    before = logits.copy()
    fit_temperature(logits, codes)
    np.testing.assert_array_equal(logits, before)


def test_a_calibration_error_of_three_rows():
    certain = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    assert expected_calibration_error(certain, np.array([0, 1, 1])) == pytest.approx(0.4)


def test_temperatures_of_four_rows_by_hand():
    logits, codes = np.array([[10.0, 0.0]] * 4), np.array([0, 0, 0, 1])
    assert fit_temperature(logits, codes) == pytest.approx(10.0 / np.log(3.0))
    assert temperature_for_confidence(logits, np.ones(4), 0.75) == pytest.approx(10.0 / np.log(3.0))
    expected = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    assert calibrated_loss(logits, codes, np.ones(4)) == pytest.approx(expected)


def test_rows_that_cannot_be_held_out_limit_the_confidence():
    logits, codes = np.array([[5.0, 0.0]] * 4), np.array([0, 0, 0, 0])
    temperature = capped_temperature(logits, codes, np.ones(4), 6.0)  # two more rows
    assert 1.0 / (1.0 + np.exp(-5.0 / temperature)) == pytest.approx((4 + 1) / (6 + 2))


class Memory(ClassifierMixin, BaseEstimator):
    """Predicts the training rows with certainty, and other rows at random."""

    uses_unlabelled = True

    def fit(self, X, y, unlabelled=None):
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.seen_ = {row.tobytes(): code for row, code in zip(X, codes, strict=True)}
        self.unlabelled_ = unlabelled
        return self

    def predict_proba(self, X):
        return np.array([[0.0] * 3 if r.tobytes() not in self.seen_ else [9.0] * 3 for r in X])


def rows(n=60):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    return rng.normal(size=(n, 4)) + 2.0 * y[:, None], np.array(["a", "b", "c"])[y]


def test_no_row_is_scored_by_a_fit_that_has_it():
    X, y = rows()
    X = np.concatenate([X, X[:9]])  # copies share a fold
    probabilities, scored = cross_validated_probabilities(Memory(), X, np.append(y, y[:9]))
    assert scored.all()
    assert not probabilities.any()


def test_the_order_of_the_rows_does_not_matter():
    X, y = rows()
    order = np.random.default_rng(1).permutation(len(y))
    first, _ = cross_validated_probabilities(GaussianNB(), X, y)
    second, _ = cross_validated_probabilities(GaussianNB(), X[order], y[order])
    np.testing.assert_allclose(first[order], second, rtol=1e-9)
    assert (np.array(["a", "b", "c"])[first.argmax(axis=1)] == y).mean() > 0.9
    np.testing.assert_allclose(first.sum(axis=1), 1.0)


def test_the_only_row_of_a_class_is_in_every_fit_and_not_scored():
    X, y = rows(30)
    y[4] = "lonely"
    probabilities, scored = cross_validated_probabilities(GaussianNB(), X, y)
    assert np.flatnonzero(~scored).tolist() == [4]
    assert not probabilities[4].any()
    assert probabilities.shape == (30, 4)


def test_no_row_is_scored_with_one_class():
    probabilities, scored = cross_validated_probabilities(GaussianNB(), np.eye(3), ["a"] * 3)
    assert probabilities.shape == (3, 1)
    assert not scored.any()


def test_unlabelled_rows_are_passed_on():
    X, y = rows()
    seen = []

    class Spy(Memory):
        def fit(self, X, y, unlabelled=None):
            seen.append(unlabelled)
            return super().fit(X, y, unlabelled)

    cross_validated_probabilities(Spy(), X, y, 3, unlabelled=X[:2])
    assert [len(given) for given in seen] == [2, 2, 2]


def test_invalid_arguments_are_refused():
    with pytest.raises(UsageError) as error:
        cross_validated_probabilities(GaussianNB(), np.eye(3), [0, 1, 1], 1)
    assert str(error.value) == "n_folds is 1: give a whole number, at least 2."
    with pytest.raises(LabelError) as error:
        cross_validated_probabilities(GaussianNB(), np.eye(3), [0, 1])
    assert str(error.value) == "3 rows but 2 labels: give one for each row."
    with pytest.raises(LabelError) as error:
        cross_validated_probabilities(GaussianNB(), np.zeros(3), [0, 1, 1])
    assert str(error.value) == "X has the shape (3,): give one row of numbers for each label."
