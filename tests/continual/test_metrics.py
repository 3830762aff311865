"""Metrics of an accuracy matrix, by hand and compared with plain code."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.continual.metrics import METRICS, continual_metrics
from embedpipe.errors import UnknownNameError, UsageError

R = np.array(
    [
        [0.80, 0.60, 0.50, 0.40],
        [0.70, 0.90, 0.65, 0.55],
        [0.75, 0.80, 0.85, 0.60],
        [0.50, 0.70, 0.95, 0.90],
    ]
)
FLOOR = np.array([0.10, 0.20, 0.25, 0.30])

BY_HAND = {
    "clear_in_domain": (0.80 + 0.90 + 0.85 + 0.90) / 4,
    "clear_next_domain": (0.60 + 0.65 + 0.60) / 3,
    "clear_accuracy": ((0.80) + (0.70 + 0.90) + (0.75 + 0.80 + 0.85) + (0.50 + 0.70 + 0.95 + 0.90))
    / 10,
    "clear_backward": (0.70 + (0.75 + 0.80) + (0.50 + 0.70 + 0.95)) / 6,
    "clear_forward": ((0.60 + 0.50 + 0.40) + (0.65 + 0.55) + 0.60) / 6,
    "gem_accuracy": (0.50 + 0.70 + 0.95 + 0.90) / 4,
    "gem_bwt": ((0.50 - 0.80) + (0.70 - 0.90) + (0.95 - 0.85)) / 3,
    "gem_fwt": ((0.60 - 0.20) + (0.65 - 0.25) + (0.60 - 0.30)) / 3,
    "avalanche_bwt": ((0.50 - 0.80) + (0.70 - 0.90) + (0.95 - 0.85)) / 3,
    "avalanche_fwt": ((0.60 - 0.20) + (0.65 - 0.25) + (0.60 - 0.30)) / 3,
    "forgetting_last": ((0.80 - 0.50) + (0.90 - 0.70) + (0.85 - 0.95)) / 3,
    "forgetting_max": ((0.80 - 0.50) + (0.90 - 0.70) + (0.85 - 0.95)) / 3,
}
"""The numbers: 0.8625, 0.6167, 0.785, 0.7333, 0.55, 0.7625, -0.1333, 0.3667, ..., 0.1333."""


def near(found, expected):
    assert list(found) == list(expected) == list(METRICS)
    for name, value in expected.items():
        assert type(found[name]) is float
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-12, err_msg=name)


def test_a_matrix_by_hand():
    near(continual_metrics(R, floor=FLOOR), BY_HAND)
    rounded = {name: round(value, 4) for name, value in BY_HAND.items()}
    assert rounded == {
        "clear_in_domain": 0.8625,
        "clear_next_domain": 0.6167,
        "clear_accuracy": 0.785,
        "clear_backward": 0.7333,
        "clear_forward": 0.55,
        "gem_accuracy": 0.7625,
        "gem_bwt": -0.1333,
        "gem_fwt": 0.3667,
        "avalanche_bwt": -0.1333,
        "avalanche_fwt": 0.3667,
        "forgetting_last": 0.1333,
        "forgetting_max": 0.1333,
    }


def test_the_best_accuracy_may_be_a_later_one():
    """Experience 0 is best after experience 1, and experience 1 before it is learned."""
    found = continual_metrics([[0.5, 0.9, 0.1], [0.8, 0.6, 0.2], [0.6, 0.7, 0.9]])
    assert found["forgetting_last"] == pytest.approx(((0.5 - 0.6) + (0.6 - 0.7)) / 2)
    assert found["forgetting_max"] == pytest.approx(((0.8 - 0.6) + (0.9 - 0.7)) / 2)


def test_the_last_row_is_not_part_of_the_best():
    """An experience that is best at the end has negative forgetting."""
    found = continual_metrics([[0.5, 0.1], [0.7, 0.9]])
    assert found["forgetting_max"] == pytest.approx(-0.2)


def clear(matrix):
    """Return CLEAR's means, cell by cell."""
    T = len(matrix)
    cells = [(i, j) for i in range(T) for j in range(T)]
    regions = {
        "clear_in_domain": [(i, j) for i, j in cells if i == j],
        "clear_next_domain": [(i, j) for i, j in cells if j == i + 1],
        "clear_accuracy": [(i, j) for i, j in cells if i >= j],
        "clear_backward": [(i, j) for i, j in cells if i > j],
        "clear_forward": [(i, j) for i, j in cells if i < j],
    }
    return {
        name: sum(matrix[i, j] for i, j in region) / len(region) if region else math.nan
        for name, region in regions.items()
    }


