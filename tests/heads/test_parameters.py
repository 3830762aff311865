"""Weights of rows: scikit-learn's values, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from embedpipe.errors import LabelError, UsageError
from embedpipe.heads._labelled import row_weights

CLASSES, CODES = np.array(["hat", "shoe", "skirt"]), np.array([0, 2, 0, 1, 0, 2])


@pytest.mark.parametrize("class_weight", ["balanced", {"hat": 2.0, "skirt": 0.5}, {}])
@pytest.mark.parametrize("sample_weight", [None, [1.0, 0.0, 3.0, 2.0, 1.0, 0.25]])
def test_they_are_scikit_learns(class_weight, sample_weight):
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
def test_balanced_classes_count_the_same_in_all(labels, seed):
    classes, codes = np.unique(labels, return_inverse=True)
    rows = np.random.default_rng(seed).uniform(0.1, 3.0, size=len(codes))
    totals = np.bincount(codes, row_weights(classes, codes, "balanced", rows))
    np.testing.assert_allclose(totals, rows.sum() / len(classes), rtol=1e-9)


def test_a_class_of_weight_zero_takes_no_share():
    found = row_weights(CLASSES, CODES, "balanced", [1, 0, 1, 1, 1, 0])
    np.testing.assert_allclose(found, [2 / 3, 0.0, 2 / 3, 2.0, 2 / 3, 0.0])


def test_nothing_asked_for():
    assert row_weights(CLASSES, CODES) is None


def test_one_number_for_every_row():
    assert row_weights(CLASSES, CODES, None, 2).tolist() == [2.0] * 6


def test_texts_stand_for_numbers_as_in_json():
    classes, codes = np.array([3, 7]), np.array([0, 1])
    assert row_weights(classes, codes, {"7": 4}).tolist() == [1.0, 4.0]
    assert row_weights(classes, codes, {7: 4}).tolist() == [1.0, 4.0]


def test_classes_that_are_not_labelled_yet_may_have_weights():
    weights = {"hat": 1.0, "shoe": 2.0, "skirt": 3.0, "dress": 4.0}
    assert row_weights(CLASSES, CODES, weights).tolist() == [1.0, 3.0, 1.0, 2.0, 1.0, 3.0]


def test_a_class_that_is_misspelt():
    with pytest.raises(UsageError) as error:
        row_weights(CLASSES, CODES, {"hat": 1.0, "shoo": 2.0, "skirt": 1.0})
    assert str(error.value) == (
        "class_weight has 'shoo', which is not a label, and omits 'shoe', which is. "
        "Labels: 'hat', 'shoe', 'skirt'."
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
def test_class_weights_without_meaning(class_weight, message):
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
        ([0] * 6, "the weight of every row is 0: give at least one a positive weight."),
        ("much", "sample_weight must be 6 numbers, not 'much'."),
    ],
)
def test_sample_weights_without_meaning(sample_weight, message):
    with pytest.raises(LabelError) as error:
        row_weights(CLASSES, CODES, None, sample_weight)
    assert str(error.value) == message


def test_classes_that_leave_nothing():
    with pytest.raises(LabelError) as error:
        row_weights(CLASSES, CODES, {"hat": 0, "shoe": 0, "skirt": 0})
    assert str(error.value) == "the weight of every row is 0: give at least one a positive weight."
