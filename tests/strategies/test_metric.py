"""What holds for every strategy that measures distances, by either metric."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.errors import UsageError
from embedpipe.heads import LogisticHead
from embedpipe.index import Index, UnitRows
from embedpipe.strategies import Pool, get_strategy, strategies
from embedpipe.strategies.objectives import objectives

GEOMETRIC = [
    name for name in strategies if "metric" in inspect.signature(strategies[name]).parameters
]
COMBINED = [
    "combine(diversity(metric={}))",
    "combine(margin, diversity(metric={}))",
    "combine(typicality(metric={}))",
    "combine(similarity(metric={}))",
]
SPECS = [f"{name}(metric={{}})" for name in GEOMETRIC] + COMBINED
every_geometric = pytest.mark.parametrize("spec", SPECS)

DEFAULTS = {"probcover": "euclidean"}
"""Strategies whose default is not cosine."""


@pytest.fixture(scope="module")
def photos():
    """Return (400, 24) features like a network's, whose lengths differ, and their classes."""
    rng = np.random.default_rng(11)
    classes = rng.integers(0, 3, 400)
    centres = rng.standard_normal((3, 24))
    matrix = np.maximum(centres[classes] + rng.standard_normal((400, 24)), 0) + 0.01
    return (matrix * rng.uniform(0.3, 3.0, (400, 1))).astype(np.float32), classes


def select(spec, metric, matrix, classes, n=25, examples=None):
    labelled = np.arange(0, 40, 2)
    head = LogisticHead(C=10.0).fit(matrix[labelled], classes[labelled])
    pool = Pool(
        matrix,
        labelled=labelled,
        labels=classes[labelled],
        head=head,
        examples=matrix[[1, 3]] if examples is None else examples,
    )
    return get_strategy(spec.format(metric)).select(pool, n, np.random.default_rng(0))


def test_every_strategy_that_uses_the_vectors_has_the_option():
    without = set(strategies) - set(GEOMETRIC)
    assert without == {
        *("random", "least_confidence", "margin", "entropy", "bald", "power_bald", "logdet_bald"),
        *("query_by_committee", "galaxy", "combine", "auto", "refine"),
    }
    measured = {"diversity", "similarity", "target_similarity", "typicality"}
    assert {name for name in objectives if hasattr(objectives[name], "metric")} == measured


@pytest.mark.parametrize("name", GEOMETRIC)
def test_the_default_metric(name):
    assert get_strategy(name).metric == DEFAULTS.get(name, "cosine")
    assert str(get_strategy(name, metric="euclidean")) == (
        name if name in DEFAULTS else f"{name}(metric=euclidean)"
    )


@every_geometric
def test_lengths_change_no_bit_by_cosine(spec, photos):
    matrix, classes = photos
    factors = (2.0 ** np.random.default_rng(1).integers(-20, 20, (400, 1))).astype(np.float32)
    plain = select(spec, "cosine", matrix, classes)
    scaled = select(spec, "cosine", matrix * factors, classes)
    assert scaled.rows.tolist() == plain.rows.tolist()
    assert scaled.scores.tolist() == pytest.approx(plain.scores.tolist(), rel=1e-6)


@every_geometric
def test_lengths_change_no_pick_by_cosine(spec, photos):
    matrix, classes = photos
    factors = np.random.default_rng(2).uniform(0.01, 100, (400, 1)).astype(np.float32)
    plain = select(spec, "cosine", matrix, classes)
    scaled = select(spec, "cosine", matrix * factors, classes)
    assert scaled.rows.tolist() == plain.rows.tolist()


@every_geometric
def test_cosine_is_euclidean_between_rows_of_unit_length(spec, photos):
    matrix, classes = photos
    unit = matrix.astype(np.float64)
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    found = select(spec, "cosine", matrix, classes, examples=matrix[[1, 3]])
    expected = select(spec, "euclidean", unit, classes)
    assert found.rows.tolist() == expected.rows.tolist()


@every_geometric
def test_lengths_matter_with_the_euclidean_metric(spec, photos):
    matrix, classes = photos
    factors = np.random.default_rng(2).uniform(0.01, 100, (400, 1)).astype(np.float32)
    plain = select(spec, "euclidean", matrix, classes)
    scaled = select(spec, "euclidean", matrix * factors, classes)
    assert scaled.rows.tolist() != plain.rows.tolist()


