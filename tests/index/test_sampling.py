import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from threadpoolctl import threadpool_limits

from embedpipe.index import DistanceSampler, Drawn, sampling

NEVER, ALWAYS = 1e18, -1e18


def written_out(matrix, factors):
    """Return the items as plain vectors."""
    vectors = matrix.astype(np.float64)
    if factors is None:
        return vectors
    return np.einsum("ic,id->icd", factors.astype(np.float64), vectors).reshape(len(matrix), -1)


def squared_to_nearest(items, centres):
    away = [np.square(items - items[centre]).sum(axis=1) for centre in centres]
    return np.min(away, axis=0)


def make(matrix, factors=None, seed=0):
    rows = np.arange(len(matrix))
    given_factors = None if factors is None else (lambda at: factors[at])
    return DistanceSampler(matrix, rows, np.random.default_rng(seed), factors=given_factors)


def small(kind):
    rng = np.random.default_rng(7)
    matrix = rng.standard_normal((6, 3)).astype(np.float32)
    matrix[4] = matrix[1]
    if kind == "vectors":
        return matrix, None
    factors = rng.standard_normal((6, 2)).astype(np.float32)
    factors[4] = factors[1]
    factors[2] *= 0.1
    return matrix, factors


@pytest.mark.parametrize("refresh", [NEVER, ALWAYS])
@pytest.mark.parametrize("kind", ["vectors", "products"])
def test_draws_follow_the_squared_distances(kind, refresh, monkeypatch):
    monkeypatch.setattr(sampling, "PASS", refresh)
    matrix, factors = small(kind)
    items = written_out(matrix, factors)
    expected = {}
    first = squared_to_nearest(items, [0])
    for second in range(6):
        then = squared_to_nearest(items, [0, second])
        for third in range(6):
            chance = first[second] / first.sum() * (then[third] / then.sum())
            if chance > 0:
                expected[second, third] = chance
    assert sum(expected.values()) == pytest.approx(1)
    runs = 1200
    counts = dict.fromkeys(expected, 0)
    for seed in range(runs):
        sampler = make(matrix, factors, seed)
        sampler.add(0)
        counts[sampler.draw().position, sampler.draw().position] += 1  # KeyError: never possible
    statistic = sum((counts[k] - runs * p) ** 2 / (runs * p) for k, p in expected.items())
    assert statistic < chi2.ppf(0.9999, len(expected) - 1)


def test_the_first_draw_is_uniform():
    matrix, _ = small("vectors")
    counts = np.bincount([make(matrix, seed=seed).draw().position for seed in range(3000)])
    assert (np.square(counts - 500) / 500).sum() < chi2.ppf(0.9999, 5)
    assert make(matrix).draw().squared_distance == np.inf


class Plain:
    """The same rejection sampling with all distances in float64."""

    def __init__(self, items, rng):
        self.items, self.rng, self.centres = items, rng, []
        self.lengths = np.sqrt(np.square(items).sum(axis=1))
        self.bounds = np.full(len(items), np.inf)
        self.batch, self.known, self.size = [], {}, sampling.FEWEST
        self.accepted = None  # in this batch

    def add(self, position):
        self.centres.append(position)
        nearest = self.lengths[self.centres].min()
        self.bounds = np.minimum(self.bounds, (self.lengths + nearest) ** 2)
        self.bounds[position] = 0

    def draw(self):
        while True:
            while self.batch:
                position, needed = self.batch.pop(0)
                true = squared_to_nearest(self.items, self.centres)[position]
                self.known[position] = true
                if true > needed:
                    self.add(position)
                    self.accepted += 1
                    return position
            self.next_batch()

    def next_batch(self):
        for position, true in self.known.items():
            self.bounds[position] = min(self.bounds[position], true)
        if self.accepted is not None:
            self.size = min(2 * self.size, sampling.USUAL if self.accepted else sampling.MOST)
        self.known, self.accepted = {}, 0
        edges = self.bounds.cumsum()
        for where, chance in self.rng.random((self.size, 2)):
            position = int((edges <= where * edges[-1]).sum())
            self.batch.append((position, chance * self.bounds[position]))


