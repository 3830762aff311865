"""Paired comparisons: against scipy, by hand, and over all sign patterns."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from embedpipe.errors import UsageError
from embedpipe.experiments.statistics import paired_comparison, signed_rank_p
from embedpipe.experiments.statistics.runs import effective_size, independent_pairs


def over_all_signs(differences):
    """Return the p-value of the signed-rank test by enumeration of all signs."""
    d = np.array(differences, float)
    ranks = np.where(d == 0, 0, stats.rankdata(np.abs(d)))
    seen = abs((np.sign(d) * ranks).sum())
    sums = [abs(np.dot(signs, ranks)) for signs in itertools.product([-1, 1], repeat=len(d))]
    return float(np.mean(np.array(sums) >= seen - 1e-9))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=10))
@example([0, 0, 0])
@example([2, 2, 2, 2, 2])
def test_the_signed_rank_test_is_exact_with_ties_and_zeros(differences):
    assert signed_rank_p(differences) == pytest.approx(over_all_signs(differences), abs=1e-12)


@pytest.mark.parametrize("n", [3, 5, 6, 10, 30])
def test_without_ties_the_signed_rank_test_is_that_of_scipy(n):
    d = np.random.default_rng(n).normal(0.4, 1, n)
    assert signed_rank_p(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue, rel=1e-10)


def test_the_signed_rank_test_of_many_pairs():
    d = np.random.default_rng(0).normal(0.1, 1, 200)
    assert signed_rank_p(d) == pytest.approx(stats.wilcoxon(d, method="approx").pvalue, abs=2e-3)


def test_zeros_are_ranked():
    # Ranks of 0, 1, 2, -3 are 1, 2, 3, 4; the zero is dropped: +5 and -4 of 9. All but one of the
    # pairs of sums (2 + 3, 4) are as far apart or farther: 8 of 8 two-sided.
    assert signed_rank_p([0, 1, 2, -3]) == 1.0
    # Pratt's example of why: dropping the zero first makes a small p-value smaller.
    assert signed_rank_p([0, 1, 2, 3, 4, 5]) == 0.0625


def test_the_paired_t_test_is_that_of_scipy():
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.8, 0.02, 10), rng.normal(0.79, 0.02, 10)
    found = paired_comparison(a, b)
    peer = stats.ttest_rel(a, b)
    assert found.p_t == pytest.approx(peer.pvalue, rel=1e-9)
    interval = peer.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-8)


def test_a_comparison_by_hand():
    # Differences 1, 2, 3, 4, 0: mean 2, variance 2.5, t = 2 / sqrt(0.5) = 2.8284 with 4 degrees.
    found = paired_comparison([2, 4, 6, 8, 5], [1, 2, 3, 4, 5])
    assert found.difference == 2.0
    assert found.p_t == pytest.approx(0.0474207, abs=1e-6)
    assert found.p_wilcoxon == 0.125  # 2 of 16 signs of the four that are not zero
    assert (found.wins, found.ties, found.losses, found.n) == (4, 1, 0, 5)
    assert found.high == pytest.approx(2 + 2.776445 * 0.5**0.5, rel=1e-6)
    assert not found.significant()  # one of the five seeds has no difference


def differing(*differences):
    """Compare two strategies whose values vary from seed to seed, with these differences."""
    runs = np.arange(len(differences))
    return paired_comparison(differences, np.zeros(len(differences)), runs=(runs, runs))


def test_significant_differences_need_both_tests():
    found = differing(1, 1, 2, 5, 5)  # p_t = 0.038, 5 of 5 on one side
    assert found.p_wilcoxon == 0.0625  # the least there is with five
    assert found.significant() and not found.significant(alpha=0.01)
    # Ten seeds, of which one outlier of the other sign alone leaves t at 3.1
    many = differing(*[1.0] * 8, 1.1, -0.5)
    assert many.p_t < 0.05 and many.p_wilcoxon < 0.05 and many.significant()
    signs = differing(0.1, 0.1, -0.2, -0.3, -0.4, 5, 5, 5.1, 5.2, 0)
    assert signs.p_t < 0.05 < signs.p_wilcoxon and not signs.significant()
    assert signs.p == signs.p_wilcoxon  # the decisive p-value


def test_equal_results_are_no_difference():
    found = paired_comparison([0.8, 0.7, 0.9], [0.8, 0.7, 0.9])
    assert (found.p_t, found.p_wilcoxon, found.ties) == (1.0, 1.0, 3)
    assert np.isnan([found.low, found.high]).all() and not found.significant()


def test_one_repeated_result_is_not_tested():
    found = paired_comparison([0.9] * 5, [0.8] * 5)
    assert found.difference == pytest.approx(0.1) and found.wins == 5
    assert np.isnan([found.p_t, found.p_wilcoxon, found.low, found.p]).all()
    assert not found.significant() and found.reason == "identical runs"


VARIED = [0.70, 0.73, 0.71, 0.74, 0.69]


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ([0.9] * 5, VARIED, "identical runs"),
        (VARIED, [0.9] * 5, "identical runs"),  # on either side
        ([0.9, 0.9, 0.91, 0.91, 0.9], VARIED, "fewer than three distinct runs"),
        (VARIED, [0.9, 0.9, 0.9, 0.9, 0.91], "fewer than three distinct runs"),
        ([0.8, 0.9], [0.7, 0.71], "fewer than three distinct runs"),
        ([0.8], [0.7], "one seed"),
        ([0.8, np.nan], [np.nan, 0.7], "no common seeds"),
        # Seeds 0 and 1 share a run of a, 1 and 2 one of b, and 3 and 4 one of a.
        (
            [0.8, 0.8, 0.9, 0.7, 0.7],
            [0.5, 0.6, 0.6, 0.4, 0.3],
            "fewer than three independent pairs",
        ),
        ([0.81, 0.82, 0.83], [0.71, 0.72, 0.73], "identical differences"),
    ],
)
def test_a_missing_test_has_a_reason(a, b, reason):
    found = paired_comparison(a, b)
    assert found.reason == reason
    assert np.isnan([found.p, found.p_t, found.low, found.high]).all() and not found.significant()


def test_identical_runs_are_one_observation():
    # Seeds 0 to 2 have one run of a; their mean difference is 0.02, the others 0.05 and 0.08.
    a, b = [0.8, 0.8, 0.8, 0.85, 0.9], [0.77, 0.78, 0.79, 0.80, 0.82]
    found = paired_comparison(a, b)
    assert (found.n, found.independent, found.distinct) == (5, 3, (3, 5))
    assert found.difference == pytest.approx(0.038)  # the mean over the seeds
    # sd 0.03 of three, effective size 25 / 11
    error = 0.03 / (25 / 11) ** 0.5
    assert found.p_t == pytest.approx(2 * stats.t.sf(0.038 / error, 2))
    assert found.high == pytest.approx(0.038 + stats.t.ppf(0.975, 2) * error)
    assert found.p_wilcoxon == 0.25
    known = paired_comparison(a, b, runs=(range(5), range(5)))  # equal by coincidence
    assert known.independent == 5 and known.p_t < found.p_t


def test_below_five_pairs_the_p_value_is_doubled():
    three = paired_comparison([0.81, 0.82, 0.84], [0.71, 0.725, 0.73])
    assert three.p == pytest.approx(2 * three.p_t) and three.significant()
    five = paired_comparison([0.81, 0.82, 0.84, 0.80, 0.85], [0.71, 0.725, 0.73, 0.72, 0.74])
    assert five.p == five.p_t


def test_intervals_are_clipped_to_possible_differences():
    found = paired_comparison([1.0, 0.99, 0.4], [0.0, 0.01, 0.3], within=(-1, 1))
    assert found.high == 1.0 and -1 < found.low < found.difference


def test_equal_differences_have_only_a_signed_rank_test():
    a = np.array([0.8, 0.7, 0.9, 0.6, 0.5, 0.4])
    found = paired_comparison(a + 0.1, a)  # 0.9 - 0.8 and 0.8 - 0.7 differ in the last bit
    assert np.isnan(found.p_t) and found.p_wilcoxon == 2 / 64
    assert found.reason == "identical differences"


def test_pairs_with_missing_values_are_left_out():
    found = paired_comparison([0.8, np.nan, 0.9, 0.7], [0.7, 0.7, np.nan, 0.65])
    assert found.n == 2 and found.difference == pytest.approx(0.075)
    nothing = paired_comparison([np.nan], [0.7])
    assert nothing.n == 0 and np.isnan([nothing.difference, nothing.p_t, nothing.p_wilcoxon]).all()
    one = paired_comparison([0.8], [0.7])
    assert one.difference == pytest.approx(0.1) and np.isnan([one.low, one.p_t]).all()
    assert np.isnan(one.p_wilcoxon)


def test_exchanged_sides_change_only_the_sign():
    rng = np.random.default_rng(8)
    a, b = rng.normal(size=8), rng.normal(size=8)
    there, back = paired_comparison(a, b), paired_comparison(b, a)
    assert (there.p_t, there.p_wilcoxon) == (back.p_t, back.p_wilcoxon)
    assert (there.low, there.high, there.wins) == (-back.high, -back.low, back.losses)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1, 2], [1], "a has the shape (2,) and b (1,): give one number for each seed, the same "
                      "seeds in the same order."),
        ([1, 2], [1, np.inf], "b[1] is infinite: leave it out, or give NaN."),
    ],
)  # fmt: skip
def test_values_that_cannot_be_paired_raise_an_error(a, b, message):
    with pytest.raises(UsageError) as caught:
        paired_comparison(a, b)
    assert str(caught.value) == message


def test_seeds_that_share_a_run_are_one_group():
    assert independent_pairs(np.array([0, 0, 1, 2]), np.array([0, 1, 2, 3])).tolist() == [
        0,
        0,
        1,
        2,
    ]
    assert independent_pairs(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 3])).tolist() == [
        0,
        0,
        0,
        1,
    ]
    assert effective_size(np.array([1, 1, 1, 1])) == 4.0
    assert effective_size(np.array([8, 1, 1])) == pytest.approx(100 / 66)
