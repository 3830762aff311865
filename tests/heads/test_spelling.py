"""Heads as text, and what is said of a text that cannot be meant."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB

from embedpipe.errors import LabelError, UnknownNameError, UsageError
from embedpipe.heads import (
    ForeignHead,
    KNNHead,
    MLPHead,
    RidgeHead,
    get_head,
    head_spelling,
    heads,
    save_head,
)


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("ridge", RidgeHead()),
        (" ridge ( alpha = 2 ) ", RidgeHead(alpha=2)),
        ("ridge()", RidgeHead()),
        (
            "mlp(hidden=64, dropout=0.25, warm_start=True)",
            MLPHead(64, dropout=0.25, warm_start=True),
        ),
        ("knn(class_weight={'hat': 2.0})", KNNHead(class_weight={"hat": 2.0})),
        ("ridge(alpha='auto')", RidgeHead()),
        ("embedpipe.heads.ridge:RidgeHead(alpha=3.0)", RidgeHead(alpha=3.0)),
    ],
)
def test_registered_heads(text, head):
    made = get_head(text)
    assert type(made) is type(head)
    assert made.get_params() == head.get_params()


def test_options_beside_the_text_win():
    assert get_head("ridge(alpha=2.0, normalize=False)", alpha=3.0).get_params() == (
        RidgeHead(alpha=3.0, normalize=False).get_params()
    )


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (RidgeHead(), "ridge"),
        (RidgeHead(alpha=2.0), "ridge(alpha=2.0)"),
        (MLPHead(64, seed=3), "mlp(hidden=64, seed=3)"),
        (KNNHead(class_weight={"a": 2.0}), "knn(class_weight={'a': 2.0})"),
        (GaussianNB(), "sklearn.naive_bayes:GaussianNB"),
        (RandomForestClassifier(50), "sklearn.ensemble:RandomForestClassifier(n_estimators=50)"),
        (
            ForeignHead(LogisticRegression(C=np.inf)),
            "sklearn.linear_model:LogisticRegression(C=1e999)",
        ),
    ],
)
def test_a_head_and_its_text(head, text):
    assert head_spelling(head) == text
    again = get_head(text)
    assert head_spelling(again) == text
    inner = head.estimator if isinstance(head, ForeignHead) else head
    made = again.estimator if isinstance(again, ForeignHead) else again
    assert made.get_params() == inner.get_params()


@pytest.mark.parametrize("name", list(heads))
def test_the_name_of_every_head(name):
    assert head_spelling(get_head(name)) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "mlp(hiden=64)",
            "the head 'mlp' has no parameter 'hiden'. Did you mean 'hidden'? It has: batch_size, "
            "class_weight, dropout, epochs, gamma, hidden, keep_optimiser, lr, mc_samples, "
            "normalize, seed, "
            "stochastic_pred, warm_start, weight_decay.",
        ),
        (
            "mlp(64)",
            "the head 'mlp(64)' has an option without a name, 64: write name=value.",
        ),
        (
            "mlp(hidden=64",
            "cannot read the head 'mlp(hidden=64': write options as in "
            "'mlp(hidden=64, dropout=0.2)'.",
        ),
        (
            "mlp(hidden=64) or 1",
            "cannot read the head 'mlp(hidden=64) or 1': write options as in "
            "'mlp(hidden=64, dropout=0.2)'.",
        ),
        (
            "mlp(hidden=int('64'))",
            "the head \"mlp(hidden=int('64'))\" has an option that is no plain value, "
            "hidden=int('64'): give a number, a text, True, False, None, or a list or dict of "
            "these. In Python a head may be given as an object instead.",
        ),
        (
            "sklearn.svn:SVC",
            "cannot import 'sklearn.svn' for the head 'sklearn.svn:SVC': "
            "No module named 'sklearn.svn'.",
        ),
        (
            "sklearn.naive_bayes:GausianNB",
            "the module 'sklearn.naive_bayes' has no class 'GausianNB'. Did you mean 'GaussianNB'?",
        ),
        (
            "sklearn.svm:l1_min_c",
            "sklearn.svm:l1_min_c is a function, not a class.",
        ),
        (
            "sklearn.linear_model:Ridge",
            "sklearn.linear_model:Ridge is not a classifier in the manner of scikit-learn.",
        ),
        ("json:JSONDecoder", "json:JSONDecoder is not a classifier in the manner of scikit-learn."),
        (
            "sklearn.svm:LinearSVC",
            "sklearn.svm:LinearSVC gives no probabilities: wrap it in scikit-learn's "
            "CalibratedClassifierCV, in Python.",
        ),
        (
            "sklearn.ensemble:VotingClassifier",
            "sklearn.ensemble:VotingClassifier cannot be made without arguments: "
            "VotingClassifier.__init__() missing 1 required positional argument: 'estimators'.",
        ),
    ],
)
def test_texts_that_cannot_be_meant(text, message):
    with pytest.raises(UsageError) as error:
        get_head(text)
    assert str(error.value) == message


def test_an_unknown_name_says_what_else_there_is():
    with pytest.raises(UnknownNameError) as error:
        get_head("rigde(alpha=1)")
    message = str(error.value)
    assert message.startswith("unknown head 'rigde'. Did you mean 'ridge'? Known: ")
    assert message.endswith(
        "Any scikit-learn classifier is a head too, by where it is: "
        "'sklearn.ensemble:RandomForestClassifier(n_estimators=50)'."
    )


def test_a_head_that_no_text_can_say():
    with pytest.raises(UsageError) as error:
        head_spelling(CalibratedClassifierCV(GaussianNB()))
    assert str(error.value) == (
        "sklearn.calibration:CalibratedClassifierCV cannot be written as text: "
        "its parameter estimator is a GaussianNB."
    )


def foreign(text="sklearn.linear_model:LogisticRegression(max_iter=500)"):
    return get_head(text)


def test_a_foreign_head_is_what_it_holds():
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


def test_what_a_foreign_head_refuses_is_one_line():
    head = ForeignHead(CalibratedClassifierCV(GaussianNB(), cv=3))
    with pytest.raises(LabelError) as error:
        head.fit([[0.0], [1.0], [2.0]], ["hat", "shoe", "shoe"])
    message = str(error.value)
    assert message.startswith(
        "a CalibratedClassifierCV cannot learn from these 3 labels of 2 classes: "
    )
    assert "\n" not in message


def test_a_foreign_head_names_rows_that_are_not_finite():
    head = foreign().fit([[0.0], [1.0]], ["hat", "shoe"])
    for ask in (head.predict, head.predict_proba, lambda X: head.fit(X, ["hat", "shoe"])):
        with pytest.raises(LabelError) as error:
            ask([[0.0], [np.nan]])
        assert str(error.value) == (
            "row 1 of X holds NaN or infinity: embed the item again or leave it out."
        )


def test_a_foreign_head_without_weights():
    with pytest.raises(LabelError) as error:
        foreign("sklearn.neighbors:KNeighborsClassifier").fit([[0.0], [1.0]], [0, 1], [1.0, 2.0])
    assert str(error.value) == "a KNeighborsClassifier takes no sample_weight."


def test_a_foreign_head_goes_on_learning_where_it_can():
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
        "a LogisticRegression is not a registered head, so a file could not name it. Registered: "
    )
