"""Logistic regression with unlabelled rows."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from embedpipe.errors import LabelError, UsageError
from embedpipe.heads import (
    LabelPropagationHead,
    LogisticHead,
    load_head,
    save_head,
)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    return X[order].astype(np.float32), y[order]


@pytest.mark.parametrize("unlabelled", [None, np.empty((0, 64), dtype=np.float32)])
@pytest.mark.parametrize("n", [3, 60])
def test_without_unlabelled_rows_it_is_the_logistic_head(digits, n, unlabelled):
    X, y = digits
    head = LabelPropagationHead().fit(X[:n], y[:n], unlabelled=unlabelled)
    plain = LogisticHead().fit(X[:n], y[:n])
    np.testing.assert_allclose(head.predict_proba(X), plain.predict_proba(X), atol=1e-5)
    assert (head.strength_, head.n_unlabelled_) == (0.0, 0)


def test_unlabelled_rows_help_where_labels_are_few(digits):
    X, y = digits
    gains = []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(1200)
        rows, rest = order[:40], order[40:]
        plain = LogisticHead().fit(X[rows], y[rows])
        helped = LabelPropagationHead(n_components=24).fit(X[rows], y[rows], unlabelled=X[rest])
        gains.append(helped.score(X[1200:], y[1200:]) - plain.score(X[1200:], y[1200:]))
    assert np.mean(gains) > 0.03


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits_every_time(digits, threads):
    X, y = digits
    order = np.random.default_rng(1).permutation(50)
    first = LabelPropagationHead().fit(X[:50], y[:50], unlabelled=X[50:])
    with threadpool_limits(threads):
        second = LabelPropagationHead().fit(X[order], y[order], unlabelled=X[50:])
    np.testing.assert_allclose(first.coef_, second.coef_, rtol=1e-9, atol=1e-12)


def test_no_more_rows_are_used_than_allowed(digits, tmp_path):
    X, y = digits
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    head = LabelPropagationHead(max_unlabelled=200, seed=1).fit(X[:50], y[:50], unlabelled=mapped)
    assert head.n_unlabelled_ == 200
    again = clone(head).fit(X[:50], y[:50], unlabelled=X)
    np.testing.assert_array_equal(head.coef_, again.coef_)
    other = clone(head).set_params(seed=2).fit(X[:50], y[:50], unlabelled=X)
    assert np.abs(head.coef_ - other.coef_).max() > 0.0


@pytest.mark.parametrize(
    "unlabelled",
    [
        np.zeros((20, 64), dtype=np.float32),
        np.ones((20, 64), dtype=np.float32),
        np.eye(64, dtype=np.float32)[:1],
    ],
    ids=["zeros", "all the same", "a single row"],
)
@pytest.mark.parametrize("n", [2, 30])
def test_uninformative_unlabelled_rows_are_accepted(digits, unlabelled, n):
    X, y = digits
    head = LabelPropagationHead().fit(X[:n], y[:n], unlabelled=unlabelled)
    likely = head.predict_proba(X)
    assert np.isfinite(likely).all()
    np.testing.assert_allclose(likely.sum(axis=1), 1.0, rtol=1e-5)


def test_one_class_and_a_pool(digits):
    X, _ = digits
    head = LabelPropagationHead().fit(X[:3], ["hat"] * 3, unlabelled=X)
    assert head.predict_proba(X[:2]).tolist() == [[1.0], [1.0]]


def test_the_cross_validated_accuracy_is_stored(digits):
    X, y = digits
    head = LabelPropagationHead().fit(X[:150], y[:150], unlabelled=X[150:1200])
    assert head.cv_n_ == 150
    assert head.cv_accuracy_ == pytest.approx(head.score(X[1200:], y[1200:]), abs=0.08)
    likely = head.predict_proba(X[1200:]).max(axis=1).mean()
    assert likely == pytest.approx(head.score(X[1200:], y[1200:]), abs=0.08)


def test_a_loaded_head_predicts_the_same(digits, tmp_path):
    X, y = digits
    head = LabelPropagationHead().fit(X[:50], y[:50], unlabelled=X[50:500])
    again, _ = load_head(save_head(head, tmp_path / "head"))
    np.testing.assert_array_equal(again.predict_proba(X), head.predict_proba(X))


def test_a_strength_of_zero_is_the_logistic_head(digits):
    X, y = digits
    head = LabelPropagationHead(strength=0.0).fit(X[:50], y[:50], unlabelled=X[50:])
    plain = LogisticHead().fit(X[:50], y[:50])
    np.testing.assert_array_equal(head.coef_, plain.coef_)


def test_invalid_pools_are_refused(digits):
    X, y = digits
    with pytest.raises(LabelError) as error:
        LabelPropagationHead().fit(X[:5], y[:5], unlabelled=X[:, :3])
    assert str(error.value) == "unlabelled has the shape (1797, 3): give rows of 64 numbers."
    bad = X[:9].copy()
    bad[4, 2] = np.nan
    with pytest.raises(LabelError) as error:
        LabelPropagationHead().fit(X[:5], y[:5], unlabelled=bad)
    assert str(error.value) == (
        "row 4 of X holds NaN or infinity: embed the item again or leave it out."
    )
    with pytest.raises(UsageError) as error:
        LabelPropagationHead(n_components=0).fit(X[:5], y[:5])
    assert str(error.value) == "n_components is 0: give a whole number, at least 1."
    with pytest.raises(UsageError) as error:
        LabelPropagationHead(strength=-1.0).fit(X[:5], y[:5])
    assert str(error.value) == "strength is -1.0: give a number at least 0."
