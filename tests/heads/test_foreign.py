"""Classifiers of scikit-learn as heads."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB

from embedpipe.errors import LabelError, UsageError
from embedpipe.heads import (
    ForeignHead,
    get_head,
    save_head,
)


def foreign(text="sklearn.linear_model:LogisticRegression(max_iter=500)"):
    return get_head(text)


def test_a_foreign_head_predicts_as_its_classifier():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)).astype(np.float32), np.arange(60) % 3
    X[:, 0] += y
    head, plain = foreign().fit(X, y), LogisticRegression(max_iter=500).fit(X, y)
    np.testing.assert_array_equal(head.predict(X), plain.predict(X))
    np.testing.assert_allclose(head.predict_proba(X), plain.predict_proba(X), rtol=1e-6)
    assert head.predict_proba(X).dtype == np.float32
    weights = rng.uniform(size=60)
    weighted = LogisticRegression(max_iter=500).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(
        foreign().fit(X, y, sample_weight=weights).predict_proba(X),
        weighted.predict_proba(X),
        rtol=1e-6,
    )
    assert not hasattr(head.estimator, "classes_")


def test_a_foreign_head_learns_from_one_class():
    with pytest.raises(ValueError, match="class"):
        LogisticRegression().fit([[0.0], [1.0]], ["hat", "hat"])
    head = foreign().fit([[0.0], [1.0]], ["hat", "hat"])
    assert head.predict([[3.0]]).tolist() == ["hat"]
    assert head.predict_proba([[3.0]]).tolist() == [[1.0]]
    assert clone(head).fit([[0.0], [1.0]], ["hat", "shoe"]).classes_.tolist() == ["hat", "shoe"]


def test_an_error_of_the_classifier_is_one_line():
    head = ForeignHead(CalibratedClassifierCV(GaussianNB(), cv=3))
    with pytest.raises(LabelError) as error:
        head.fit([[0.0], [1.0], [2.0]], ["hat", "shoe", "shoe"])
    message = str(error.value)
    assert message.startswith("CalibratedClassifierCV failed on 3 labels of 2 classes: ")
    assert "\n" not in message


def test_a_foreign_head_refuses_nan_with_the_row():
    head = foreign().fit([[0.0], [1.0]], ["hat", "shoe"])
    for ask in (head.predict, head.predict_proba, lambda X: head.fit(X, ["hat", "shoe"])):
        with pytest.raises(LabelError) as error:
            ask([[0.0], [np.nan]])
        assert str(error.value) == (
            "row 1 of X holds NaN or infinity: embed the item again or leave it out."
        )


def test_sample_weights_are_refused_if_the_classifier_has_none():
    with pytest.raises(LabelError) as error:
        foreign("sklearn.neighbors:KNeighborsClassifier").fit([[0.0], [1.0]], [0, 1], [1.0, 2.0])
    assert str(error.value) == "KNeighborsClassifier does not accept sample_weight."


def test_a_foreign_head_has_partial_fit_if_the_classifier_has_it():
    X = np.array([[0.0], [1.0], [0.1], [0.9]])
    head = foreign("sklearn.linear_model:SGDClassifier(loss='log_loss', random_state=0)")
    plain = SGDClassifier(loss="log_loss", random_state=0)
    for part in (slice(0, 2), slice(2, 4)):
        head.partial_fit(X[part], [0, 1], classes=[0, 1])
        plain.partial_fit(X[part], [0, 1], classes=[0, 1])
    np.testing.assert_array_equal(head.predict_proba(X), plain.predict_proba(X))
    assert not hasattr(foreign(), "partial_fit")
    assert not hasattr(foreign(), "posterior")


def test_a_foreign_head_is_not_saved(tmp_path):
    with pytest.raises(UsageError) as error:
        save_head(foreign().fit([[0.0], [1.0]], [0, 1]), tmp_path / "h")
    assert str(error.value).startswith(
        "LogisticRegression is not a registered head and cannot be saved. Registered heads: "
    )