@pytest.mark.parametrize("spec", SPECS)
def test_another_metric_is_refused(spec):
    with pytest.raises(UsageError) as caught:
        get_strategy(spec.format("manhattan"))
    assert str(caught.value) == "metric is 'manhattan': give 'cosine' or 'euclidean'."


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_an_index_of_either_metric_serves_both(metric, photos):
    matrix, _ = photos
    for spec in ("typiclust", "typiclust(metric=euclidean)", "facility_location"):
        alone = get_strategy(spec).select(Pool(matrix), 10, np.random.default_rng(0))
        shared = Pool(matrix, index=Index(matrix, metric=metric))
        found = get_strategy(spec).select(shared, 10, np.random.default_rng(0))
        assert found.rows.tolist() == alone.rows.tolist()


def test_predictions_are_computed_once_for_both_metrics(photos):
    matrix, _ = photos
    asked = []

    def probabilities(rows):
        asked.append(rows.size)
        return np.full((rows.size, 2), 0.5)

    pool = Pool(matrix, labelled=[0, 1], labels=[0, 1], probabilities=probabilities)
    for metric in ("cosine", "euclidean", "cosine"):
        get_strategy("coral", metric=metric).select(pool, 3, np.random.default_rng(0))
    assert asked == [398]


# Core-set and CORAL against float64


def directions(matrix):
    """Return (n, d) float64 rows of unit length; zeros stay zeros."""
    wide = matrix.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(lengths > 0, lengths, 1)


def gap(rows, centre):
    """Return squared distances, of which differences below 1e-12 are rounding errors."""
    return np.rint(np.square(rows - centre).sum(axis=-1) * 2.0**40) / 2.0**40


def greedy(matrix, labelled, n, weights=None):
    """Greedy k-center, or its product with weights, in float64, lowest row first."""
    rows = directions(matrix)
    away = np.full(len(rows), np.inf)
    for row in labelled:
        away = np.minimum(away, gap(rows, rows[row]))
    left = np.ones(len(rows), dtype=bool)
    left[list(labelled)] = False
    picks, reach = [], []
    for _ in range(n):
        keys = np.sqrt(away) * (1 if weights is None else weights)
        if not keys[left].max() > 0 and weights is not None:
            keys = np.sqrt(away) if away[left].max() > 0 else weights
        picks.append(int(np.where(left, keys, -1).argmax()))
        reach.append(np.sqrt(away[picks[-1]]))
        left[picks[-1]] = False
        away = np.minimum(away, gap(rows, rows[picks[-1]]))
    return picks, reach


KINDS = [
    "gaussian",
    "counts",
    "binary",
    "cone",
    "tiny",
    "huge",
    "mixed scales",
    "copies",
    "corners",
]