def gem(matrix, floor):
    """Return the metrics of GEM as in the paper, with tasks from 1 to T."""
    T = len(matrix)

    def accuracy(i, j):
        return matrix[i - 1, j - 1]

    b = {i: floor[i - 1] for i in range(1, T + 1)}
    return {
        "gem_accuracy": 1 / T * sum(accuracy(T, i) for i in range(1, T + 1)),
        "gem_bwt": 1 / (T - 1) * sum(accuracy(T, i) - accuracy(i, i) for i in range(1, T)),
        "gem_fwt": 1 / (T - 1) * sum(accuracy(i - 1, i) - b[i] for i in range(2, T + 1)),
    }


def avalanche(matrix, floor):
    """Run a stream through code like the plugins of Avalanche; return their final values.

    All experiences are evaluated once before training and after each training. Of each the
    accuracy is remembered when it is the one just trained (its first) and when it is another (its
    last, forgotten at the beginning of every evaluation); and, for forward transfer, when it is
    the next to be trained. An experience counts once both of its values are known.
    """
    initial = dict(enumerate(floor))
    first, before = {}, {}
    for trained, row in enumerate(matrix):
        last = {}
        for evaluated, accuracy in enumerate(row):
            if evaluated == trained:
                first[evaluated] = accuracy
            else:
                last[evaluated] = accuracy
            if evaluated == trained + 1:
                before[evaluated] = accuracy
    forgetting = [first[k] - last[k] for k in first if k in last]
    transfer = [before[k] - initial[k] for k in before]
    return {
        "avalanche_bwt": -sum(forgetting) / len(forgetting),
        "avalanche_fwt": sum(transfer) / len(transfer),
        "forgetting_last": sum(forgetting) / len(forgetting),
    }


def chaudhry(matrix):
    """Return the mean over earlier tasks of the best accuracy minus the current one."""
    T = len(matrix)
    lost = [
        max(matrix[earlier, j] for earlier in range(T - 1)) - matrix[T - 1, j] for j in range(T - 1)
    ]
    return {"forgetting_max": sum(lost) / len(lost)}


@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_the_formulas_of_each_school(T, seed):
    rng = np.random.default_rng(seed)
    matrix, floor = rng.random((T, T)), rng.random(T)
    expected = {
        **clear(matrix),
        **gem(matrix, floor),
        **avalanche(matrix, floor),
        **chaudhry(matrix),
    }
    near(continual_metrics(matrix, floor=floor), {name: expected[name] for name in METRICS})


def needed(T):
    """Return the cells that each metric needs."""
    every = {(i, j) for i in range(T) for j in range(T)}
    own = {(j, j) for j in range(T - 1)}
    last = {(T - 1, j) for j in range(T - 1)}
    following = {(j - 1, j) for j in range(1, T)}
    return {
        "clear_in_domain": own | {(T - 1, T - 1)},
        "clear_next_domain": following,
        "clear_accuracy": {(i, j) for i, j in every if i >= j},
        "clear_backward": {(i, j) for i, j in every if i > j},
        "clear_forward": {(i, j) for i, j in every if i < j},
        "gem_accuracy": last | {(T - 1, T - 1)},
        "gem_bwt": own | last,
        "gem_fwt": following,
        "avalanche_bwt": own | last,
        "avalanche_fwt": following,
        "forgetting_last": own | last,
        "forgetting_max": {(i, j) for i, j in every if j < T - 1},
    }


