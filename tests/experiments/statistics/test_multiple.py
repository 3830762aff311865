"""Many comparisons: Holm's correction by hand and against statsmodels, baselines, rounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from embedpipe.errors import UnknownNameError, UsageError
from embedpipe.experiments.statistics import (
    compare_with_baseline,
    correct_rounds,
    holm,
    paired_comparison,
    per_round_comparison,
)


def test_holm_by_hand():
    # 4 * 0.005; then 3 * 0.01; then 2 * 0.03; 1 * 0.04 is less than that before it
    found = holm([0.01, 0.04, 0.03, 0.005])
    assert found == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_missing_p_values_are_not_counted():
    found = holm([np.nan, 0.02, np.nan, 0.03])
    assert found[[1, 3]] == pytest.approx([0.04, 0.04]) and np.isnan(found[[0, 2]]).all()
    assert np.isnan(holm([np.nan])).all() and holm([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_never_smaller_and_keeps_the_order(p):
    found = holm(p)
    assert (found >= np.array(p)).all() and (found <= 1).all()
    assert (np.diff(found[np.argsort(p, kind="stable")]) >= 0).all()
    assert found.min() == min(1.0, len(p) * min(p))


@pytest.mark.slow  # the peer takes seconds to import
def test_holm_is_that_of_statsmodels():
    multitest = pytest.importorskip(
        "statsmodels.stats.multitest", reason="a peer for Holm's correction, not installed"
    )
    p = np.random.default_rng(0).uniform(size=(50, 7)) ** 3
    for row in p:
        assert holm(row) == pytest.approx(multitest.multipletests(row, method="holm")[1])


@pytest.mark.parametrize(
    ("p", "message"),
    [
        ([0.5, 1.5], "p holds 1.5: give p-values, (k,) numbers from 0 to 1."),
        ([[0.5]], "p holds an array of shape (1, 1): give p-values, (k,) numbers from 0 to 1."),
    ],
)
def test_values_that_are_not_p_values_raise_an_error(p, message):
    with pytest.raises(UsageError) as caught:
        holm(p)
    assert str(caught.value) == message


def table(seed=0, n=6):
    rng = np.random.default_rng(seed)
    base = rng.normal(0.7, 0.02, n)
    return {
        "margin": base + rng.normal(0.03, 0.01, n),
        "random": base,
        "odd": base + rng.normal(0.0, 0.01, n),
        "coreset": np.full(n, 0.7),
    }


def test_each_strategy_is_compared_with_the_baseline_and_corrected():
    values = table(seed=1)
    found = compare_with_baseline(values, "random")
    assert list(found) == ["margin", "odd", "coreset"]
    plain = [paired_comparison(values[name], values["random"]) for name in found]
    np.testing.assert_array_equal(
        [each.p_t for each in found.values()], [each.p_t for each in plain]
    )
    corrected = holm([each.p_t for each in plain])
    np.testing.assert_array_equal([each.p_holm for each in found.values()], corrected)
    assert found["margin"].significant() and not found["odd"].significant()
    assert found["coreset"].reason == "identical runs" and np.isnan(found["coreset"].p)


def test_missing_tests_do_not_change_the_correction():
    random = [0.70, 0.71, 0.69, 0.72]
    values = {"random": random, "same": random, "fixed": [0.8] * 4, "other": [0.8, 0.9, 0.95, 1]}
    found = compare_with_baseline(values, "random")
    assert np.isnan(found["fixed"].p_holm) and not found["fixed"].significant()
    assert found["same"].p_holm == 1.0
    assert found["other"].p_holm == pytest.approx(2 * found["other"].p_t)  # a family of two


def test_rounds_are_compared_one_by_one():
    rng = np.random.default_rng(1)
    random = rng.normal(0.7, 0.01, (8, 5))
    mine = random + rng.normal(0, 0.005, (8, 5)) + [-0.05, 0, 0, 0, 0.05]
    found = per_round_comparison({"random": random, "mine": mine}, "random")["mine"]
    each = [paired_comparison(mine[:, r], random[:, r]) for r in range(5)]
    assert found.difference.tolist() == [c.difference for c in each]
    assert found.low.tolist() == [c.low for c in each]
    assert found.p_holm.tolist() == holm([c.p_t for c in each]).tolist()
    assert found.below().tolist() == [True, False, False, False, False]
    assert found.above().tolist() == [False, False, False, False, True]


def test_without_the_correction_more_rounds_are_significant():
    random = np.zeros((5, 8))
    mine = np.tile([[-1.0], [-1], [-2], [-5], [-5]], 8)
    mine[:, 1:] *= np.random.default_rng(0).choice([-1, 1], (5, 7))
    runs = {name: np.tile(np.arange(5)[:, None], 8) for name in ("random", "mine")}
    found = per_round_comparison({"random": random, "mine": mine}, "random", runs=runs)["mine"]
    assert found.p_t[0] == pytest.approx(2 * stats.t.sf(2.8 / (4.2 / 5) ** 0.5, 4))
    assert not found.below().any() and found.below(corrected=False)[0]


def test_runs_that_ended_early_leave_fewer_seeds():
    random = np.random.default_rng(0).normal(0.7, 0.01, (4, 3))
    mine = random + 0.1 * np.random.default_rng(1).random((4, 3))
    mine[0, 2] = np.nan
    random[1:, 1] = np.nan
    found = per_round_comparison({"random": random, "mine": mine}, "random")["mine"]
    assert found.n.tolist() == [4, 1, 3]
    assert np.isnan(found.p_holm[1]) and not found.above()[1]
    assert found.p_holm[0] == pytest.approx(min(1, found.p_t[[0, 2]].min() * 2), rel=1e-9) or (
        found.p_t[0] > found.p_t[2]
    )


def test_runs_that_are_equal_up_to_a_round_are_one_observation():
    rng = np.random.default_rng(2)
    random = rng.normal(0.7, 0.01, (6, 4))
    mine = rng.normal(0.9, 0.01, (6, 4))
    mine[:, 0] = 0.9  # a deterministic first batch
    mine[:4, 1] = 0.91
    found = per_round_comparison({"random": random, "mine": mine}, "random")["mine"]
    assert found.independent.tolist() == [1, 3, 6, 6]
    assert np.isnan(found.p_t).tolist() == [True, False, False, False]
    assert found.above().tolist() == [False, True, True, True]


def test_rounds_are_corrected_for_all_tested_strategies():
    rng = np.random.default_rng(3)
    curves = {name: rng.normal(0.7, 0.01, (6, 3)) for name in ("random", "a", "b")}
    found = per_round_comparison(curves, "random")
    p = np.concatenate([found[name].p_t for name in ("a", "b")])
    assert np.concatenate([found[name].p_holm for name in ("a", "b")]).tolist() == holm(p).tolist()
    some = correct_rounds(found, {"b"})
    assert np.isnan(some["a"].p_holm).all() and not some["a"].above().any()
    assert some["b"].p_holm.tolist() == holm(found["b"].p_t).tolist()
    assert np.isnan(correct_rounds(found, ())["b"].p_holm).all()


def test_an_unknown_baseline_raises_an_error():
    with pytest.raises(UnknownNameError) as caught:
        compare_with_baseline({"random": [1, 2], "margin": [1, 2]}, "rando")
    assert str(caught.value) == (
        "unknown baseline 'rando'. Did you mean 'random'? Known: margin, random."
    )


def test_curves_of_different_rounds_raise_an_error():
    with pytest.raises(UsageError) as caught:
        per_round_comparison({"random": np.zeros((3, 4)), "a": np.zeros((3, 5))}, "random")
    assert str(caught.value) == (
        "the curves of 'a' have the shape (3, 5) and those of 'random' (3, 4): give (S, R) "
        "accuracies, the same seeds and rounds for all."
    )
