from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.strategies.algorithms import coverage
from embedpipe.strategies.algorithms import lazy_greedy as module
from embedpipe.strategies.algorithms.coverage import SparseCoverage
from embedpipe.strategies.algorithms.lazy_greedy import lazy_greedy


def random_lists(seed, p, quarters):
    """Return lists in which many gains tie: similarities are quarters, or all 1."""
    rng = np.random.default_rng(seed)
    lists = [
        np.flatnonzero(rng.random(p) < rng.choice([0, 0.1, 0.5])).astype(np.int32) for _ in range(p)
    ]
    starts = np.concatenate([[0], np.cumsum([each.size for each in lists])])
    members = np.concatenate(lists) if starts[-1] else np.empty(0, np.int32)
    similarity = (rng.integers(0, 5, members.size) / 4).astype(np.float32) if quarters else None
    return starts, members, similarity, rng.integers(0, 4, p) + (np.arange(p) == 0)


def plain(starts, members, similarity, weights, points, n):
    """The greedy algorithm with every gain before every pick, in fractions."""
    p = weights.size
    like = [[Fraction(0)] * p for _ in range(p)]
    for j in range(p):
        for e in range(starts[j], starts[j + 1]):
            like[j][members[e]] = Fraction(float(similarity[e])) if similarity is not None else 1
    covered, left, picks = [Fraction(0)] * p, list(points), []
    while len(picks) < n:
        gains = [
            sum(int(weights[i]) * max(like[j][i] - covered[i], 0) for i in range(p)) for j in left
        ]
        best = max(range(len(left)), key=lambda at: (gains[at], -at))
        picks.append((left[best], gains[best] / int(weights.sum())))
        covered = [max(c, x) for c, x in zip(covered, like[left[best]], strict=True)]
        del left[best]
    return picks


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    p=st.integers(1, 18),
    quarters=st.booleans(),
    front=st.sampled_from([1, 2, 5, 4096]),
    batch=st.sampled_from([(1, 1), (1, 4), (64, 1024)]),
    edges=st.sampled_from([1, 7, 1 << 18]),
    data=st.data(),
)
def test_picks_and_gains_are_those_of_the_plain_algorithm(
    seed, p, quarters, front, batch, edges, data
):
    lists = random_lists(seed, p, quarters)
    points = np.random.default_rng(seed).permutation(p)[: data.draw(st.integers(1, p))]
    n = data.draw(st.integers(1, points.size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FRONT", front)
        patch.setattr(module, "BATCH", batch)
        patch.setattr(coverage, "EDGES", edges)
        found = lazy_greedy(SparseCoverage(*lists), points, n)
    expected = plain(*lists, points.tolist(), n)
    assert found.points.tolist() == [point for point, _ in expected]
    np.testing.assert_allclose(found.gains, [float(gain) for _, gain in expected], atol=1e-12)


def test_the_first_of_several_in_the_order_given_is_picked():
    lists = np.arange(4), np.arange(3, dtype=np.int32), None, np.ones(3, dtype=int)
    assert lazy_greedy(SparseCoverage(*lists), np.array([1, 2, 0]), 3).points.tolist() == [1, 2, 0]


def test_while_positive_stops_when_no_point_has_a_gain():
    # Point 0 covers both, so nothing is left for point 1.
    coverage = SparseCoverage(np.array([0, 2, 3]), np.array([0, 1, 1]), None, np.array([1, 3]))
    found = lazy_greedy(coverage, np.arange(2), 2, while_positive=True)
    assert (found.points.tolist(), found.gains.tolist()) == ([0], [1.0])
    assert coverage.value == 1.0


def test_few_gains_are_recomputed():
    class Counting(SparseCoverage):
        looked = 0

        def gains(self, points):
            self.looked += points.size
            return super().gains(points)

    p = 5000  # each point covers the next i % 97 points, so few picks overlap
    counts = np.arange(p) % 97
    starts = np.concatenate([[0], counts.cumsum()])
    members = np.concatenate([(i + np.arange(c)) % p for i, c in enumerate(counts)])
    coverage = Counting(starts, members, None, np.ones(p, dtype=int))
    lazy_greedy(coverage, np.arange(p), 40)
    assert coverage.looked < 3 * p  # the plain algorithm evaluates 40 p
