"""Statistics of one curve, with values calculated by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.active import area_under_budget_curve
from embedpipe.errors import UsageError
from embedpipe.experiments.statistics import (
    Reached,
    accuracy_at,
    area,
    gap_closed,
    labels_to_target,
)

LABELS = [50, 100, 150, 250]
DIPS = [0.60, 0.80, 0.70, 0.90]


def test_the_area_is_the_sum_of_trapezoids_divided_by_the_width():
    assert area(LABELS, DIPS) == pytest.approx((50 * 0.70 + 50 * 0.75 + 100 * 0.80) / 200)
    assert area(LABELS, DIPS) == area_under_budget_curve(LABELS, DIPS)
    assert area([50], [0.6]) == 0.6


@pytest.mark.parametrize(
    ("budget", "expected"), [(50, 0.60), (75, 0.70), (150, 0.70), (200, 0.80), (250, 0.90)]
)
def test_accuracies_are_interpolated_between_rounds(budget, expected):
    assert accuracy_at(LABELS, DIPS, budget) == pytest.approx(expected)


def test_nothing_is_extrapolated():
    assert np.isnan(accuracy_at(LABELS, DIPS, 49.9))
    assert np.isnan(accuracy_at(LABELS, DIPS, 250.1))


@pytest.mark.parametrize(
    ("target", "sustained", "expected"),
    [
        (0.75, True, Reached(175.0)),  # a quarter of the distance from 0.70 at 150 to 0.90 at 250
        (0.75, False, Reached(87.5)),  # three quarters of the distance from 50 to 100
        (0.65, True, Reached(62.5)),  # the dip stays above it
        (0.65, False, Reached(62.5)),
        (0.80, False, Reached(100.0)),
        (0.80, True, Reached(200.0)),
        (0.90, True, Reached(250.0)),
        (0.91, True, Reached(None, 250)),
        (0.91, False, Reached(None, 250)),
        (0.60, True, Reached(50.0, at_most=True)),
        (0.10, False, Reached(50.0, at_most=True)),
    ],
)
def test_labels_to_a_target(target, sustained, expected):
    assert labels_to_target(LABELS, DIPS, target, sustained=sustained) == expected


def test_a_curve_that_ends_below_the_target_is_censored():
    ends_low = [0.6, 0.8, 0.9, 0.7]
    assert labels_to_target(LABELS, ends_low, 0.75) == Reached(None, 250)
    assert labels_to_target(LABELS, ends_low, 0.75, sustained=False) == Reached(87.5)
    starts_high = [0.8, 0.7, 0.6, 0.6]
    assert labels_to_target(LABELS, starts_high, 0.75) == Reached(None, 250)
    assert labels_to_target(LABELS, starts_high, 0.75, sustained=False).at_most


@settings(max_examples=60, deadline=None)
@given(
    accuracy=st.lists(st.sampled_from([0.5, 0.6, 0.7, 0.8]), min_size=1, max_size=6),
    target=st.sampled_from([0.45, 0.5, 0.55, 0.6, 0.7, 0.75, 0.8, 0.85]),
)
def test_after_the_labels_to_target_the_curve_is_at_least_the_target(accuracy, target):
    labelled = [20 * (i + 1) for i in range(len(accuracy))]
    found = labels_to_target(labelled, accuracy, target)
    fine = np.linspace(labelled[0], labelled[-1], 101)
    values = np.array([accuracy_at(labelled, accuracy, budget) for budget in fine])
    if found.labels is None:
        assert accuracy[-1] < target and found.censored_at == labelled[-1]
    else:
        assert (values[fine >= found.labels] >= target - 1e-9).all()
        assert found.at_most or accuracy_at(labelled, accuracy, found.labels) == pytest.approx(
            target
        )
    first = labels_to_target(labelled, accuracy, target, sustained=False)
    if first.labels is not None:
        assert (values[fine < first.labels] < target).all()
        assert found.labels is None or first.labels <= found.labels


def test_the_gap_closed_is_in_percent():
    assert gap_closed(0.88, lower=0.80, upper=0.90) == 80.0
    assert gap_closed(0.78, lower=0.80, upper=0.90) == -20.0
    assert gap_closed(0.92, lower=0.80, upper=0.90) == 120.0
    assert np.isnan(gap_closed(0.9, lower=0.9, upper=0.9))
    assert np.isnan(gap_closed(0.9, lower=0.9, upper=0.8))
    assert np.isnan(gap_closed(0.9, lower=float("nan"), upper=0.8))


@pytest.mark.parametrize(
    ("labelled", "accuracy", "message"),
    [
        (
            [1, 2],
            [0.5],
            "labelled has the shape (2,) and accuracy (1,): give one accuracy for each number of "
            "labels, at least one.",
        ),
        (
            [],
            [],
            "labelled has the shape (0,) and accuracy (0,): give one accuracy for each number of "
            "labels, at least one.",
        ),
        (
            [50, 50, 100],
            [0.5, 0.6, 0.7],
            "labelled is [50, 50, 100]: the numbers of labels must ascend, without repetition.",
        ),
        (
            [50, 100],
            [0.5, None],
            "accuracy[1] is nan: a curve needs a finite accuracy in every round. Leave out rounds "
            "without an accuracy.",
        ),
    ],
)
@pytest.mark.parametrize("function", [area, accuracy_at, labels_to_target])
def test_arrays_that_are_not_a_curve_raise_an_error(labelled, accuracy, message, function):
    with pytest.raises(UsageError) as caught:
        function(labelled, accuracy, *([] if function is area else [0.5]))
    assert str(caught.value) == message


def test_a_target_of_nan_raises_an_error():
    with pytest.raises(UsageError) as caught:
        labels_to_target(LABELS, DIPS, float("nan"))
    assert str(caught.value) == "the target is nan: give an accuracy, such as 0.85."


def test_a_seed_is_either_censored_or_not():
    with pytest.raises(UsageError) as caught:
        Reached(None)
    assert str(caught.value) == ("labels=None and censored_at=None: give exactly one of them.")