@pytest.mark.parametrize("cell", [(i, j) for i in range(4) for j in range(4)])
def test_a_mean_with_a_missing_cell_is_nan(cell):
    matrix = R.copy()
    matrix[cell] = np.nan
    found = continual_metrics(matrix, floor=FLOOR)
    for name, cells in needed(4).items():
        if cell in cells:
            assert math.isnan(found[name]), name
        else:
            assert found[name] == pytest.approx(BY_HAND[name]), name


@pytest.mark.parametrize("at", range(4))
def test_a_missing_floor_changes_only_forward_transfer(at):
    floor = FLOOR.copy()
    floor[at] = np.nan
    found = continual_metrics(R, floor=floor)
    for name, value in found.items():
        undefined = at > 0 and name in ("gem_fwt", "avalanche_fwt")
        assert math.isnan(value) == undefined, name


def test_without_a_floor_there_is_no_forward_transfer():
    found = continual_metrics(R)
    assert {name for name, value in found.items() if math.isnan(value)} == {
        "gem_fwt",
        "avalanche_fwt",
    }


@pytest.mark.parametrize("below", [np.nan, 0.5])
def test_in_the_streaming_protocol_only_the_future_is_defined(below):
    matrix = R.copy()
    matrix[np.tril_indices(4)] = below
    found = continual_metrics(matrix, protocol="streaming", floor=FLOOR)
    defined = {"clear_next_domain", "clear_forward", "gem_fwt", "avalanche_fwt"}
    for name, value in found.items():
        if name in defined:
            assert value == pytest.approx(BY_HAND[name]), name
        else:
            assert math.isnan(value), name


def test_a_last_experience_that_is_never_learned_is_not_needed_in_the_streaming_protocol():
    matrix = R.copy()
    matrix[3] = np.nan
    found = continual_metrics(matrix, protocol="streaming", floor=FLOOR)
    assert found["clear_forward"] == pytest.approx(0.55)


def test_a_single_experience_has_neither_past_nor_future():
    found = continual_metrics([[0.75]], floor=[0.5])
    known = {name: value for name, value in found.items() if not math.isnan(value)}
    assert known == {"clear_in_domain": 0.75, "clear_accuracy": 0.75, "gem_accuracy": 0.75}


def test_inputs_are_not_changed():
    matrix, floor = R.copy(), FLOOR.copy()
    continual_metrics(matrix, protocol="streaming", floor=floor)
    np.testing.assert_array_equal(matrix, R)
    np.testing.assert_array_equal(floor, FLOOR)


def test_every_metric_has_a_one_line_definition():
    for name, meaning in METRICS.items():
        assert ": mean of " in meaning, name
        assert "\n" not in meaning


@pytest.mark.parametrize(
    ("matrix", "options", "error", "message"),
    [
        (
            np.ones((2, 3)),
            {},
            UsageError,
            "the accuracy matrix has shape (2, 3): give one row and one column for each "
            "experience.",
        ),
        (
            np.ones((0, 0)),
            {},
            UsageError,
            "the accuracy matrix has shape (0, 0): give one row and one column for each "
            "experience.",
        ),
        (
            [[0.5, np.inf], [0.5, 0.5]],
            {},
            UsageError,
            "the accuracy matrix holds infinity: give NaN where it is undefined.",
        ),
        (
            R,
            {"floor": [0.5, 0.5]},
            UsageError,
            "floor is [0.5, 0.5]: give the accuracy of an untrained head on each of the 4 "
            "experiences.",
        ),
        (
            R,
            {"protocol": "stream"},
            UnknownNameError,
            "unknown protocol 'stream'. Did you mean 'streaming'? Known: iid, streaming.",
        ),
    ],
)
def test_an_invalid_accuracy_matrix_is_refused(matrix, options, error, message):
    with pytest.raises(error) as caught:
        continual_metrics(matrix, **options)
    assert str(caught.value) == message
