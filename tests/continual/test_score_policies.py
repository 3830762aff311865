"""Replay policies by hardness."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.continual.memory import ExperienceBatch, Fixed, Memory, Share
from embedpipe.continual.policy import get_policy
from embedpipe.continual.score_policies import EL2N, TAKES, Entropy, Margin
from embedpipe.errors import UsageError

# Predictions for five rows of three classes, and the true classes: confident and correct, confident
# and wrong, equal for two classes, uncertain, correct by a small margin.
PREDICTIONS = np.array(
    [[0.8, 0.1, 0.1], [0.9, 0.05, 0.05], [0.0, 0.5, 0.5], [0.25, 0.25, 0.5], [0.4, 0.35, 0.25]]
)
CODES = np.array([0, 2, 1, 0, 0])


def keep(policy, probabilities, codes, size, rows=None):
    """Return the kept rows of one experience, the best first."""
    rows = np.arange(len(codes)) if rows is None else np.asarray(rows)
    seen = ExperienceBatch(
        0, rows, codes, np.zeros((len(rows), 1), np.float32), lambda: probabilities, len(rows)
    )
    made = get_policy(policy) if isinstance(policy, str) else policy
    kept = made.update(Memory.empty(), seen, size, np.random.default_rng(0))
    return kept.rows[np.argsort(kept.keys)].tolist()


def by_confidence(confidences):
    """Return predictions of class 0 with decreasing confidence."""
    p = np.asarray(confidences, dtype=np.float64)
    return np.column_stack([p, 1 - p]), np.zeros(len(p), dtype=np.int64)


def test_el2n_is_the_norm_of_the_error():
    expected = [
        math.sqrt(0.04 + 0.01 + 0.01),
        math.sqrt(0.81 + 0.0025 + 0.9025),
        math.sqrt(0 + 0.25 + 0.25),
        math.sqrt(0.5625 + 0.0625 + 0.25),
        math.sqrt(0.36 + 0.1225 + 0.0625),
    ]
    np.testing.assert_allclose(EL2N().hardness(PREDICTIONS, CODES), expected, rtol=1e-14)
    assert keep("el2n", PREDICTIONS, CODES, Fixed(5)) == [1, 3, 4, 2, 0]


def test_entropy_is_shannon_entropy_in_nats():
    expected = [
        -(0.8 * math.log(0.8) + 0.2 * math.log(0.1)),
        -(0.9 * math.log(0.9) + 0.1 * math.log(0.05)),
        math.log(2),
        1.5 * math.log(2),
        -(0.4 * math.log(0.4) + 0.35 * math.log(0.35) + 0.25 * math.log(0.25)),
    ]
    np.testing.assert_allclose(Entropy().hardness(PREDICTIONS, CODES), expected, rtol=1e-14)
    assert keep("entropy", PREDICTIONS, CODES, Fixed(5)) == [4, 3, 2, 0, 1]


def test_margin_hardness_is_minus_the_margin():
    expected = [math.log(1 / 8), math.log(18), 0.0, math.log(2), math.log(0.35 / 0.4)]
    np.testing.assert_allclose(
        Margin().hardness(PREDICTIONS, CODES), expected, rtol=1e-14, atol=1e-15
    )
    assert keep("margin", PREDICTIONS, CODES, Fixed(5)) == [1, 3, 2, 4, 0]


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_a_margin_is_a_difference_of_logits(seed, classes):
    rng = np.random.default_rng(seed)
    logits, codes = rng.standard_normal((7, classes)) * 5, rng.integers(0, classes, 7)
    predictions = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = [
        max(row[k] for k in range(classes) if k != code) - row[code]
        for row, code in zip(logits, codes, strict=True)
    ]
    np.testing.assert_allclose(Margin().hardness(predictions, codes), expected, atol=1e-9)


def test_certain_predictions_have_infinite_hardness():
    certain = np.array([[1.0, 0, 0], [0, 1.0, 0], [0.5, 0.5, 0]])
    np.testing.assert_array_equal(
        Margin().hardness(certain, np.array([0, 0, 2])), [-np.inf, np.inf, np.inf]
    )
    np.testing.assert_array_equal(Entropy().hardness(certain, np.zeros(3, int))[:2], [0, 0])
    assert keep("margin", certain, [0, 0, 2], Fixed(3)) == [1, 2, 0]


@pytest.mark.parametrize("kind", [EL2N, Entropy, Margin])
def test_with_a_single_class_the_hardness_is_equal(kind):
    hardness = kind().hardness(np.ones((3, 1)), np.zeros(3, dtype=np.int64))
    assert len(set(hardness.tolist())) == 1
    assert keep(kind(), np.ones((3, 1)), [0, 0, 0], Fixed(2), rows=[9, 3, 5]) == [3, 5]


@pytest.mark.parametrize("name", ["el2n", "entropy", "margin"])
def test_harder_rows_have_larger_numbers(name):
    """A confident correct prediction is easy, an uncertain one harder, a wrong one hardest."""
    predictions, codes = by_confidence([0.99, 0.6, 0.01])
    easy, torn, wrong = get_policy(name).hardness(predictions, codes)
    assert easy < torn
    assert wrong > torn if name != "entropy" else wrong == pytest.approx(easy)


CONFIDENCES = [0.9, 0.2, 0.6, 0.4, 0.8, 0.1, 0.7]
"""From the hardest to the easiest that is rows 5, 1, 3, 2, 6, 4, 0."""


@pytest.mark.parametrize("name", ["el2n", "margin"])
@pytest.mark.parametrize(
    ("options", "order"),
    [
        ("", [5, 1, 3, 2, 6, 4, 0]),
        ("(take=easiest)", [0, 4, 6, 2, 3, 1, 5]),
        ("(take=median)", [2, 3, 6, 1, 4, 0, 5]),  # places 3; 2, 4; 1, 5; 0, 6: lowest row first
        ("(offset=0.1)", [1, 3, 2, 6, 4, 0, 5]),  # 0.7 of a row is one
        ("(offset=0.07)", [5, 1, 3, 2, 6, 4, 0]),  # 0.49 of a row is none
        ("(offset=0.3)", [3, 2, 6, 4, 0, 1, 5]),  # the most suspicious comes last
    ],
)
def test_take_and_offset_by_hand(name, options, order):
    predictions, codes = by_confidence(CONFIDENCES)
    for n in range(1, 8):
        assert keep(name + options, predictions, codes, Fixed(n)) == order[:n]


def test_the_median_of_an_even_number_is_two_rows():
    predictions, codes = by_confidence([0.9, 0.2, 0.6, 0.4])  # hardest to easiest: 1, 3, 2, 0
    assert keep("el2n(take=median)", predictions, codes, Fixed(4)) == [2, 3, 0, 1]


@pytest.mark.parametrize("take", TAKES)
def test_ties_go_to_the_lowest_row(take):
    predictions, codes = by_confidence([0.5, 0.5, 0.5])
    found = keep(f"el2n(take={take})", predictions, codes, Fixed(2), rows=[30, 20, 10])
    assert found == ([10, 20] if take != "median" else [20, 10])  # of equals, 20 is the middle


def test_offset_is_rounded_half_up_and_does_not_reduce_the_size():
    predictions, codes = by_confidence([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9])
    assert keep("el2n(offset=0.05)", predictions, codes, Share(0.1)) == [1]
    everything = keep("el2n(offset=0.95)", predictions, codes, Fixed(10))
    assert everything == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_predictions_may_have_columns_of_later_classes():
    predictions, codes = by_confidence(CONFIDENCES)
    wider = np.column_stack([predictions, np.zeros((7, 3))])
    for name in ("el2n", "entropy", "margin"):
        assert keep(name, wider, codes, Fixed(3)) == keep(name, predictions, codes, Fixed(3))


@pytest.mark.parametrize(
    ("given_wrong", "message"),
    [
        (
            np.ones((4, 3)),
            "policy 'el2n' received probabilities of shape (4, 3): give 5 rows and at least 3 "
            "columns.",
        ),
        (
            np.ones((5, 2)),
            "policy 'el2n' received probabilities of shape (5, 2): give 5 rows and at least 3 "
            "columns.",
        ),
        (
            np.where(np.arange(5)[:, None] == 3, np.nan, PREDICTIONS),
            "policy 'el2n' received probabilities for row 3 that are not finite or below 0: "
            "check the head.",
        ),
        (
            PREDICTIONS - 0.07,
            "policy 'el2n' received probabilities for row 1 that are not finite or below 0: "
            "check the head.",
        ),
    ],
)
def test_invalid_probabilities_are_refused(given_wrong, message):
    with pytest.raises(UsageError) as caught:
        keep("el2n", given_wrong, CODES, Fixed(2))
    assert str(caught.value) == message
