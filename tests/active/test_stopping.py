"""Advice on stopping: by hand, on a real history, and on random histories."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.active.stopping import Evidence, advise

KEYS = [
    "cv_accuracy", "cv_low", "cv_high", "agreement", "next_labels", "expected_gain", "gain_low",
    "gain_high", "advice", "reason",
]  # fmt: skip


def rounds(*agreements, first=100, step=100, cv=0.8):
    """A history with these agreements after a first round without one."""
    numbers = [None, *agreements]
    return [Evidence(first + i * step, cv, first + i * step, a) for i, a in enumerate(numbers)]


def law(n, step, level=900.0, fall=-1.4):
    """Agreement if changes follow the law exactly."""
    return 1 - level * (n - step / 2) ** fall * (step / 100) ** 0.7


def test_one_round_by_hand():
    # 16 % changed from 100 to 200 labels, with the middle 150; the next 100 have the middle 250:
    # 0.16 * (250 / 150)^-1.4 = 0.0783, of which 0.3 becomes right.
    found = advise(rounds(0.84))
    changed = 0.16 * (250 / 150) ** -1.4
    assert found["expected_gain"] == pytest.approx(100 * 0.3 * changed, abs=1e-4)
    # The error of the logarithm: 0.35 * 250 / 150 of the round, and 0.5 times the distance.
    error = math.hypot(0.35 * 250 / 150, 0.5 * math.log(250 / 150))
    assert found["gain_high"] == pytest.approx(60 * changed * math.exp(error / 2), abs=1e-4)
    assert found["gain_low"] == pytest.approx(5 * changed * math.exp(-error / 2), abs=1e-4)
    assert found["advice"] == "continue" and list(found) == KEYS
    assert found["reason"] == (
        "100 more labels should add about 2.3 points of accuracy (0.3 to 6.5)."
    )


@pytest.mark.parametrize("step", [20, 50, 100])
def test_a_power_law_is_extrapolated_with_any_batch_size(step):
    labels = list(range(100 + step, 401, step))
    history = rounds(*(law(n, step) for n in labels), step=step)
    expected = 100 * 0.3 * 900 * (history[-1].labelled + 50) ** -1.4
    assert advise(history)["expected_gain"] == pytest.approx(expected, rel=0.02)


def test_batches_of_one_are_grouped():
    # 2,000 rows watched: changes of single labels come as 0, 1 or 2 of them
    labels = range(101, 301)
    shares = [round((1 - law(n, 1)) * 2000 + (0.49 if n % 2 else -0.49)) / 2000 for n in labels]
    history = rounds(*(1 - share for share in shares), step=1)
    expected = 100 * 0.3 * 900 * 350**-1.4
    assert advise(history)["expected_gain"] == pytest.approx(expected, rel=0.15)


def test_a_real_history_of_digits_selected_by_margin():
    # Mean of four seeds; the test accuracy went .764 .847 .892 .916 .923 .934 .939 .942 .946
    agreement = [0.799, 0.900, 0.940, 0.969, 0.989, 0.994, 0.998, 0.998]
    cv = [0.770, 0.705, 0.708, 0.722, 0.724, 0.719, 0.779, 0.814, 0.849]
    history = [
        Evidence(50 * (i + 1), cv[i], 50 * (i + 1), None if not i else agreement[i - 1])
        for i in range(9)
    ]
    found = [advise(history[: i + 1])["advice"] for i in range(9)]
    assert found == ["unknown", *["continue"] * 4, "stop soon", *["stop"] * 3]
    gains = [advise(history[: i + 1])["expected_gain"] for i in range(1, 9)]
    assert gains == sorted(gains, reverse=True)


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ([], "There are no labels yet."),
        ([Evidence(0, None, 0, None)], "There are no labels yet."),
        (rounds(), "The expected gain is known after two trainings."),
        (
            [Evidence(10, None, 0, None), Evidence(10, None, 0, 1.0)],
            "The expected gain is known after two trainings.",
        ),
        (
            rounds(1.0, 1.0, 1.0),
            "No prediction has changed since the first round. Check that the labels have several "
            "classes.",
        ),
    ],
)
def test_without_evidence_the_advice_is_unknown(history, reason):
    found = advise(history)
    assert (found["advice"], found["reason"]) == ("unknown", reason)
    assert found["expected_gain"] is found["gain_low"] is found["gain_high"] is None


def test_one_unchanged_round_is_no_reason_to_stop_but_two_are():
    once = advise(rounds(0.999, first=400))
    assert once["gain_high"] < 1 and once["advice"] == "stop soon"
    assert once["reason"] == (
        "100 more labels should add about 0.0 points of accuracy (0.0 to 0.1). Continue only if "
        "every point counts."
    )
    twice = advise(rounds(0.999, 0.996, first=400))
    assert twice["advice"] == "stop"
    assert twice["reason"] == (
        "100 more labels should add about 0.1 points of accuracy (0.0 to 0.1). The last round left "
        "99.6 % of the predictions unchanged."
    )


def test_a_new_class_is_a_reason_to_continue():
    quiet = rounds(0.90, 0.95, 0.97, 0.985)
    assert advise(quiet)["advice"] == "stop"
    jump = [*quiet, Evidence(600, 0.7, 600, 0.85)]
    assert advise(jump)["advice"] == "continue"


def test_rounds_without_new_labels_are_left_out():
    whole = rounds(0.8, 0.9)
    with_gap = [whole[0], whole[1], Evidence(200, 0.8, 200, None), whole[2]]
    assert advise(with_gap) == advise(whole)


def test_the_cross_validated_accuracy_does_not_change_the_gain():
    # It falls where labels get harder, and is unknown for some heads.
    history = rounds(0.8, 0.9)
    falling = [Evidence(e.labelled, 0.9 - 0.1 * i, 50, e.agreement) for i, e in enumerate(history)]
    unknown = [Evidence(e.labelled, None, 0, e.agreement) for e in history]
    gains = {advise(each)["expected_gain"] for each in (history, falling, unknown)}
    assert len(gains) == 1 and None not in gains


@pytest.mark.parametrize(
    ("accuracy", "n", "low", "high"),
    [
        (0.8, 100, 0.7111, 0.8666),  # (0.8192 ± 1.96 √(0.0016 + 0.000096)) / 1.0384
        (1.0, 10, 0.7225, 1.0),  # 10 / (10 + 3.8415)
        (0.0, 10, 0.0, 0.2775),
        (None, 0, None, None),
        (0.5, 0, None, None),
    ],
)  # fmt: skip
def test_the_interval_of_the_accuracy_is_wilsons(accuracy, n, low, high):
    found = advise([Evidence(100, accuracy, n, None)])
    assert found["cv_low"] == (None if low is None else pytest.approx(low, abs=1e-4))
    assert found["cv_high"] == (None if high is None else pytest.approx(high, abs=1e-4))


evidence = st.builds(
    Evidence,
    labelled=st.integers(0, 2000),
    cv_accuracy=st.none() | st.floats(0, 1),
    cv_n=st.integers(0, 2000),
    agreement=st.none() | st.floats(0, 1) | st.sampled_from([0.0, 1.0]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(evidence, max_size=30))
def test_whatever_comes_the_advice_is_plain_and_in_order(history):
    found = advise(history)
    assert list(found) == KEYS
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["advice"] in ("continue", "stop soon", "stop", "unknown")
    assert found["reason"].endswith(".")
    assert (found["expected_gain"] is None) == (found["advice"] == "unknown")
    if found["expected_gain"] is not None:
        assert 0 <= found["gain_low"] <= found["expected_gain"] <= found["gain_high"] <= 100
