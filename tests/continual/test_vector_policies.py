"""Replay policies by vectors, compared with plain float64 code."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.continual.memory import ExperienceBatch, Fixed, Memory, Share
from embedpipe.continual.policy import get_policy
from embedpipe.continual.vector_policies import ClosestToCentre, Herding, KCenter
from embedpipe.index.vectors import unit_length


def keep(name, matrix, codes, rows, size):
    """Return the kept rows, the best first."""
    rows = np.asarray(rows)
    seen = ExperienceBatch(0, rows, codes[rows], matrix[rows], None, len(rows))
    kept = get_policy(name).update(Memory.empty(), seen, size, np.random.default_rng(0))
    return kept.rows[np.argsort(kept.keys)].tolist()


def unit(matrix):
    return unit_length(matrix).astype(np.float64)


def herding(matrix, rows, n):
    """Herding in plain code."""
    vectors, left = unit(matrix), sorted(rows)
    mean = sum(vectors[row] for row in left) / len(left)
    picks, total = [], np.zeros(matrix.shape[1])
    for k in range(1, n + 1):
        gaps = [math.dist(mean, (total + vectors[row]) / k) for row in left]
        picks.append(left.pop(int(np.argmin(gaps))))
        total = total + vectors[picks[-1]]
    return picks


def closest(matrix, rows, n):
    vectors, left = unit(matrix), sorted(rows)
    mean = sum(vectors[row] for row in left) / len(left)
    return sorted(left, key=lambda row: math.dist(mean, vectors[row]))[:n]


def kcenter(matrix, rows, n):
    vectors, left = unit(matrix), sorted(rows)
    picks = closest(matrix, rows, 1)
    left.remove(picks[0])
    while len(picks) < n:
        away = [np.linalg.norm(vectors[picks] - vectors[row], axis=1).min() for row in left]
        picks.append(left.pop(int(np.argmax(away))))
    return picks


def in_turns(of_class, matrix, codes, rows, n):
    """Rank each class, then take the first of each, the second of each, and so on."""
    classes = sorted(set(codes[rows].tolist()))
    ranked = [of_class(matrix, [r for r in rows if codes[r] == c], None) for c in classes]
    turns = [
        ranking[turn]
        for turn in range(max(map(len, ranked)))
        for ranking in ranked
        if turn < len(ranking)
    ]
    return turns[:n]


REFERENCES = {
    "herding": lambda matrix, codes, rows, n: in_turns(
        lambda m, r, _: herding(m, r, len(r)), matrix, codes, rows, n
    ),
    "closest_to_centre": lambda matrix, codes, rows, n: in_turns(
        lambda m, r, _: closest(m, r, len(r)), matrix, codes, rows, n
    ),
    "kcenter": lambda matrix, codes, rows, n: kcenter(matrix, rows, n),
}
every = pytest.mark.parametrize("name", sorted(REFERENCES))


def problem(seed, n=70, d=9, classes=3):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((n, d)).astype(np.float32) * rng.uniform(0.01, 50, (n, 1))
    matrix = (matrix + 2 * rng.standard_normal(d)).astype(np.float32)
    return matrix, rng.integers(0, classes, n), rng.permutation(n)[: n - 10].tolist()


@every
@pytest.mark.parametrize("seed", range(5))
def test_picks_equal_the_plain_algorithms(name, seed):
    matrix, codes, rows = problem(seed)
    for n in (1, 2, 11, 60):
        assert keep(name, matrix, codes, rows, Fixed(n)) == REFERENCES[name](matrix, codes, rows, n)


@every
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 20), d=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_copies_go_to_the_lowest_row(name, seed, n, d):
    """Of two equal vectors the higher row is never picked before the lower one."""
    rng = np.random.default_rng(seed)
    distinct = rng.standard_normal((10, d)).astype(np.float32)
    matrix = np.repeat(distinct, 2, axis=0)[rng.permutation(20)]
    codes, rows = rng.integers(0, 2, 20), rng.permutation(20).tolist()
    found = keep(name, matrix, codes, rows, Fixed(n))
    for low in range(20):
        for high in range(low + 1, 20):
            alike = name == "kcenter" or codes[low] == codes[high]
            if alike and np.array_equal(matrix[low], matrix[high]) and high in found:
                assert low in found[: found.index(high)]


@every
def test_only_directions_count(name):
    matrix, codes, rows = problem(1)
    scaled = matrix * np.float32(2) ** np.arange(-35, 35, dtype=np.float32)[:, None]
    assert keep(name, scaled, codes, rows, Fixed(20)) == keep(name, matrix, codes, rows, Fixed(20))


@pytest.mark.parametrize("name", ["herding", "closest_to_centre", "kcenter"])
def test_distances_below_float32_precision_are_compared_exactly(name):
    """All vectors are within a thousandth of each other: float32 products are too imprecise."""
    rng = np.random.default_rng(0)
    matrix = (1 + 1e-3 * rng.standard_normal((150, 60))).astype(np.float32)
    codes, rows = np.zeros(150, dtype=np.int64), rng.permutation(150).tolist()
    assert keep(name, matrix, codes, rows, Fixed(40)) == REFERENCES[name](matrix, codes, rows, 40)


def test_a_circle_by_hand():
    """Five directions at 0, 10, 40, 80 and 90 degrees; their mean points to 43.8 degrees."""
    angles = np.radians([0, 10, 40, 80, 90])
    circle = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    # Around 43.8 degrees lie 40, then 10 (33.8 off), 80 (36.2), 0 (43.8) and 90 (46.2).
    assert ClosestToCentre().of_class(circle, 5).tolist() == [2, 1, 3, 0, 4]
    # From 40 the farthest is 90 (50 off), then 0 (40); 10 and 80 are 10 off both.
    assert KCenter().chosen(circle, np.zeros(5, np.int64), 3).tolist() == [2, 4, 0]
    # The mean is shorter than 1, so herding then balances 40 by two on either side.
    assert Herding().of_class(circle, 3).tolist() == herding(circle, range(5), 3)
    assert set(Herding().of_class(circle, 5).tolist()) == set(range(5))


def test_herding_is_closer_to_the_mean_than_closest_to_centre():
    matrix, codes, rows = problem(3, n=300, classes=1)
    vectors = unit_length(matrix).astype(np.float64)
    mean = vectors[rows].mean(axis=0)
    gaps = {
        name: np.linalg.norm(vectors[keep(name, matrix, codes, rows, Fixed(20))].mean(0) - mean)
        for name in ("herding", "closest_to_centre", "random")
    }
    assert gaps["herding"] < 0.2 * min(gaps["closest_to_centre"], gaps["random"])


@pytest.mark.parametrize("name", ["herding", "closest_to_centre"])
def test_quotas_are_divided_over_the_classes_of_the_experience(name):
    matrix, _, _ = problem(0)
    codes = np.array([5] * 40 + [2] * 3 + [9] * 27)
    rows = np.random.default_rng(1).permutation(70)
    counts = {
        n: np.bincount(codes[keep(name, matrix, codes, rows, Fixed(n))], minlength=10)[[2, 5, 9]]
        for n in (2, 7, 9, 20)
    }
    assert {n: found.tolist() for n, found in counts.items()} == {
        2: [1, 1, 0],
        7: [3, 2, 2],
        9: [3, 3, 3],
        20: [3, 9, 8],
    }
    share = keep(name, matrix, codes, rows, Share(0.1))
    assert np.bincount(codes[share], minlength=10)[[2, 5, 9]].tolist() == [3, 2, 2]


def test_later_rows_are_the_beginning_of_the_ranking():
    matrix, codes, rows = problem(2, n=70)
    parts = [rows[:30], rows[30:60]]
    memory, policy = Memory.empty(), get_policy("herding")
    for number, part in enumerate(parts):
        seen = ExperienceBatch(number, part, codes[part], matrix[part], None, 30 * (number + 1))
        memory = policy.update(memory, seen, Fixed(12), np.random.default_rng(0))
    for number, part in enumerate(parts):
        own = memory.take(np.flatnonzero(memory.experience == number))
        order = own.rows[np.argsort(own.keys)].tolist()
        assert order == REFERENCES["herding"](matrix, codes, part, 6)
