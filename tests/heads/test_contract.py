"""What every registered head must do; a new one is covered the moment it is registered."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from embedpipe.errors import LabelError
from embedpipe.heads import Head, get_head, heads, load_head, save_head


@pytest.fixture(params=list(heads))
def name(request):
    return request.param


@pytest.fixture
def head(name):
    return get_head(name)


def blobs(n, d, n_classes, *, seed=0, spread=0.4):
    """Return rows around one centre for each class; the classes take turns."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % n_classes
    centres = rng.normal(size=(n_classes, d))
    rows = centres[codes] + spread * rng.normal(size=(n, d))
    return rows.astype(np.float32), np.array([f"class {code:03d}" for code in codes])


def test_scikit_learn_accepts_it(head):
    results = check_estimator(head, on_fail=None, on_skip=None)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert failed == {}
    assert sum(r["status"] == "passed" for r in results) > 40


def test_it_is_a_head(head):
    assert isinstance(head.fit([[0.0, 1.0], [1.0, 0.0]], ["a", "b"]), Head)


def test_the_registry_describes_it_as_its_docstring_does(name):
    assert heads.describe()[name] == heads[name].__doc__.strip().splitlines()[0]


def test_it_learns(head):
    X, y = blobs(200, 16, 5)
    head.fit(X[:100], y[:100])
    assert (head.predict(X[100:]) == y[100:]).mean() > 0.95


def test_the_same_rows_give_the_same_head(head):
    X, y = blobs(60, 8, 3)
    first = clone(head).fit(X, y).predict_proba(X)
    second = clone(head).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(first, second)


def test_inputs_stay_as_they_are(head):
    X, y = blobs(30, 6, 3)
    rows, labels = X.copy(), y.copy()
    X.flags.writeable = y.flags.writeable = False
    head.fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(X, rows)
    np.testing.assert_array_equal(y, labels)


def test_probabilities_are_those_of_the_prediction(head):
    X, y = blobs(90, 8, 3, spread=2.0)
    probabilities = head.fit(X, y).predict_proba(X)
    assert probabilities.dtype == np.float32
    assert probabilities.min() >= 0.0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(head.classes_[probabilities.argmax(axis=1)], head.predict(X))


def test_one_class_is_predicted_with_certainty(head):
    X, _ = blobs(5, 4, 1)
    head.fit(X, ["hat"] * 5)
    assert head.predict(X).tolist() == ["hat"] * 5
    assert head.predict_proba(X).tolist() == [[1.0]] * 5


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_one_label_for_each_class(head, n_classes):
    X, y = blobs(n_classes, 32, n_classes)
    assert head.fit(X, y).predict(X).tolist() == y.tolist()


def test_a_class_with_a_single_label_among_others(head):
    X, y = blobs(41, 32, 2)
    X[40], y[40] = -5.0 * X[:40].mean(axis=0), "lonely"
    head.fit(X, y)
    assert head.predict(X[40:]).tolist() == ["lonely"]


def test_integer_labels_come_back_as_integers(head):
    X, y = blobs(30, 6, 3)
    codes = np.array([{"class 000": 7, "class 001": -2, "class 002": 40}[label] for label in y])
    predicted = head.fit(X, codes).predict(X)
    assert head.classes_.tolist() == [-2, 7, 40]
    assert predicted.dtype == codes.dtype


def test_the_order_of_the_rows_does_not_matter(head):
    X, y = blobs(80, 24, 4, spread=1.5)
    order = np.random.default_rng(1).permutation(80)
    first = clone(head).fit(X, y).predict_proba(X)
    second = clone(head).fit(X[order], y[order]).predict_proba(X)
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_more_features_than_rows(head):
    X, y = blobs(12, 500, 3)
    assert head.fit(X, y).predict(X).tolist() == y.tolist()


def test_constant_features_change_nothing_much(head):
    X, y = blobs(40, 6, 2)
    X[:, 2:4] = 3.0
    assert (head.fit(X, y).predict(X) == y).mean() == 1.0


def test_rows_that_are_all_the_same(head):
    X = np.full((6, 3), 0.1, dtype=np.float32)
    probabilities = head.fit(X, ["a", "a", "a", "a", "b", "b"]).predict_proba(X)
    np.testing.assert_allclose(probabilities, [[2 / 3, 1 / 3]] * 6, atol=1e-2)


def test_a_row_of_zeros(head):
    X, y = blobs(20, 4, 2)
    X[0] = 0.0
    assert np.isfinite(head.fit(X, y).predict_proba(X)).all()


def test_a_hundred_classes(head):
    X, y = blobs(300, 64, 100)
    head.fit(X, y)
    assert head.predict_proba(X).shape == (300, 100)
    assert (head.predict(X) == y).mean() > 0.99


def test_a_memory_mapped_matrix(head, tmp_path):
    X, y = blobs(50, 8, 2)
    np.save(tmp_path / "embeddings.npy", X)
    mapped = np.load(tmp_path / "embeddings.npy", mmap_mode="r")
    head.fit(mapped[:20], y[:20])
    np.testing.assert_array_equal(head.predict_proba(mapped), head.predict_proba(X))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_fitting_names_a_row_that_is_not_finite(head, bad):
    X, y = blobs(20, 4, 2)
    X[7, 2] = X[11, 0] = bad
    with pytest.raises(LabelError) as error:
        head.fit(X, y)
    assert str(error.value) == (
        "row 7 of X holds NaN or infinity (2 such rows here): embed the item again or leave it out."
    )


def test_predicting_names_a_row_that_is_not_finite(head):
    X, y = blobs(9000, 4, 2)
    head.fit(X[:20], y[:20])
    X[8500, 1] = np.nan
    with pytest.raises(LabelError) as error:
        head.predict(X)
    assert str(error.value) == (
        "row 8500 of X holds NaN or infinity: embed the item again or leave it out."
    )


def test_nothing_to_fit_on(head):
    with pytest.raises(LabelError) as error:
        head.fit(np.empty((0, 4), dtype=np.float32), [])
    assert str(error.value) == "there is nothing to fit on: no row is labelled."


def test_lengths_that_differ(head):
    X, y = blobs(20, 4, 2)
    with pytest.raises(LabelError) as error:
        head.fit(X, y[:19])
    assert str(error.value) == "20 rows but 19 labels: give one for each row."


@pytest.mark.parametrize("n_classes", [1, 2, 5])
@pytest.mark.parametrize("kind", [str, int])
def test_saving_and_loading_gives_the_same_head(name, head, tmp_path, n_classes, kind):
    X, y = blobs(40, 8, n_classes)
    labels = y if kind is str else np.array([int(label[-3:]) for label in y])
    head.fit(X, labels)
    metadata = {"spec_id": "ab12", "classes": ["é", '"'], "dim": 8}
    path = save_head(head, tmp_path / "head.safetensors", metadata=metadata)
    again, read = load_head(path)
    assert type(again) is heads[name]
    assert read == metadata
    assert again.get_params() == head.get_params()
    np.testing.assert_array_equal(again.predict_proba(X), head.predict_proba(X))
    np.testing.assert_array_equal(again.predict(X), head.predict(X))
    assert again.classes_.dtype.kind == head.classes_.dtype.kind
    for attribute, value in vars(head).items():
        np.testing.assert_array_equal(getattr(again, attribute), value)


def test_ordinary_use_warns_of_nothing(head):
    X, y = blobs(60, 30, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head.fit(X, y).predict(X)
