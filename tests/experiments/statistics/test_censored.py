"""Labels to a target over seeds: by hand, against lifelines, and for all censored values."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from embedpipe.errors import UsageError
from embedpipe.experiments.statistics import Reached, labels_ratio, median_labels_to_target


def seeds(*numbers):
    """Return seeds; negative numbers are censored."""
    return [Reached(float(n)) if n > 0 else Reached(None, -n) for n in numbers]


def test_without_censoring_the_median_is_ordinary():
    for count in range(1, 9):
        numbers = np.random.default_rng(count).permutation(100)[:count] + 1
        found = median_labels_to_target(seeds(*numbers.tolist()))
        assert found.median == np.median(numbers)
        assert (found.n_reached, found.n) == (count, count)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((120, 150, 180, -300, -300), 180.0),
        ((120, 150, -300, -300, -300), None),  # more than half are censored
        ((120, 150, -300, -300), 150.0),  # exactly half; the next one is unknown
        # 5 at risk: 4/5; the one censored at 130 leaves 3: 4/5 * 2/3 = 8/15; then 4/15
        ((120, -130, 150, 180, -300), 180.0),
        # a censored one at the same number was still at risk: 4/5, then 4/5 * 3/4, * 1/2
        ((120, 150, -150, 180, -300), 180.0),
    ],
)
def test_censored_seeds_need_more_labels_than_they_had(numbers, expected):
    found = median_labels_to_target(seeds(*numbers))
    assert found.median == expected
    assert found.n_reached == sum(n > 0 for n in numbers)


def test_the_interval_by_hand():
    # 10 seeds at 10, 20, ..., 100: S(k) = 1 - k/10, Greenwood's sum is k / (10 (10 - k)).
    found = median_labels_to_target(seeds(*range(10, 101, 10)))

    def band(k, sign):
        S = 1 - k / 10
        return S ** math.exp(sign * 1.959964 * math.sqrt(k / (10 * (10 - k))) / -math.log(S))

    low = next(10.0 * k for k in range(1, 10) if band(k, 1) <= 0.5)
    high = next(10.0 * k for k in range(1, 10) if band(k, -1) <= 0.5)
    assert (found.median, found.low, found.high) == (55.0, low, high)
    assert (low, high) == (10.0, 80.0)


def test_five_seeds_do_not_determine_the_upper_end():
    found = median_labels_to_target(seeds(100, 110, 120, 130, 140))
    assert (found.median, found.low, found.high) == (120.0, 100.0, None)


@pytest.mark.slow  # the peer takes seconds to import
@settings(max_examples=40, deadline=None)
@given(
    numbers=st.lists(
        st.integers(1, 12).map(lambda n: 10 * n) | st.integers(-12, -1).map(lambda n: 10 * n),
        min_size=1,
        max_size=12,
    )
)
def test_survival_bands_agree_with_lifelines(numbers):
    lifelines = pytest.importorskip("lifelines", reason="a peer for Kaplan-Meier, not installed")
    fitted = lifelines.KaplanMeierFitter().fit(np.abs(numbers), np.array(numbers) > 0)
    found = median_labels_to_target(seeds(*numbers), runs=range(len(numbers)))
    S = fitted.survival_function_.iloc[:, 0]
    if not np.isclose(S, 0.5).any():  # where they take the end of a flat stretch
        peer = fitted.median_survival_time_
        assert found.median == (None if np.isinf(peer) else peer)
    if len(numbers) < 3:  # no interval from two runs
        assert (found.low, found.high) == (None, None)
        return
    for column, mine in ((0, found.low), (1, found.high)):
        curve = fitted.confidence_interval_survival_function_.iloc[:, column]
        curve = curve[(S > 1e-12) & (S < 1)]
        if not np.isclose(curve, 0.5).any():
            there = curve.index[curve <= 0.5]
            assert mine == (there[0] if len(there) else None)


def test_a_median_in_the_first_round_is_an_upper_limit():
    early = Reached(50.0, at_most=True)
    assert median_labels_to_target([early, early, Reached(80.0)]).at_most
    assert not median_labels_to_target([early, Reached(80.0), Reached(90.0)]).at_most


def test_ratios_by_hand():
    found = labels_ratio(seeds(100, 90, 120, 150, 80, 100), seeds(200, 300, 300, 100, 320, 100))
    # 0.25, 0.3, 0.4, 0.5, 1, 1.5: with 6 the smallest and the largest enclose the median
    assert (found.ratio, found.low, found.high) == (0.45, 0.25, 1.5)
    assert (found.wins, found.ties, found.losses, found.undecided) == (4, 1, 1, 0)
    assert found.p_sign == pytest.approx(binomtest(4, 5).pvalue)


def test_five_seeds_are_too_few_for_an_interval_at_95_percent():
    a, b = seeds(1, 2, 3, 4, 5), seeds(2, 4, 6, 8, 20)
    found = labels_ratio(a, b)
    assert (found.ratio, found.low, found.high, found.p_sign) == (0.5, 0.0, np.inf, 0.0625)
    found = labels_ratio(a, b, level=0.9)
    assert (found.low, found.high) == (0.25, 0.5)


def test_identical_runs_are_one_observation_of_a_ratio():
    a, b = seeds(*[1] * 12), seeds(*range(2, 14))
    fixed = labels_ratio(a, b)
    assert (fixed.wins, fixed.low, fixed.high) == (12, 0.0, np.inf) and np.isnan(fixed.p_sign)
    two = labels_ratio(b, seeds(*[20, 21] * 6))  # on either side
    assert (two.low, two.high) == (0.0, np.inf) and np.isnan(two.p_sign)
    # Six distinct runs of a, two seeds each: a sign test of six, and the same 6 medians
    runs = np.repeat(np.arange(6), 2)
    paired = labels_ratio(
        seeds(*np.repeat(range(1, 7), 2)), seeds(*[8] * 12), runs=(runs, range(12))
    )
    assert paired.p_sign == 2 / 64 and (paired.low, paired.high) == (1 / 8, 6 / 8)


def test_identical_runs_are_one_observation_of_a_median():
    for numbers in ([120] * 10, [120, 130] * 5, [-300] * 10):
        found = median_labels_to_target(seeds(*numbers))
        assert (found.low, found.high, found.n) == (None, None, 10)
    # Each of ten runs twice: the same median, and the interval of the ten
    ten = seeds(*range(10, 101, 10))
    once = median_labels_to_target(ten)
    twice = median_labels_to_target(ten * 2, runs=[*range(10)] * 2)
    assert (twice.median, twice.low, twice.high) == (once.median, once.low, once.high)
    naive = median_labels_to_target(ten * 2)
    assert naive.low is not None and once.low is not None and naive.low > once.low


def test_censored_seeds_limit_the_ratio():
    a = [*seeds(100, -300, -300, 350), Reached(50.0, at_most=True)]
    b = [*seeds(-300, 150, -300, -300), Reached(100.0)]
    found = labels_ratio(a, b)
    # at most 1/3 | at least 2 | anything | at most 350/300 | at most 1/2
    assert (found.at_least, found.at_most, found.ratio) == (0.0, 350 / 300, None)
    assert (found.wins, found.losses, found.undecided) == (2, 1, 2)


def test_reaching_the_target_with_the_last_label_is_a_win_over_censoring():
    found = labels_ratio(seeds(300), seeds(-300))
    assert (found.wins, found.undecided, found.at_most) == (1, 0, 1.0)


def test_targets_reached_in_both_first_rounds_are_undecided():
    early = [Reached(50.0, at_most=True)]
    found = labels_ratio(early, early)
    assert (found.ties, found.undecided, found.at_least, found.at_most) == (0, 1, 0.0, np.inf)
    assert np.isnan(found.p_sign)  # one seed


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(*[st.sampled_from([60, 80, 100, -100]) for _ in range(2)]),
        min_size=1,
        max_size=4,
    )
)
def test_the_limits_hold_for_all_values_of_censored_seeds(pairs):
    found = labels_ratio(seeds(*[a for a, _ in pairs]), seeds(*[b for _, b in pairs]))
    could_be = [[101, 150, 1e6] if n < 0 else [n] for pair in pairs for n in pair]
    for truth in itertools.product(*could_be):
        a, b = np.array(truth[::2]), np.array(truth[1::2])
        assert found.at_least - 1e-9 <= np.median(a / b) <= found.at_most + 1e-9
        assert found.wins <= (a < b).sum() and found.losses <= (a > b).sum()


@pytest.mark.parametrize("n", [6, 7, 10, 15, 25])
def test_the_order_statistics_have_the_confidence_level(n):
    found = labels_ratio(seeds(*range(1, n + 1)), seeds(*[1] * n), runs=(range(n), range(n)))
    k = int(found.low)
    assert found.high == n + 1 - k
    assert 2 * binom.cdf(k - 1, n, 0.5) <= 0.05 < 2 * binom.cdf(k, n, 0.5)


def test_seeds_that_cannot_be_compared_raise_an_error():
    with pytest.raises(UsageError) as caught:
        median_labels_to_target([])
    assert str(caught.value) == "there is no seed: give at least one."
    with pytest.raises(UsageError) as caught:
        labels_ratio(seeds(1, 2), seeds(1))
    assert str(caught.value) == (
        "a has 2 seeds and b 1: give one entry for each seed, the same seeds in the same order."
    )
    with pytest.raises(UsageError) as caught:
        median_labels_to_target(seeds(1), level=95)
    assert str(caught.value) == "level is 95: give a number between 0 and 1, such as 0.95."


def test_no_interval_has_equal_ends() -> None:
    runs = list(range(8))
    same = [Reached(118.0)] * 8
    found = median_labels_to_target(same, runs=runs)
    assert (found.median, found.low, found.high) == (118.0, None, None)
    ratio = labels_ratio(same, [Reached(236.0)] * 8, runs=(runs, runs))
    assert (ratio.ratio, ratio.low, ratio.high) == (0.5, 0.0, math.inf)
    different = [Reached(100.0 + 10 * at) for at in runs]
    found = median_labels_to_target(different, runs=runs)
    assert found.low is not None and found.low < 135.0
