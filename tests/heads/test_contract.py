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


QUICK = {"mlp": {"epochs": 8, "batch_size": 64}}
"""Settings with which scikit-learn's many small fits do not take a minute."""

SHARES = ("logistic", "slda", "knn", "mlp", "label_propagation")
"""Heads that predict the shares of the labels where rows tell nothing."""


def test_scikit_learn_accepts_it(name):
    head = get_head(name, **QUICK.get(name, {}))
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


def test_constant_features_change_nothing_much(name, head):
    X, y = blobs(40, 6, 2)
    X[:, 2:4] = 3.0
    least = 0.9 if name == "fecam" else 1.0  # a root makes much of noise around zero
    assert (head.fit(X, y).predict(X) == y).mean() >= least


def test_rows_that_are_all_the_same(name, head):
    X = np.full((6, 3), 0.1, dtype=np.float32)
    probabilities = head.fit(X, ["a", "a", "a", "a", "b", "b"]).predict_proba(X)
    if name in SHARES:
        np.testing.assert_allclose(probabilities, [[2 / 3, 1 / 3]] * 6, atol=1e-2)
    np.testing.assert_array_equal(probabilities, probabilities[:1].repeat(6, axis=0))
    assert probabilities[0, 0] >= probabilities[0, 1]


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


def repeated(X, y, times):
    return np.repeat(X, times, axis=0), np.repeat(y, times)


def test_a_weight_is_a_number_of_equal_rows(head):
    X, y = blobs(40, 6, 3, spread=1.5)
    times = np.random.default_rng(3).integers(0, 4, size=40)
    weighted = clone(head).fit(X, y, sample_weight=times.astype(float)).predict_proba(X)
    given = clone(head).fit(*repeated(X, y, times)).predict_proba(X)
    np.testing.assert_allclose(weighted, given, atol=2e-3)


def test_balanced_classes_are_weights_of_rows(name):
    X, y = blobs(60, 6, 3, spread=1.5)
    kept = np.flatnonzero((y != "class 002") | (np.arange(60) % 4 == 0))
    X, y = X[kept], y[kept]
    balanced = get_head(name, class_weight="balanced").fit(X, y).predict_proba(X)
    counts = {label: int((y == label).sum()) for label in np.unique(y)}
    by_label = {label: len(y) / (3 * n) for label, n in counts.items()}
    weights = np.array([by_label[label] for label in y])
    given = get_head(name).fit(X, y, sample_weight=weights).predict_proba(X)
    if name not in ("nearest_mean", "fecam"):  # classes weigh the same whatever their rows do
        np.testing.assert_allclose(balanced, given, atol=2e-3)
        mapped = get_head(name, class_weight=by_label).fit(X, y).predict_proba(X)
        np.testing.assert_allclose(balanced, mapped, atol=2e-3)


def test_a_heavy_class_is_predicted_more_often(name):
    X, y = blobs(60, 4, 2, spread=3.0)
    heavy = {"class 000": 50.0, "class 001": 1.0}
    plain = (get_head(name).fit(X, y).predict(X) == "class 000").sum()
    assert (get_head(name, class_weight=heavy).fit(X, y).predict(X) == "class 000").sum() > plain


def test_weights_without_meaning(head):
    X, y = blobs(6, 4, 2)
    with pytest.raises(LabelError) as error:
        head.fit(X, y, sample_weight=[1, 1, -1, 1, 1, 1])
    assert str(error.value) == (
        "the weight of row 2 is -1: give a finite number of at least 0, "
        "and leave rows out that should not count."
    )


def trainable(head):
    if not hasattr(head, "partial_fit"):
        pytest.skip("it cannot be trained on")
    return head


def test_the_first_part_is_a_fit(head):
    X, y = blobs(40, 6, 3)
    once = clone(trainable(head)).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(clone(head).partial_fit(X, y).predict_proba(X), once, atol=1e-3)


def test_new_classes_may_come_in_any_part(head):
    X, y = blobs(90, 24, 3)
    trainable(head).partial_fit(X[y == "class 001"], y[y == "class 001"])
    assert head.predict_proba(X).tolist() == [[1.0]] * 90
    head.partial_fit(X, y)
    assert head.classes_.tolist() == ["class 000", "class 001", "class 002"]
    for _ in range(5):
        head.partial_fit(X, y)
    assert (head.predict(X) == y).mean() > 0.95


