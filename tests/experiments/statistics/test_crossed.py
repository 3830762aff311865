"""Intervals over seeds and test items."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from threadpoolctl import threadpool_limits

from embedpipe.errors import UsageError
from embedpipe.experiments.statistics import area, area_of_items, crossed_intervals, t_interval


def test_the_mean_of_the_areas_of_items_is_the_area_of_the_curve() -> None:
    correct = np.random.default_rng(0).random((6, 50)) < 0.7
    labelled = [10, 20, 40, 50, 90, 100]
    found = area_of_items(labelled, correct)
    assert math.isclose(found.mean(), area(labelled, correct.mean(axis=1)), abs_tol=1e-12)
    assert area_of_items([10], [[True, False]]).tolist() == [1.0, 0.0]
    # Right from the second of three rounds on: half of the first interval, and the second
    assert area_of_items([0, 10, 20], [[False], [True], [True]]).tolist() == [0.75]


def test_resamples_agree_with_the_normal_interval_of_many_items() -> None:
    values = np.random.default_rng(0).normal(0.1, 1.0, (1, 5000))
    found = crossed_intervals([values], resamples=4000)[0].over_items
    half = 1.96 * values.std() / math.sqrt(5000)
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert found.n == 5000


def test_the_interval_over_both_by_hand() -> None:
    table = np.array([[0.0, 3.0, 6.0, 9.0], [1.0, 4.0, 7.0, 10.0], [2.0, 5.0, 8.0, 11.0]])
    found = crossed_intervals([table])[0].over_both
    # No interaction: a = 1 / 3, b = 15 / 4
    a, b = 1 / 3, 15 / 4
    freedom = (a + b) ** 2 / (a**2 / 2 + b**2 / 3)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(a + b)
    assert (found.low, found.high) == pytest.approx((5.5 - half, 5.5 + half))
    # With little variance over the items, the interval is not shorter than that over the seeds.
    similar = 0.1 * np.arange(4) + np.arange(3)[:, None]
    found = crossed_intervals([similar])[0].over_both
    seeds = t_interval(similar.mean(axis=1))
    assert (found.low, found.high) == pytest.approx((seeds.low, seeds.high))


@pytest.mark.parametrize(
    ("seeds_sd", "items_sd", "rest_sd"),
    [(0.02, 0.3, 0.3), (0.0, 0.0, 0.4), (0.02, 0.0, 0.3), (0.005, 0.4, 0.1)],
)
@pytest.mark.parametrize("seeds", [5, 10])
def test_coverage_with_crossed_effects(
    seeds_sd: float, items_sd: float, rest_sd: float, seeds: int
) -> None:
    rng = np.random.default_rng(seeds)
    inside, trials = 0, 400
    for _ in range(trials):
        effects = rng.normal(0, seeds_sd, (seeds, 1)) + rng.normal(0, items_sd, 200)
        table = effects + rng.normal(0, rest_sd, (seeds, 200))
        found = crossed_intervals([table], resamples=1)[0].over_both
        inside += found.low <= 0 <= found.high
    assert 0.92 * trials <= inside


def test_the_result_does_not_depend_on_threads_or_on_other_values() -> None:
    rng = np.random.default_rng(0)
    values = [rng.random((5, 3000)) for _ in range(8)]
    with threadpool_limits(1):
        one = crossed_intervals(values)
    with threadpool_limits(2):
        assert crossed_intervals(values) == one
    assert crossed_intervals(values[:1]) == one[:1]
    assert crossed_intervals(values[:1], seed=1) != one[:1]


def test_identical_runs_are_one_observation() -> None:
    rng = np.random.default_rng(0)
    table = rng.random((3, 40))
    repeated = table[[0, 0, 1, 1, 2]]
    found = crossed_intervals([repeated], groups=[[0, 0, 1, 1, 2]])[0].over_both
    naive = crossed_intervals([repeated])[0].over_both
    assert found.high - found.low > naive.high - naive.low
    two = crossed_intervals([repeated], groups=[[0, 0, 1, 1, 1]])[0]
    assert math.isnan(two.over_both.low)
    assert two.over_items.low < two.over_items.high


def test_no_interval_has_equal_ends() -> None:
    found = crossed_intervals([np.full((5, 40), 0.25), np.zeros((5, 40))])
    for each in found:
        assert np.isnan([each.over_items.low, each.over_both.low, each.over_both.high]).all()


def test_wrong_arguments() -> None:
    with pytest.raises(UsageError, match=r"^the values have the shapes \(2, 3\), \(2, 4\): give"):
        crossed_intervals([np.zeros((2, 3)), np.zeros((2, 4))])
    with pytest.raises(UsageError, match=r"^correct has the shape \(3,\): give \(R, T\) rounds"):
        area_of_items([1, 2, 3], [True, True, False])
