"""The result in words says what the rounds say."""

import pytest

from embedpipe.reports import Curve, Pick, Round
from embedpipe.reports.headline import write_headline


def curve(name, *points, picks=()):
    rounds = tuple(
        Round(number, labelled, accuracy, accuracy, 0.0, 0.0, name, picks)
        for number, (labelled, accuracy) in enumerate(points)
    )
    return Curve(name, rounds)


RANDOM = curve("random", (100, 0.6), (200, 0.71), (300, 0.78))


@pytest.mark.parametrize(
    ("points", "result", "comparison"),
    [
        (
            [(100, 0.65), (200, 0.8), (300, 0.871)],
            "0.871 accuracy from 300 labels",
            "With as many labels, random reaches 0.780, which took 200 here.",
        ),
        (
            [(100, 0.5), (200, 0.6), (300, 0.79)],
            "0.790 accuracy from 300 labels",
            "With as many labels, random reaches 0.780.",
        ),
        (
            [(100, 0.5), (300, 0.7)],
            "0.700 accuracy from 300 labels",
            "With as many labels, random reaches 0.780, which is better.",
        ),
        (
            [(100, 0.5), (300, 0.7804)],
            "0.780 accuracy from 300 labels",
            "With as many labels, random reaches the same.",
        ),
        (
            [(200, 0.75), (400, 0.9)],
            "0.900 accuracy from 400 labels",
            "With 200 labels, random reaches 0.710.",
        ),
        (
            [(1, 0.25)],
            "0.250 accuracy from 1 label",
            "Random reaches 0.780 with 300 labels.",
        ),
        (
            [(1000, 0.9), (2000, 0.95)],
            "0.950 accuracy from 2,000 labels",
            "Random reaches 0.780 with 300 labels.",
        ),
    ],
)
def test_the_comparison_with_a_baseline(points, result, comparison):
    assert write_headline(curve("margin", *points), RANDOM) == (result, comparison)


def test_without_a_baseline():
    assert write_headline(curve("margin", (10, 0.5)), None) == ("0.500 accuracy from 10 labels", "")


def test_a_baseline_that_was_never_measured():
    rival = curve("random", (10, None))
    assert write_headline(curve("margin", (10, 0.5)), rival).comparison == ""


def test_nothing_was_measured():
    unmeasured = curve("margin", (1, None), (2, None), picks=(Pick("a", 0.0),))
    assert write_headline(unmeasured, RANDOM) == (
        "2 items picked in 2 rounds",
        "There are no held-out labels to measure accuracy with.",
    )
