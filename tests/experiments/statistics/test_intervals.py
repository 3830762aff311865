"""Intervals: against scipy, by hand, and their coverage."""

import numpy as np
import pytest
from scipy import stats

from embedpipe.errors import UsageError
from embedpipe.experiments.statistics import bootstrap_interval, mean_interval, t_interval
from embedpipe.experiments.statistics.intervals import tail_quantiles

TEN = [0.70, 0.72, 0.74, 0.71, 0.75, 0.73, 0.72, 0.74, 0.71, 0.80]


def test_the_t_interval_is_that_of_scipy():
    found = t_interval(TEN)
    peer = stats.ttest_1samp(TEN, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high), rel=1e-12)
    assert found.estimate == pytest.approx(0.732)


def test_the_t_interval_by_hand():
    # mean 3, variance 2.5, so the standard error is sqrt(0.5); t(4) at 0.975 is 2.776445
    found = t_interval([1, 2, 3, 4, 5])
    assert found.high - 3 == pytest.approx(2.776445 * 0.5**0.5, rel=1e-6)
    assert found.n == 5 and found.coverage == 0.95


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("statistic", [np.mean, np.median])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_without_widening_the_bootstrap_is_that_of_scipy(method, statistic, level):
    values = np.random.default_rng(5).exponential(size=25)
    found = bootstrap_interval(
        values, statistic, level=level, method=method, widened=False, resamples=40_000
    )
    peer = stats.bootstrap(
        (values,), statistic, confidence_level=level, method=method, n_resamples=40_000, rng=1
    ).confidence_interval
    width = peer.high - peer.low
    assert found.low == pytest.approx(peer.low, abs=0.03 * width)
    assert found.high == pytest.approx(peer.high, abs=0.03 * width)


def test_all_resamples_of_three_values_by_hand():
    # The 27 resamples of 0, 0, 3 have the means 0 (8), 1 (12), 2 (6), 3 (1).
    # The quantiles are 0 up to 8/27 = 0.296, 1 up to 0.741, 2 up to 0.963.
    found = bootstrap_interval([0, 0, 3], level=0.6, method="percentile", widened=False)
    assert (found.estimate, found.low, found.high) == (1.0, 0.0, 2.0)
    found = bootstrap_interval([0, 0, 3], level=0.94, method="percentile", widened=False)
    assert (found.low, found.high) == (0.0, 3.0)
    found = bootstrap_interval([0, 0, 3], level=0.2, method="percentile", widened=False)
    assert (found.low, found.high) == (1.0, 1.0)


def test_widening_is_that_of_student():
    low, high = stats.norm.cdf(tail_quantiles(0.95, 10, widened=True))
    assert low == pytest.approx(0.0086, abs=5e-5)  # Φ(-√(10/9) · 2.2622), t(9) at 0.025
    assert low + high == pytest.approx(1.0)
    assert np.allclose(stats.norm.cdf(tail_quantiles(0.95, 10, widened=False)), [0.025, 0.975])


def test_widened_intervals_of_few_seeds_have_a_higher_coverage():
    rng = np.random.default_rng(0)
    trials, held = 300, {"plain": 0, "widened": 0, "t": 0}
    for _ in range(trials):
        values = rng.normal(size=5)
        for name, found in (
            ("plain", bootstrap_interval(values, resamples=500, widened=False)),
            ("widened", bootstrap_interval(values, resamples=500)),
            ("t", t_interval(values)),
        ):
            held[name] += found.low <= 0 <= found.high
    assert held["plain"] / trials < 0.88
    assert 0.88 < held["widened"] / trials <= 0.96
    assert held["t"] / trials > 0.92


def test_the_maximum_coverage_of_few_values():
    assert bootstrap_interval([1, 2]).coverage == 0.5
    assert bootstrap_interval([1, 2, 3]).coverage == 0.75
    assert bootstrap_interval(list(range(6))).coverage == 0.95  # 1 - 2^-5 is more than the level
    found = bootstrap_interval([1, 2, 4])
    assert 1 <= found.low <= found.high <= 4


@pytest.mark.parametrize("interval", [t_interval, bootstrap_interval])
def test_one_value_has_no_interval(interval):
    found = interval([0.7])
    assert found.estimate == 0.7 and np.isnan([found.low, found.high, found.coverage]).all()
    none = interval([float("nan")])
    assert none.n == 0 and np.isnan([none.estimate, none.low, none.high]).all()


@pytest.mark.parametrize("interval", [t_interval, bootstrap_interval, mean_interval])
def test_equal_values_have_no_interval_and_missing_ones_are_left_out(interval):
    same = interval([0.7, 0.7, np.nan])
    assert (same.estimate, same.n) == (0.7, 2) and np.isnan([same.low, same.high]).all()
    some = interval([0.7, np.nan, 0.8, 0.9])
    assert some.n == 3 and some.low < some.estimate < some.high


@pytest.mark.parametrize("values", [[0.8, 0.7], [0.8] * 5, [0.8, 0.7, 0.8, 0.8, 0.7], [0.5]])
def test_below_three_distinct_runs_a_mean_has_no_interval(values):
    found = mean_interval(values)
    assert found.estimate == pytest.approx(np.mean(values)) and found.distinct == len({*values})
    assert np.isnan([found.low, found.high, found.coverage]).all()


def test_identical_runs_count_once_in_the_interval_of_a_mean():
    # three distinct runs with sd 0.1; effective size 64 / (36 + 2) of 8 seeds
    found = mean_interval([0.7] * 6 + [0.8, 0.9])
    assert found.estimate == pytest.approx(0.7375) and found.distinct == 3
    half = stats.t.ppf(0.975, 2) * 0.1 / (64 / 38) ** 0.5
    assert (found.low, found.high) == pytest.approx((0.7375 - half, 0.7375 + half))
    distinct = mean_interval([0.7] * 6 + [0.8, 0.9], runs=range(8))  # equal by chance
    assert distinct.high - distinct.low < 2 * half and distinct.distinct == 8


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([0.99, 1.0, 0.9], None, 1.0), ([0.0, 0.01, 0.1], 0.0, None), ([1.0, 0.0, 0.5], 0.0, 1.0)],
)
def test_intervals_of_accuracies_stay_between_0_and_1(values, low, high):
    plain, found = t_interval(values), mean_interval(values, within=(0, 1))
    assert found.low == (plain.low if low is None else low)
    assert found.high == (plain.high if high is None else high)
    assert found.estimate == plain.estimate


def test_the_same_call_gives_the_same_bits():
    assert bootstrap_interval(TEN) == bootstrap_interval(TEN)
    assert bootstrap_interval(TEN) != bootstrap_interval(TEN, seed=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: t_interval([1, 2], level=1), "level is 1: give a number between 0 and 1, such as "
                                              "0.95."),
        (lambda: t_interval([[1, 2]]), "values has the shape (1, 2): give one number for each "
                                       "seed, shape (S,)."),
        (lambda: t_interval([1, np.inf]), "values[1] is infinite: leave it out, or give NaN."),
        (lambda: bootstrap_interval([1, 2], method="basic"), "unknown method 'basic': use 'bca' "
                                                             "or 'percentile'."),
        (lambda: bootstrap_interval([1, 2], resamples=0), "resamples is 0: give a whole number, "
                                                          "at least 1."),
    ],
)  # fmt: skip
def test_arguments_that_are_not_valid_raise_an_error(call, message):
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value) == message
