"""The smallest difference that a comparison can find."""

from __future__ import annotations

import math

import numpy as np
import pytest

from embedpipe.errors import UsageError
from embedpipe.experiments.statistics import (
    compare_with_baseline,
    detectable_difference,
    paired_comparison,
)


@pytest.mark.parametrize("n", [3, 5, 6, 10])
def test_a_difference_of_this_size_is_found_in_eighty_percent_of_the_studies(n: int) -> None:
    rng = np.random.default_rng(n)
    first = paired_comparison(rng.normal(size=n), rng.normal(size=n))
    in_deviations = detectable_difference(first) / (first.standard_error * math.sqrt(n))
    distinct = np.arange(n)
    found = [
        paired_comparison(rng.normal(in_deviations, 1.0, n), np.zeros(n), runs=(distinct, distinct))
        for _ in range(1500)
    ]
    share = np.mean([each.significant() for each in found])
    assert 0.765 < share < 0.835  # the simulation of the power and this one: 1.4 points together


def test_the_correction_for_other_comparisons_is_in_the_power() -> None:
    rng = np.random.default_rng(0)
    runs = np.arange(6)
    first = paired_comparison(rng.normal(size=6), np.zeros(6), runs=(runs, runs))
    mean = detectable_difference(first, tests=4) / (first.standard_error * math.sqrt(6))
    found = []
    for _ in range(800):  # the other three differences are tiny, so the factor is 4
        values = dict(zip("abcd", rng.normal(0, 1e-9, (4, 6)), strict=True))
        values["a"] = rng.normal(mean, 1.0, 6)
        values["base"] = np.zeros(6)
        numbers = dict.fromkeys(values, runs)
        found.append(compare_with_baseline(values, "base", runs=numbers)["a"].significant())
    assert 0.75 < np.mean(found) < 0.86  # Holm's factor is 3, 2 or 1 in a few studies


def test_many_pairs_need_the_sum_of_two_normal_quantiles() -> None:
    rng = np.random.default_rng(1)
    found = paired_comparison(rng.normal(size=400), rng.normal(size=400))
    # 1.96 + 0.84 standard errors; the signed-rank test must support it
    assert 2.80 < detectable_difference(found) / found.standard_error < 3.15


def test_identical_runs_leave_fewer_pairs() -> None:
    a, b = [0.84, 0.86, 0.85, 0.88, 0.87], [0.80, 0.84, 0.82, 0.85, 0.83]
    whole = paired_comparison(a, b)
    some = paired_comparison(a, b, runs=([0, 0, 1, 1, 2], range(5)))
    assert (whole.independent, some.independent) == (5, 3)
    # Group means 0.03, 0.03 and 0.04; effective size 25 / (4 + 4 + 1)
    assert some.standard_error == pytest.approx(math.sqrt(1e-4 / 3) / math.sqrt(25 / 9))
    assert detectable_difference(some) > 1.5 * detectable_difference(whole)


def test_without_a_test_or_a_spread_nothing_is_detectable() -> None:
    fixed = paired_comparison([0.8] * 5, [0.7, 0.72, 0.71, 0.73, 0.74])
    assert fixed.reason == "identical runs"
    equal = paired_comparison([0.7, 0.71, 0.72], [0.7, 0.71, 0.72])
    assert equal.reason is None
    assert math.isnan(detectable_difference(fixed))
    assert math.isnan(detectable_difference(equal))


def test_wrong_arguments() -> None:
    found = paired_comparison([0.84, 0.86, 0.85], [0.80, 0.84, 0.82])
    with pytest.raises(UsageError, match=r"^tests is 0: give the number of comparisons"):
        detectable_difference(found, tests=0)
    with pytest.raises(UsageError, match=r"^power is 80: give a number between 0 and 1, such as"):
        detectable_difference(found, power=80)