def hard(kind, n, d, rng):
    """Return rows whose directions are hard in one way."""
    matrix = rng.standard_normal((n, d))
    if kind == "counts":
        matrix = rng.integers(0, 4, (n, d))  # many equal directions, and zeros
    elif kind == "binary":
        matrix = rng.integers(0, 2, (n, d))  # distances that are equal up to rounding
    elif kind == "cone":
        matrix = 1 + 1e-4 * matrix  # all directions nearly the same
    elif kind == "tiny":
        matrix *= 1e-25
    elif kind == "huge":
        matrix *= 1e37
    elif kind == "mixed scales":
        matrix *= 10.0 ** rng.integers(-30, 30, (n, 1))
    elif kind == "copies":
        matrix = matrix[rng.integers(0, max(1, n // 3), n)] * 2.0 ** rng.integers(-3, 4, (n, 1))
    elif kind == "corners":
        matrix = np.eye(d)[rng.integers(0, d, n)] * rng.integers(1, 9, (n, 1))
    return matrix.astype(np.float32)


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(2, 40),
    d=st.integers(1, 12),
    seed=st.integers(0, 10**6),
    block_size=st.sampled_from([None, 1, 3, 16]),
    data=st.data(),
)
def test_coreset_and_coral_by_cosine_are_those_of_float64(kind, n, d, seed, block_size, data):
    rng = np.random.default_rng(seed)
    matrix = hard(kind, n, d, rng)
    labelled = rng.permutation(n)[: data.draw(st.integers(1, n - 1))]
    count = data.draw(st.integers(1, n - labelled.size))
    pool = Pool(matrix, labelled=labelled)
    chooser = get_strategy("coreset", block_size=block_size)
    selection = chooser.select(pool, count, np.random.default_rng(0))
    picks, reach = greedy(matrix, labelled, count)
    assert selection.rows.tolist() == picks
    np.testing.assert_allclose(selection.scores, reach, rtol=1e-6, atol=1e-7)

    unsure = rng.integers(0, 5, n) / 4
    predictions = np.c_[1 - unsure / 2, unsure / 2]
    pool = Pool(
        matrix,
        labelled=labelled,
        labels=np.zeros(labelled.size, dtype=int),
        probabilities=lambda rows: predictions[rows],
    )
    selection = get_strategy("coral").select(pool, count, np.random.default_rng(0))
    assert selection.rows.tolist() == greedy(matrix, labelled, count, unsure)[0]


@pytest.mark.parametrize("kind", ["gaussian", "counts", "cone", "copies"])
@pytest.mark.parametrize("labelled", [3, 1700])
def test_coreset_of_larger_pools_by_cosine(kind, labelled):
    rng = np.random.default_rng(1)
    matrix = hard(kind, 3000, 24 if kind != "counts" else 4, rng)
    rows = np.sort(rng.permutation(3000)[:labelled])
    selection = get_strategy("coreset").select(
        Pool(matrix, labelled=rows), 300, np.random.default_rng(0)
    )
    assert selection.rows.tolist() == greedy(matrix, rows, 300)[0]


def test_coreset_by_cosine_worked_out_by_hand():
    # Angles 0°, 180°, 90°, 60° from the labelled row, whatever the lengths: 2, √2 and 1 away.
    matrix = np.array([[5, 0], [-9, 0], [0, 0.5], [1, np.sqrt(3)]], dtype=np.float32)
    selection = get_strategy("coreset").select(
        Pool(matrix, labelled=[0]), 3, np.random.default_rng(0)
    )
    assert selection.rows.tolist() == [1, 2, 3]
    np.testing.assert_allclose(selection.scores, [2, np.sqrt(2), np.sqrt(2 - np.sqrt(3))], 1e-6)
    np.testing.assert_allclose(
        selection.diagnostics["radius"], [np.sqrt(2), np.sqrt(2 - np.sqrt(3)), 0], 1e-6, 1e-7
    )


def test_a_row_of_zeros_is_1_away_from_every_direction():
    matrix = np.array([[4, 0], [0, 0], [4, 0.1], [8, 0]], dtype=np.float32)
    selection = get_strategy("coreset").select(
        Pool(matrix, labelled=[0]), 3, np.random.default_rng(0)
    )
    assert selection.rows.tolist() == [1, 2, 3]
    assert selection.scores.tolist() == pytest.approx([1, 0.025, 0], abs=1e-3)


def test_vectors_of_equal_direction_are_duplicates():
    matrix = np.array([[1, 2, 3], [3, 6, 9], [3, 2, 1], [0.5, 1, 1.5]], dtype=np.float32)
    pool = Pool(matrix, labelled=[0])
    for name in ("typiclust", "facility_location", "max_herding", "centroid", "coreset"):
        rows = get_strategy(name).select(pool, 3, np.random.default_rng(0)).rows
        assert rows.tolist() == [2, 1, 3]
    assert pool.measured_by("cosine").unique_labelled.tolist() == [True, False]
    assert pool.unique_labelled.tolist() == [True, False, False, False]


def test_rows_are_never_all_at_unit_length_at_once(monkeypatch):
    matrix = np.random.default_rng(0).standard_normal((20_000, 16)).astype(np.float32)
    largest = []
    plain = UnitRows.narrow

    def watched(self, rows):
        largest.append(rows.size)
        return plain(self, rows)

    monkeypatch.setattr(UnitRows, "narrow", watched)
    get_strategy("coreset").select(Pool(matrix, labelled=[0]), 50, np.random.default_rng(0))
    assert max(largest) <= 4096
