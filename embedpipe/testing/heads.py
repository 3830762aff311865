"""The contract of heads."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LabelError
from ..heads import Head, get_head, heads, load_head, save_head
from ._suite import CheckReport, NotApplicable, Suite, raising

__all__ = ["check_head", "example_rows", "head_checks"]

head_checks = Suite("head")
"""The checks of `check_head`; each takes the spec string of a registered head."""


def check_head(spec: str) -> CheckReport:
    """Check the contract of a head, given by its spec string.

    Raise `ContractError` if a check fails.
    """
    return head_checks.run(spec)


def example_rows(
    n: int, d: int, n_classes: int, *, seed: int = 0, spread: float = 0.4
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Return (n, d) rows around class centres, and their labels; row i has class i % n_classes."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % n_classes
    centres = rng.normal(size=(n_classes, d))
    rows = centres[codes] + spread * rng.normal(size=(n, d))
    return rows.astype(np.float32), np.array([f"class {code:03d}" for code in codes])


def _incremental(spec: str) -> Any:
    head = get_head(spec)
    if not hasattr(head, "partial_fit"):
        raise NotApplicable("the head has no partial_fit")
    return head


def _warm(spec: str) -> Any:
    if "warm_start" not in get_head(spec).get_params():
        raise NotApplicable("the head has no parameter warm_start")
    return get_head(spec, warm_start=True)


@head_checks
def passes_check_estimator_of_scikit_learn(spec: str) -> None:
    from sklearn.utils.estimator_checks import check_estimator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(get_head(spec), on_fail=None, on_skip=None)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert not failed, f"checks of scikit-learn failed: {failed}"
    assert sum(r["status"] == "passed" for r in results) > 40, "too few checks applied"


@head_checks
def has_the_methods_of_a_head(spec: str) -> None:
    head = get_head(spec).fit([[0.0, 1.0], [1.0, 0.0]], ["a", "b"])
    assert isinstance(head, Head), "a method of `Head` is missing"


@head_checks
def registry_description_equals_the_docstring(spec: str) -> None:
    kind = type(get_head(spec))
    name = heads.name_of(get_head(spec))
    assert kind.__doc__, "the class has no docstring"
    assert heads.describe()[name] == kind.__doc__.strip().splitlines()[0]


@head_checks
def separable_classes_are_learned(spec: str) -> None:
    X, y = example_rows(200, 16, 5)
    head = get_head(spec).fit(X[:100], y[:100])
    accuracy = (head.predict(X[100:]) == y[100:]).mean()
    assert accuracy > 0.95, f"the accuracy on five separable classes is {accuracy:.3f}"


@head_checks
def same_rows_give_the_same_head(spec: str) -> None:
    X, y = example_rows(60, 8, 3)
    first, second = (get_head(spec).fit(X, y).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@head_checks
def inputs_are_not_changed(spec: str) -> None:
    X, y = example_rows(30, 6, 3)
    rows, labels = X.copy(), y.copy()
    X.flags.writeable = y.flags.writeable = False
    get_head(spec).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(X, rows)
    np.testing.assert_array_equal(y, labels)


@head_checks
def probabilities_agree_with_predictions(spec: str) -> None:
    X, y = example_rows(90, 8, 3, spread=2.0)
    head = get_head(spec).fit(X, y)
    probabilities = head.predict_proba(X)
    assert probabilities.dtype == np.float32, "probabilities must be float32"
    assert probabilities.min() >= 0.0, "a probability is below 0"
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(head.classes_[probabilities.argmax(axis=1)], head.predict(X))


@head_checks
def single_class_has_probability_1(spec: str) -> None:
    X, _ = example_rows(5, 4, 1)
    head = get_head(spec).fit(X, ["hat"] * 5)
    assert head.predict(X).tolist() == ["hat"] * 5
    assert head.predict_proba(X).tolist() == [[1.0]] * 5, "the probability must be 1"


def _learns_one_label_of_each(spec: str, n_classes: int) -> None:
    X, y = example_rows(n_classes, 32, n_classes)
    assert get_head(spec).fit(X, y).predict(X).tolist() == y.tolist()


@head_checks
def one_label_per_class_is_learned_for_2_classes(spec: str) -> None:
    _learns_one_label_of_each(spec, 2)


@head_checks
def one_label_per_class_is_learned_for_3_and_10_classes(spec: str) -> None:
    _learns_one_label_of_each(spec, 3)
    _learns_one_label_of_each(spec, 10)


@head_checks
def class_with_a_single_label_is_learned(spec: str) -> None:
    X, y = example_rows(41, 32, 2)
    X[40], y[40] = -5.0 * X[:40].mean(axis=0), "lonely"
    head = get_head(spec).fit(X, y)
    assert head.predict(X[40:]).tolist() == ["lonely"]


@head_checks
def integer_labels_stay_integers(spec: str) -> None:
    X, y = example_rows(30, 6, 3)
    codes = np.array([{"class 000": 7, "class 001": -2, "class 002": 40}[label] for label in y])
    head = get_head(spec).fit(X, codes)
    assert head.classes_.tolist() == [-2, 7, 40], "classes must be in ascending order"
    assert head.predict(X).dtype == codes.dtype


@head_checks
def order_of_rows_does_not_matter(spec: str) -> None:
    X, y = example_rows(80, 24, 4, spread=1.5)
    order = np.random.default_rng(1).permutation(80)
    first = get_head(spec).fit(X, y).predict_proba(X)
    second = get_head(spec).fit(X[order], y[order]).predict_proba(X)
    np.testing.assert_allclose(first, second, atol=1e-3)


@head_checks
def ignores_row_order_means_equal_to_the_last_bit(spec: str) -> None:
    if not getattr(get_head(spec), "ignores_row_order", False):
        raise NotApplicable("ignores_row_order is not True")
    X, y = example_rows(80, 24, 4, spread=1.5)
    order = np.random.default_rng(1).permutation(80)
    first = get_head(spec).fit(X, y).predict_proba(X)
    second = get_head(spec).fit(X[order], y[order]).predict_proba(X)
    np.testing.assert_array_equal(first, second)


@head_checks
def more_features_than_rows_are_learned(spec: str) -> None:
    X, y = example_rows(12, 500, 3)
    assert get_head(spec).fit(X, y).predict(X).tolist() == y.tolist()


@head_checks
def constant_features_are_ignored(spec: str) -> None:
    X, y = example_rows(40, 6, 2)
    X[:, 2:4] = 3.0
    assert (get_head(spec).fit(X, y).predict(X) == y).mean() >= 0.9


@head_checks
def equal_rows_have_equal_probabilities(spec: str) -> None:
    X = np.full((6, 3), 0.1, dtype=np.float32)
    probabilities = get_head(spec).fit(X, ["a", "a", "a", "a", "b", "b"]).predict_proba(X)
    np.testing.assert_array_equal(probabilities, probabilities[:1].repeat(6, axis=0))
    assert probabilities[0, 0] >= probabilities[0, 1], "the rarer of two labels is more probable"


@head_checks
def row_of_zeros_has_finite_probabilities(spec: str) -> None:
    X, y = example_rows(20, 4, 2)
    X[0] = 0.0
    assert np.isfinite(get_head(spec).fit(X, y).predict_proba(X)).all()


@head_checks
def hundred_classes_are_learned(spec: str) -> None:
    X, y = example_rows(300, 64, 100)
    head = get_head(spec).fit(X, y)
    assert head.predict_proba(X).shape == (300, 100)
    assert (head.predict(X) == y).mean() > 0.99


@head_checks
def memory_map_gives_the_same_head(spec: str) -> None:
    X, y = example_rows(50, 8, 2)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "embeddings.npy", X)
        mapped = np.load(Path(folder) / "embeddings.npy", mmap_mode="r")
        head = get_head(spec).fit(mapped[:20], y[:20])
        np.testing.assert_array_equal(head.predict_proba(mapped), head.predict_proba(X))
        del mapped


@head_checks
def sample_weight_equals_repeated_rows(spec: str) -> None:
    X, y = example_rows(40, 6, 3, spread=1.5)
    times = np.random.default_rng(3).integers(0, 4, size=40)
    weighted = get_head(spec).fit(X, y, sample_weight=times.astype(float)).predict_proba(X)
    repeated = get_head(spec).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    np.testing.assert_allclose(weighted, repeated.predict_proba(X), atol=2e-3)


@head_checks
def larger_class_weight_makes_a_class_more_frequent(spec: str) -> None:
    X, y = example_rows(60, 4, 2, spread=3.0)
    heavy = {"class 000": 50.0, "class 001": 1.0}
    plain = (get_head(spec).fit(X, y).predict(X) == "class 000").sum()
    often = (get_head(spec, class_weight=heavy).fit(X, y).predict(X) == "class 000").sum()
    assert often > plain, "class_weight has no effect"


@head_checks
def negative_weights_are_refused(spec: str) -> None:
    X, y = example_rows(6, 4, 2)
    message = (
        "the weight of row 2 is -1: give a finite number of at least 0; "
        "leave out rows that should not count."
    )
    with raising(LabelError, message):
        get_head(spec).fit(X, y, sample_weight=[1, 1, -1, 1, 1, 1])


@head_checks
def first_partial_fit_equals_fit(spec: str) -> None:
    X, y = example_rows(40, 6, 3)
    part = _incremental(spec).partial_fit(X, y).predict_proba(X)
    np.testing.assert_allclose(part, get_head(spec).fit(X, y).predict_proba(X), atol=1e-3)


@head_checks
def partial_fit_accepts_new_classes(spec: str) -> None:
    X, y = example_rows(90, 24, 3)
    head = _incremental(spec)
    if not getattr(head, "accepts_new_classes", False):
        raise NotApplicable("accepts_new_classes is not True")
    head.partial_fit(X[y == "class 001"], y[y == "class 001"])
    assert head.predict_proba(X).tolist() == [[1.0]] * 90
    head.partial_fit(X, y)
    assert head.classes_.tolist() == ["class 000", "class 001", "class 002"]
    for _ in range(5):
        head.partial_fit(X, y)
    assert (head.predict(X) == y).mean() > 0.95


@head_checks
def exact_head_from_batches_equals_fit(spec: str) -> None:
    X, y = example_rows(90, 8, 3, spread=1.5)
    head = _incremental(spec)
    if not getattr(head, "exact_on_streams", False):
        raise NotApplicable("exact_on_streams is not True")
    order = np.random.default_rng(1).permutation(90)
    for part in np.split(order, [7, 40]):
        head.partial_fit(X[part], y[part], classes=np.unique(y))
    expected = get_head(spec).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(head.predict_proba(X), expected, atol=1e-4)


@head_checks
def partial_fit_is_deterministic(spec: str) -> None:
    X, y = example_rows(60, 8, 3)
    first, second = (
        _incremental(spec).partial_fit(X[:30], y[:30]).partial_fit(X[30:], y[30:]).predict_proba(X)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


@head_checks
def declared_classes_exist_before_their_rows(spec: str) -> None:
    X, y = example_rows(40, 6, 2)
    head = _incremental(spec).partial_fit(X, y, classes=["class 000", "class 001", "other"])
    assert head.classes_.tolist() == ["class 000", "class 001", "other"]
    assert head.predict_proba(X).shape == (40, 3)
    assert "other" not in head.predict(X)


_DAMAGED = "row {} of X holds NaN or infinity{}: embed the item again or leave it out."


@head_checks
def partial_fit_refuses_nan_with_the_row(spec: str) -> None:
    X, y = example_rows(20, 4, 2)
    head = _incremental(spec).partial_fit(X, y)
    X[3, 1] = np.nan
    with raising(LabelError, _DAMAGED.format(3, "")):
        head.partial_fit(X, y)


@head_checks
def warm_start_is_as_accurate_as_a_new_fit(spec: str) -> None:
    X, y = example_rows(120, 16, 4, spread=0.8)
    head = _warm(spec).fit(X[:30], y[:30])
    head.fit(X[:60], y[:60])
    cold = get_head(spec).fit(X[:60], y[:60])
    assert head.score(X[60:], y[60:]) > cold.score(X[60:], y[60:]) - 0.1


@head_checks
def warm_start_accepts_other_classes(spec: str) -> None:
    X, y = example_rows(60, 16, 4)
    head = _warm(spec).fit(X[y <= "class 001"], y[y <= "class 001"])
    head.fit(X, y)
    assert head.classes_.tolist() == np.unique(y).tolist()
    assert (head.predict(X) == y).mean() > 0.95
    head.fit(X[y >= "class 001"], y[y >= "class 001"])
    assert head.classes_.tolist() == ["class 001", "class 002", "class 003"]
    assert (head.predict(X[y >= "class 001"]) == y[y >= "class 001"]).mean() > 0.95


@head_checks
def cross_validated_accuracy_is_near_the_test_accuracy(spec: str) -> None:
    X, y = example_rows(600, 8, 3, spread=1.2)
    head = get_head(spec).fit(X[:100], y[:100])
    if getattr(head, "cv_accuracy_", None) is None:
        raise NotApplicable("the head has no cv_accuracy_")
    assert head.cv_n_ == 100
    assert abs(head.cv_accuracy_ - head.score(X[100:], y[100:])) < 0.12
    assert 0.0 <= head.cv_ece_ < 0.2


@head_checks
def cross_validated_accuracy_is_none_with_one_label_per_class(spec: str) -> None:
    X, y = example_rows(3, 8, 3)
    for labels in (y, ["hat"] * 3):
        head = get_head(spec).fit(X, labels)
        known = [getattr(head, name, None) for name in ("cv_accuracy_", "cv_ece_", "cv_n_")]
        assert not any(known), "the head has an accuracy with one label for each class"


@head_checks
def mean_confidence_is_near_the_accuracy(spec: str) -> None:
    X, y = example_rows(900, 8, 3, spread=1.5)
    head = get_head(spec).fit(X[:150], y[:150])
    confidence = head.predict_proba(X[150:]).max(axis=1).mean()
    accuracy = head.score(X[150:], y[150:])
    assert abs(confidence - accuracy) < 0.1, f"confidence {confidence:.2f}, accuracy {accuracy:.2f}"


@head_checks
def fit_refuses_nan_and_infinity_with_the_row(spec: str) -> None:
    for bad in (np.nan, np.inf, -np.inf):
        X, y = example_rows(20, 4, 2)
        X[7, 2] = X[11, 0] = bad
        with raising(LabelError, _DAMAGED.format(7, " (2 such rows here)")):
            get_head(spec).fit(X, y)


@head_checks
def predict_refuses_nan_with_the_row(spec: str) -> None:
    X, y = example_rows(9000, 4, 2)
    head = get_head(spec).fit(X[:20], y[:20])
    X[8500, 1] = np.nan
    with raising(LabelError, _DAMAGED.format(8500, "")):
        head.predict(X)


@head_checks
def empty_input_is_refused(spec: str) -> None:
    with raising(LabelError, "there are no labelled rows: give at least one."):
        get_head(spec).fit(np.empty((0, 4), dtype=np.float32), [])


@head_checks
def different_lengths_are_refused(spec: str) -> None:
    X, y = example_rows(20, 4, 2)
    with raising(LabelError, "20 rows but 19 labels: give one for each row."):
        get_head(spec).fit(X, y[:19])


def _survives_a_file(spec: str, labels: NDArray[Any], X: NDArray[np.float32]) -> None:
    head = get_head(spec).fit(X, labels)
    metadata = {"spec_id": "ab12", "classes": ["é", '"'], "dim": 8}
    with tempfile.TemporaryDirectory() as folder:
        path = save_head(head, Path(folder) / "head.safetensors", metadata=metadata)
        again, read = load_head(path)
    assert type(again) is type(head)
    assert read == metadata
    assert again.get_params() == head.get_params()
    np.testing.assert_array_equal(again.predict_proba(X), head.predict_proba(X))
    np.testing.assert_array_equal(again.predict(X), head.predict(X))
    assert again.classes_.dtype.kind == head.classes_.dtype.kind
    for attribute, value in vars(head).items():
        if attribute.startswith("_"):  # not saved
            continue
        np.testing.assert_array_equal(getattr(again, attribute), value)


@head_checks
def saved_head_with_string_labels_is_unchanged(spec: str) -> None:
    for n_classes in (1, 2, 5):
        X, y = example_rows(40, 8, n_classes)
        _survives_a_file(spec, y, X)


@head_checks
def saved_head_with_integer_labels_is_unchanged(spec: str) -> None:
    for n_classes in (1, 2, 5):
        X, y = example_rows(40, 8, n_classes)
        _survives_a_file(spec, np.array([int(label[-3:]) for label in y]), X)


@head_checks
def class_weight_is_saved(spec: str) -> None:
    X, y = example_rows(24, 4, 12)
    labels = np.array([int(label[-3:]) for label in y])
    weights = {label: 1.0 + label for label in range(12)}
    head = get_head(spec, class_weight=weights).fit(X, labels)
    expected = head.predict_proba(X)
    with tempfile.TemporaryDirectory() as folder:
        again, _ = load_head(save_head(head, Path(folder) / "head"))
    np.testing.assert_array_equal(again.predict_proba(X), expected)
    np.testing.assert_allclose(again.fit(X, labels).predict_proba(X), expected, atol=1e-5)


@head_checks
def ordinary_use_raises_no_warnings(spec: str) -> None:
    X, y = example_rows(60, 30, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        get_head(spec).fit(X, y).predict(X)
