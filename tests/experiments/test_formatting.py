"""Statistics as text."""

import pytest

from embedpipe.experiments.formatting import (
    format_gap,
    format_interval,
    format_labels,
    format_outcome,
    format_p,
    format_range,
    format_runs,
    format_test,
)
from embedpipe.experiments.statistics import Interval, LabelsToTarget, paired_comparison

NAN = float("nan")


def test_intervals_or_the_reason_for_a_missing_one() -> None:
    assert (
        format_interval(Interval(0.7534, 0.7471, 0.7602, 5, 0.95, 0.9375)) == "0.753 [0.747, 0.760]"
    )
    one = Interval(0.7534, NAN, NAN, 5, 0.95, NAN, distinct=1)
    assert format_interval(one) == "0.753 (one run)"


def test_p_values_or_the_reason_for_a_missing_test() -> None:
    identical = paired_comparison([0.86] * 3, [0.80, 0.84, 0.82])
    assert format_test(identical) == "not tested: identical runs"
    assert format_test(paired_comparison([0.86, 0.87, 0.88], [0.80, 0.84, 0.82])) == "0.075"
    assert format_test(None) == "–"
    assert [format_p(p) for p in (0.00004, 0.0312, 0.51)] == ["<0.001", "0.031", "0.51"]


@pytest.mark.parametrize(
    ("own", "other", "text"),
    [
        (
            [0.81, 0.83, 0.84, 0.82],
            [0.82, 0.81, 0.84, 0.83],
            "no difference was shown (4 seeds; interval −2.3 to +2.3 points)",
        ),
        (
            [0.90, 0.92, 0.96, 0.94],
            [0.62, 0.61, 0.64, 0.63],
            "the difference is significant",
        ),
        (
            [0.81, 0.83],
            [0.82, 0.81],
            "the difference was not tested: fewer than three distinct runs",
        ),
    ],
)
def test_the_outcome_of_a_test(own: list[float], other: list[float], text: str) -> None:
    assert format_outcome(paired_comparison(own, other)) == text


def test_counts_and_shares() -> None:
    assert (format_range((3, 3)), format_range((0, 1200))) == ("3", "0 to 1,200")
    assert (format_runs(1, 5), format_runs(5, 5)) == ("1 of 5", "5 of 5")
    assert [format_gap(gap) for gap in (31.2, -0.2, None)] == ["31 %", "0 %", "–"]


def test_labels_to_target_show_how_many_seeds_reached_it() -> None:
    assert format_labels(LabelsToTarget(162.5, 140.0, None, 4, 5), 300) == "163 (4 of 5)"
    assert format_labels(LabelsToTarget(None, None, None, 1, 5), 300) == "over 300 (1 of 5)"