def test_training_on_is_the_same_every_time(head):
    X, y = blobs(60, 8, 3)
    first, second = (
        clone(trainable(head)).partial_fit(X[:30], y[:30]).partial_fit(X[30:], y[30:])
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))


def test_declared_classes_are_there_from_the_start(head):
    X, y = blobs(40, 6, 2)
    trainable(head).partial_fit(X, y, classes=["class 000", "class 001", "other"])
    assert head.classes_.tolist() == ["class 000", "class 001", "other"]
    assert head.predict_proba(X).shape == (40, 3)
    assert "other" not in head.predict(X)


def test_parts_are_checked_as_fits_are(head):
    X, y = blobs(20, 4, 2)
    trainable(head).partial_fit(X, y)
    X[3, 1] = np.nan
    with pytest.raises(LabelError) as error:
        head.partial_fit(X, y)
    assert str(error.value) == (
        "row 3 of X holds NaN or infinity: embed the item again or leave it out."
    )


def warm(name):
    if "warm_start" not in get_head(name).get_params():
        pytest.skip("it has no weights to go on from")
    return get_head(name, warm_start=True)


def test_a_warm_start_learns_as_well(name):
    X, y = blobs(120, 16, 4, spread=0.8)
    head = warm(name).fit(X[:30], y[:30])
    head.fit(X[:60], y[:60])
    cold = get_head(name).fit(X[:60], y[:60])
    assert head.score(X[60:], y[60:]) > cold.score(X[60:], y[60:]) - 0.1


def test_a_warm_start_takes_other_classes(name):
    X, y = blobs(60, 16, 4)
    head = warm(name).fit(X[y <= "class 001"], y[y <= "class 001"])
    head.fit(X, y)
    assert head.classes_.tolist() == np.unique(y).tolist()
    assert (head.predict(X) == y).mean() > 0.95
    head.fit(X[y >= "class 001"], y[y >= "class 001"])
    assert head.classes_.tolist() == ["class 001", "class 002", "class 003"]
    assert (head.predict(X[y >= "class 001"]) == y[y >= "class 001"]).mean() > 0.95


def test_what_it_thinks_of_itself(head):
    X, y = blobs(600, 8, 3, spread=1.2)
    head.fit(X[:100], y[:100])
    assert head.temperature_ is None or head.temperature_ > 0.0
    if head.cv_accuracy_ is None:
        assert head.cv_ece_ is None
        assert not head.cv_n_
        return
    assert head.cv_n_ == 100
    assert head.cv_accuracy_ == pytest.approx(head.score(X[100:], y[100:]), abs=0.12)
    assert 0.0 <= head.cv_ece_ < 0.2


def test_of_nothing_it_thinks_nothing(head):
    X, y = blobs(3, 8, 3)
    for labels in (y, ["hat"] * 3):
        head.fit(X, labels)
        assert (head.cv_accuracy_, head.cv_ece_, head.cv_n_ or 0) == (None, None, 0)


def test_confidence_is_about_what_it_is_worth(head):
    X, y = blobs(900, 8, 3, spread=1.5)
    head.fit(X[:150], y[:150])
    likely = head.predict_proba(X[150:]).max(axis=1).mean()
    assert likely == pytest.approx(head.score(X[150:], y[150:]), abs=0.1)


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


def test_weights_by_number_are_saved(name, tmp_path):
    X, y = blobs(24, 4, 12)
    labels = np.array([int(label[-3:]) for label in y])
    head = get_head(name, class_weight={label: 1.0 + label for label in range(12)}).fit(X, labels)
    again, _ = load_head(save_head(head, tmp_path / "head"))
    np.testing.assert_array_equal(again.predict_proba(X), head.predict_proba(X))
    np.testing.assert_allclose(
        clone(again).fit(X, labels).predict_proba(X), head.predict_proba(X), atol=1e-5
    )


def test_ordinary_use_warns_of_nothing(head):
    X, y = blobs(60, 30, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head.fit(X, y).predict(X)
