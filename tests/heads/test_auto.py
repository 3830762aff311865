"""The head that chooses whether to learn from unlabelled rows."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from embedpipe.heads import (
    AutoHead,
    LabelPropagationHead,
    LogisticHead,
    UnlabelledRows,
    load_head,
    save_head,
)
from embedpipe.heads._label_logits import HeldOutLogits
from embedpipe.heads.auto import choose


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    return X[order].astype(np.float32), y[order]


def held_out(strength, right):
    """Return the predictions of 10 labels, of which some are right."""
    logits = np.where(np.arange(10)[:, None] < right, [1.0, 0.0], [0.0, 1.0])
    return HeldOutLogits(strength, logits, np.zeros(10, np.intp), np.ones(10))


@pytest.mark.parametrize(
    ("alone", "high", "low", "strength"),
    [
        (6, 6, None, 1.0),
        (6, 7, None, 1.0),
        (6, 5, 5, 0.3),
        (9, 5, 4, 0.3),
        (9, 3, 3, 0.0),
        (9, 8, 10, 0.3),
    ],
)
def test_the_weight_is_lowered_only_with_evidence(alone, high, low, strength):
    third = None if low is None else held_out(0.3, low)
    assert choose(held_out(0.0, alone), held_out(1.0, high), third).strength == strength


def test_with_the_default_it_equals_label_propagation(digits):
    X, y = digits
    head = AutoHead().fit(X[:60], y[:60], unlabelled=X[60:1200])
    other = LabelPropagationHead().fit(X[:60], y[:60], unlabelled=X[60:1200])
    assert head.strength_ == 1.0
    assert head.choice_ == (
        "learned from the unlabelled images too: 54 of 60 held-out labels right, 54 without them"
    )
    assert head.n_unlabelled_ == 1140
    np.testing.assert_array_equal(head.coef_, other.coef_)
    np.testing.assert_array_equal(head.predict_proba(X), other.predict_proba(X))
    plain = LogisticHead().fit(X[:60], y[:60])
    assert head.score(X[1200:], y[1200:]) > plain.score(X[1200:], y[1200:]) + 0.01


def test_misleading_unlabelled_rows_are_not_used():
    # The classes differ along the last axis. Along the other axes, the unlabelled rows form
    # clusters that are no classes, and that contain labels of both classes.
    rng = np.random.default_rng(0)
    groups, y = rng.integers(0, 2, size=600), rng.integers(0, 2, size=600)
    X = rng.normal(size=(600, 4)) * 0.3
    X[:, :3] += 6.0 * groups[:, None]
    X[:, 3] += 1.2 * y
    X = X.astype(np.float32)
    head = AutoHead(normalize=False).fit(X[:60], y[:60], unlabelled=X[60:])
    plain = LogisticHead(normalize=False).fit(X[:60], y[:60])
    assert head.score(X[60:], y[60:]) >= plain.score(X[60:], y[60:]) - 0.01


def test_without_unlabelled_rows_it_is_the_logistic_head(digits):
    X, y = digits
    for unlabelled in (None, X[:0]):
        head = AutoHead().fit(X[:60], y[:60], unlabelled=unlabelled)
        plain = LogisticHead().fit(X[:60], y[:60])
        np.testing.assert_array_equal(head.predict_proba(X), plain.predict_proba(X))
        assert head.choice_ == "learned from the labels only: there are no unlabelled images"
        assert (head.strength_, head.n_unlabelled_) == (0.0, 0)


def test_too_few_labels_to_compare(digits):
    X, _ = digits
    head = AutoHead().fit(X[:2], ["a", "b"], unlabelled=X)
    assert head.choice_ == (
        "learned from the unlabelled images too: no label can be held out to compare"
    )
    assert (head.cv_accuracy_, head.temperature_) == (None, 5.0)


def test_partial_fit_learns_from_labels_only(digits):
    X, y = digits
    head = AutoHead().fit(X[:60], y[:60], unlabelled=X[60:]).partial_fit(X[:80], y[:80])
    assert head.choice_ == ("learned from the labels only: `partial_fit` uses no unlabelled images")
    assert head.strength_ == 0.0


def test_the_same_bits_on_any_number_of_threads(digits):
    X, y = digits
    order = np.random.default_rng(1).permutation(50)
    first = AutoHead().fit(X[:50], y[:50], unlabelled=X[50:])
    for threads in (1, 2):
        with threadpool_limits(threads):
            second = AutoHead().fit(X[order], y[order], unlabelled=X[50:])
        np.testing.assert_array_equal(first.coef_, second.coef_)
        np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))


def test_a_row_of_weight_two_equals_two_rows(digits):
    X, y = digits
    twice = np.r_[np.arange(50), np.arange(10)]
    weights = np.ones(50)
    weights[:10] = 2.0
    one = AutoHead(C=10.0).fit(X[:50], y[:50], sample_weight=weights, unlabelled=X[50:])
    two = AutoHead(C=10.0).fit(X[twice], y[twice], unlabelled=X[50:])
    np.testing.assert_allclose(one.coef_, two.coef_, rtol=1e-6, atol=1e-9)


def test_unlabelled_rows_that_are_used_again_give_the_same_head(digits):
    X, y = digits
    pool = UnlabelledRows(X[:1000])
    first = AutoHead().fit(X[:50], y[:50], unlabelled=pool.without(np.arange(50)))
    AutoHead().fit(X[:80], y[:80], unlabelled=pool.without(np.arange(80)))
    again = AutoHead().fit(X[:50], y[:50], unlabelled=pool.without(np.arange(50)))
    np.testing.assert_array_equal(first.coef_, again.coef_)


def test_a_loaded_head_predicts_the_same(digits, tmp_path):
    X, y = digits
    head = AutoHead().fit(X[:50], y[:50], unlabelled=X[50:500])
    again, _ = load_head(save_head(head, tmp_path / "head"))
    np.testing.assert_array_equal(again.predict_proba(X), head.predict_proba(X))
    assert again.choice_ == head.choice_