@pytest.mark.parametrize("kind", ["vectors", "products"])
@pytest.mark.parametrize("seed", range(20))
def test_with_the_same_random_numbers_it_draws_what_plain_rejection_draws(kind, seed, monkeypatch):
    monkeypatch.setattr(sampling, "PASS", NEVER)
    monkeypatch.setattr(sampling, "BLOCK", 7)
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((90, 8)).astype(np.float32)
    matrix -= matrix.mean(axis=0)  # as the sampler does approximately
    factors = rng.standard_normal((90, 3)).astype(np.float32) if kind == "products" else None
    sampler = make(matrix, factors, seed)
    plain = Plain(written_out(matrix, factors), np.random.default_rng(seed))
    sampler.add(3)
    plain.add(3)
    drawn = [sampler.draw().position for _ in range(60)]
    assert drawn == [plain.draw() for _ in range(60)]


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["gaussian", "grid", "shifted", "far", "tiny", "huge", "copies"]),
    products=st.booleans(),
    n=st.integers(1, 60),
    d=st.integers(1, 9),
    refresh=st.sampled_from([NEVER, ALWAYS, sampling.PASS]),
    seed=st.integers(0, 10**6),
)
def test_bounds_hold_distances_are_true_and_only_copies_are_left(
    kind, products, n, d, refresh, seed
):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((n, d))
    if kind == "grid":
        matrix = rng.integers(-1, 2, size=(n, d))
    elif kind == "copies":
        matrix = matrix[rng.integers(0, n // 3 + 1, size=n)]
    matrix = matrix * {"tiny": 1e-25, "huge": 1e30}.get(kind, 1)
    matrix = (matrix + {"shifted": 1e3, "far": 1e6}.get(kind, 0)).astype(np.float32)
    factors = None
    if products:
        factors = rng.integers(-2, 3, size=(n, 3)).astype(np.float32) / 2
    items = written_out(matrix, factors)
    distinct = len(np.unique(items, axis=0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "PASS", refresh)
        sampler = make(matrix, factors, seed)
        drawn = [sampler.longest()]
        if kind == "grid":  # exact, so that ties are ties
            assert drawn == [int(np.square(items).sum(axis=1).argmax())]
        sampler.add(drawn[0])
        for _ in range(n):
            found = sampler.draw()
            true = squared_to_nearest(items, drawn)
            if found is None:
                break
            assert found.squared_distance == pytest.approx(true[found.position], rel=1e-9)
            drawn.append(found.position)
            true = squared_to_nearest(items, drawn)
            bounds = sampler._bounds.ravel()[:n]
            assert (bounds >= true * (1 - 1e-9)).all()  # both have rounding errors
    assert found is None
    assert len(drawn) == distinct
    assert len(np.unique(items[drawn], axis=0)) == distinct


@pytest.mark.parametrize("products", [False, True])
def test_threads_change_nothing(products):
    rng = np.random.default_rng(1)
    matrix = rng.standard_normal((4000, 64)).astype(np.float32)
    factors = rng.standard_normal((4000, 10)).astype(np.float32) if products else None
    found = []
    for count in (1, 2):
        with threadpool_limits(count), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sampling, "PASS", -10)  # some refreshes
            patch.setattr(sampling, "PROPOSAL", 1e5)
            sampler = make(matrix, factors, 3)
            found.append([sampler.draw() for _ in range(300)])
    assert found[0] == found[1]


def test_many_duplicates_of_few_vectors():
    distinct = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32) + 1000
    matrix = distinct[np.random.default_rng(1).integers(0, 5, size=3000)]
    sampler = make(matrix)
    drawn = list(itertools.takewhile(lambda found: found is not None, iter(sampler.draw, 0)))
    assert len({matrix[found.position].tobytes() for found in drawn}) == len(drawn) == 5


def test_an_added_item_that_was_not_proposed_counts():
    line = np.array([[0], [10], [11], [12]], dtype=np.float32)
    sampler = make(line)
    sampler.add(0)
    sampler.draw()  # there are proposals left now
    for position in (1, 2, 3):
        sampler.add(position)
    assert sampler.draw() is None


def test_the_longest_is_the_lowest_of_equals():
    matrix = np.array([[1, 0], [3, 0], [0, 3], [2, 2]], dtype=np.float32)
    assert make(matrix).longest() == 1
    factors = np.array([[1], [1], [-1], [1.5]], dtype=np.float32)
    sampler = make(matrix, factors)
    assert sampler.longest() == 3
    assert sampler.norms(np.array([0, 3])).tolist() == [1, np.sqrt(18)]


def test_one_item_is_drawn_once():
    sampler = make(np.ones((1, 2), dtype=np.float32))
    assert [sampler.draw(), sampler.draw()] == [Drawn(0, np.inf), None]
