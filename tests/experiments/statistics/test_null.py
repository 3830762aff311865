"""Equal strategies rarely differ significantly."""

import numpy as np
import pytest

from embedpipe.experiments.statistics import (
    compare_with_baseline,
    holm,
    paired_comparison,
    per_round_comparison,
    wins_ties_losses,
)


def continuous(rng, shape):
    return rng.normal(0.8, 0.015, shape)


def tied(rng, shape):
    """Accuracies on 372 test items of seeds with small differences: mostly ties."""
    return np.round(rng.normal(0.8, 0.003, shape) * 372) / 372


def uneven(rng, shape):
    """Accuracies with a failed seed from time to time."""
    return continuous(rng, shape) - 0.1 * (rng.random(shape) < 0.1)


KINDS = [continuous, tied, uneven]


def limit(trials, rate=0.05):
    """Return a count that this rate exceeds in 1 of 1,000 simulations."""
    return trials * rate + 3.1 * np.sqrt(trials * rate * (1 - rate))


def check_two(kind, n, trials):
    rng = np.random.default_rng([n, trials])
    by_t = by_rank = 0
    for _ in range(trials):
        found = paired_comparison(kind(rng, n), kind(rng, n))
        by_t += found.significant()
        by_rank += found.p_wilcoxon <= 0.05
    assert by_t <= limit(trials)
    assert by_rank <= limit(trials)
    if n == 5:
        assert by_rank == 0  # the minimum p-value is 0.0625


def check_family(kind, n, trials):
    rng = np.random.default_rng([n, trials, 5])
    by_t = by_rank = in_matrix = 0
    for _ in range(trials):
        values = dict(zip("abcdef", kind(rng, (6, n)), strict=True))
        found = compare_with_baseline(values, "a").values()
        by_t += any(each.significant() for each in found)
        by_rank += bool((holm([each.p_wilcoxon for each in found]) <= 0.05).any())
        in_matrix += wins_ties_losses({"one": values}).wins.any()
    assert by_t <= limit(trials) and by_rank <= limit(trials) and in_matrix <= limit(trials)


def check_rounds(kind, n, trials):
    rng = np.random.default_rng([n, trials, 10])
    below = 0
    for _ in range(trials):
        drift = rng.normal(0, 0.01, (2, n, 1))  # rounds of a seed go together
        random, mine = kind(rng, (2, n, 10)) + drift
        found = per_round_comparison({"random": random, "mine": mine}, "random")["mine"]
        below += bool((found.below() | found.above()).any())
    assert below <= limit(trials)


CHECKS = [(check_two, 200), (check_family, 60), (check_rounds, 60)]


@pytest.mark.parametrize("n", [5, 10])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("check", "trials"), CHECKS)
def test_equal_strategies_rarely_differ_significantly(check, trials, kind, n):
    check(kind, n, trials)


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("check", "trials"), CHECKS)
def test_in_a_thousand_trials(check, trials, kind, n):
    check(kind, n, 1000)


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10])
def test_the_rate_itself(n):
    trials, rng = 20_000, np.random.default_rng(n)
    count = sum(paired_comparison(tied(rng, n), tied(rng, n)).significant() for _ in range(trials))
    assert count <= 0.05 * trials + 2 * np.sqrt(0.05 * 0.95 * trials)
