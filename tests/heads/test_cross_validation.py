"""Cross-validated probabilities: of rows that the fit had not seen, and the same in any order."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.naive_bayes import GaussianNB

from embedpipe.errors import LabelError, UsageError
from embedpipe.heads import cross_validated_probabilities


class Memory(ClassifierMixin, BaseEstimator):
    """Is certain of rows that it has seen, and of nothing else."""

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


def test_no_row_is_judged_by_a_fit_that_saw_it():
    X, y = rows()
    X = np.concatenate([X, X[:9]])  # copies share a fold
    probabilities, scored = cross_validated_probabilities(Memory(), X, np.append(y, y[:9]))
    assert scored.all()
    assert not probabilities.any()


def test_the_order_of_the_rows_is_nothing():
    X, y = rows()
    order = np.random.default_rng(1).permutation(len(y))
    first, _ = cross_validated_probabilities(GaussianNB(), X, y)
    second, _ = cross_validated_probabilities(GaussianNB(), X[order], y[order])
    np.testing.assert_allclose(first[order], second, rtol=1e-9)
    assert (np.array(["a", "b", "c"])[first.argmax(axis=1)] == y).mean() > 0.9
    np.testing.assert_allclose(first.sum(axis=1), 1.0)


def test_the_only_row_of_a_class_is_learned_from_and_not_scored():
    X, y = rows(30)
    y[4] = "lonely"
    probabilities, scored = cross_validated_probabilities(GaussianNB(), X, y)
    assert np.flatnonzero(~scored).tolist() == [4]
    assert not probabilities[4].any()
    assert probabilities.shape == (30, 4)


def test_one_class_says_nothing():
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


def test_what_cannot_be_meant():
    with pytest.raises(UsageError) as error:
        cross_validated_probabilities(GaussianNB(), np.eye(3), [0, 1, 1], 1)
    assert str(error.value) == "n_folds must be at least 2, not 1."
    with pytest.raises(LabelError) as error:
        cross_validated_probabilities(GaussianNB(), np.eye(3), [0, 1])
    assert str(error.value) == "3 rows but 2 labels: give one for each row."
    with pytest.raises(LabelError) as error:
        cross_validated_probabilities(GaussianNB(), np.zeros(3), [0, 1, 1])
    assert str(error.value) == "X has the shape (3,): give one row of numbers for each label."
