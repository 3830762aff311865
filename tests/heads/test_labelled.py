"""Labelled rows in a fixed order, and their weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from embedpipe.errors import LabelError, UsageError
from embedpipe.heads import RidgeHead
from embedpipe.heads._labelled import read_labelled, row_weights

CLASSES, CODES = np.array(["hat", "shoe", "skirt"]), np.array([0, 2, 0, 1, 0, 2])


def test_rows_of_weight_zero_are_left_out_with_their_class():
    X = np.array([[1.0], [2.0], [1.0], [3.0]])
    head = RidgeHead(normalize=False)
    found = read_labelled(head, X, ["b", "a", "b", "c"], [0.5, 0.0, 2.0, 1.0], reset=True)
    assert found.classes.tolist() == ["b", "c"]
    assert found.rows.tolist() == [[1.0], [3.0]]
    assert found.codes.tolist() == [0, 1]
    assert found.weights.tolist() == [2.5, 1.0]
    assert found.labels.tolist() == ["b", "c"]


def test_equal_labelled_sets_give_equal_arrays():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 4)).astype(np.float32), rng.integers(3, size=50)
    X[7], y[7] = X[3], y[3]
    order = rng.permutation(50)
    first = read_labelled(RidgeHead(), X, y, None, reset=True)
    second = read_labelled(RidgeHead(), X[order], y[order], None, reset=True)
    assert len(first.rows) == 49
    assert first.weights.max() == 2.0
    for name in ("classes", "rows", "codes", "weights", "digests"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("class_weight", ["balanced", {"hat": 2.0, "skirt": 0.5}, {}])
@pytest.mark.parametrize("sample_weight", [None, [1.0, 0.0, 3.0, 2.0, 1.0, 0.25]])
def test_weights_equal_scikit_learn(class_weight, sample_weight):
    found = row_weights(CLASSES, CODES, class_weight, sample_weight)
    by_class = compute_class_weight(
        class_weight, classes=CLASSES, y=CLASSES[CODES], sample_weight=sample_weight
    )
    expected = by_class[CODES] * (1.0 if sample_weight is None else np.array(sample_weight))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_balanced_classes_worked_out_by_hand():
    # 6 rows, 3 classes with 3, 1 and 2 rows: 6 / (3 * 3), 6 / (3 * 1), 6 / (3 * 2).
    found = row_weights(CLASSES, CODES, "balanced")
    np.testing.assert_allclose(found, [2 / 3, 1.0, 2 / 3, 2.0, 2 / 3, 1.0], rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(0, 99))
def test_balanced_classes_have_the_same_total_weight(labels, seed):
    classes, codes = np.unique(labels, return_inverse=True)
    rows = np.random.default_rng(seed).uniform(0.1, 3.0, size=len(codes))
    totals = np.bincount(codes, row_weights(classes, codes, "balanced", rows))
    np.testing.assert_allclose(totals, rows.sum() / len(classes), rtol=1e-9)


def test_a_class_of_weight_zero_is_ignored():
    found = row_weights(CLASSES, CODES, "balanced", [1, 0, 1, 1, 1, 0])
    np.testing.assert_allclose(found, [2 / 3, 0.0, 2 / 3, 2.0, 2 / 3, 0.0])


def test_no_weights_are_none():
    assert row_weights(CLASSES, CODES) is None


def test_one_number_applies_to_every_row():
    assert row_weights(CLASSES, CODES, None, 2).tolist() == [2.0] * 6


def test_string_keys_match_integer_labels():
    classes, codes = np.array([3, 7]), np.array([0, 1])
    assert row_weights(classes, codes, {"7": 4}).tolist() == [1.0, 4.0]
    assert row_weights(classes, codes, {7: 4}).tolist() == [1.0, 4.0]


def test_classes_that_are_not_labelled_yet_may_have_weights():
    weights = {"hat": 1.0, "shoe": 2.0, "skirt": 3.0, "dress": 4.0}
    assert row_weights(CLASSES, CODES, weights).tolist() == [1.0, 3.0, 1.0, 2.0, 1.0, 3.0]


def test_a_misspelt_class_is_refused():
    with pytest.raises(UsageError) as error:
        row_weights(CLASSES, CODES, {"hat": 1.0, "shoo": 2.0, "skirt": 1.0})
    assert str(error.value) == (
        "class_weight has 'shoo', which is not a label, and omits 'shoe', which is a "
        "label. Labels: 'hat', 'shoe', 'skirt'."
    )


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({"hat": -1.0}, "the weight of class 'hat' is -1.0: give a finite number of at least 0."),
        ({"hat": True}, "the weight of class 'hat' is True: give a finite number of at least 0."),
        (
            {"hat": float("inf")},
            "the weight of class 'hat' is inf: give a finite number of at least 0.",
        ),
        (
            "even",
            "class_weight must be None, 'balanced' or weights by label such as {'hat': 2.0}, "
            "not 'even'.",
        ),
        (
            [1.0, 2.0, 3.0],
            "class_weight must be None, 'balanced' or weights by label such as {'hat': 2.0}, "
            "not [1.0, 2.0, 3.0].",
        ),
    ],
)
def test_invalid_class_weights_are_refused(class_weight, message):
    with pytest.raises(UsageError) as error:
        row_weights(CLASSES, CODES, class_weight)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("sample_weight", "message"),
    [
        ([1.0] * 5, "6 rows but 5 sample weights: give one for each row."),
        (
            [[1.0, 1.0]] * 3,
            "sample_weight has the shape (3, 2): give one number for each row.",
        ),
        (
            [1, 1, -0.5, 1, 1, 1],
            "the weight of row 2 is -0.5: give a finite number of at least 0; leave out rows "
            "that should not count.",
        ),
        (
            [1, 1, 1, float("nan"), 1, 1],
            "the weight of row 3 is nan: give a finite number of at least 0; leave out rows "
            "that should not count.",
        ),
        ([0] * 6, "the weight of every row is zero: give at least one positive weight."),
        ("much", "sample_weight must be 6 numbers, not 'much'."),
    ],
)
def test_invalid_sample_weights_are_refused(sample_weight, message):
    with pytest.raises(LabelError) as error:
        row_weights(CLASSES, CODES, None, sample_weight)
    assert str(error.value) == message


def test_class_weights_of_zero_for_all_are_refused():
    with pytest.raises(LabelError) as error:
        row_weights(CLASSES, CODES, {"hat": 0, "shoe": 0, "skirt": 0})
    assert str(error.value) == "the weight of every row is zero: give at least one positive weight."
