import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.errors import UnknownNameError, UsageError
from embedpipe.heads import LogisticHead
from embedpipe.strategies import Auto, Pool, get_strategy
from embedpipe.strategies.auto import Readiness


def blobs(classes=3, size=40, spread=0.3, seed=0):
    """Return points around `classes` centres, and which centre each is of."""
    rng = np.random.default_rng(seed)
    which = np.repeat(np.arange(classes), size)
    centres = 5 * np.eye(classes, 6)
    noise = spread * rng.standard_normal((which.size, 6))
    return (centres[which] + noise).astype(np.float32), which


def pool_of(matrix, labelled, labels, head=True, **more):
    if head:
        more["head"] = LogisticHead(C=10.0).fit(matrix[labelled], labels)
    return Pool(matrix, labelled=labelled, labels=labels, **more)


def choose(pool, n=5, seed=0, **options):
    strategy = get_strategy("auto", **options)
    return strategy.select(pool, n, np.random.default_rng(seed))


def same(left, right):
    assert left.rows.tolist() == right.rows.tolist()
    assert left.scores.tolist() == right.scores.tolist()


# Readiness


def test_readiness_worked_out_by_hand():
    # Means 0.5 (a), 10 (b), 4.4 (c). Leave-one-out: 0 and 1 are right; 9 and 11 are 2 away from
    # each other, their mean; 4.4 is the only c, so it is wrong.
    matrix = np.array([[0], [9], [1], [11], [4.4]], dtype=np.float32)
    pool = Pool(matrix, labelled=np.arange(5), labels=list("ababc"))
    assert Readiness.of(pool) == Readiness(5, 3, 0.2, 0.8, 0.4)
    # Without 4, the mean of a is 8, so 4 is nearer to the mean of b (2); the others are right.
    matrix = np.array([[4], [8], [1], [3]], dtype=np.float32)
    pool = Pool(matrix, labelled=np.arange(4), labels=list("aabb"))
    assert Readiness.of(pool).accuracy == 0.75


@settings(max_examples=100, deadline=None)
@given(
    m=st.integers(1, 40),
    classes=st.integers(1, 6),
    d=st.integers(1, 5),
    shift=st.sampled_from([0, 100]),
    seed=st.integers(0, 10**6),
)
def test_accuracy_equals_that_of_means_computed_for_each_item(m, classes, d, shift, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, m)
    matrix = (rng.standard_normal((m, d)) + labels[:, None] + shift).astype(np.float32)
    right = 0
    for out in range(m):
        rest = np.arange(m) != out
        known = np.unique(labels[rest])
        if labels[out] not in known:
            continue
        means = [matrix[rest & (labels == name)].astype(float).mean(axis=0) for name in known]
        away = [np.square(matrix[out] - mean).sum() for mean in means]
        right += known[int(np.argmin(away))] == labels[out]
    order = rng.permutation(m)
    found = Readiness.of(Pool(matrix, labelled=order, labels=labels[order]))
    assert found.accuracy == pytest.approx(right / m)
    assert found.chance == np.bincount(labels).max() / m
    assert found.unseen == (np.bincount(labels) == 1).sum() / m


@pytest.mark.parametrize("scale", [1e-25, 1e18])
def test_extreme_scales_change_nothing(scale):
    matrix, which = blobs(spread=2.0)
    plain = Readiness.of(Pool(matrix, labelled=np.arange(120), labels=which))
    scaled = (matrix * np.float32(scale)).astype(np.float32)
    assert Readiness.of(Pool(scaled, labelled=np.arange(120), labels=which)) == plain
    assert plain.accuracy < 1


# Decisions


def test_without_labels():
    matrix, _ = blobs()
    selection = choose(Pool(matrix), 6)
    plain = get_strategy("doubtful_coverage(doubt=false)")
    same(selection, plain.select(Pool(matrix), 6, np.random.default_rng(0)))
    assert selection.diagnostics["phase"] == "typical"
    assert selection.diagnostics["reason"] == "there are no labels yet"
    assert selection.diagnostics["strategy"] == "doubtful_coverage(doubt=false)"
    assert "accuracy" not in selection.diagnostics


def decision(pool, **options):
    found = choose(pool, **options).diagnostics
    return found["phase"], found["reason"]


def test_each_reason():
    matrix, which = blobs()
    assert decision(pool_of(matrix, [0, 1], which[[0, 1]])) == (
        "typical",
        "all 2 labels are of one class",
    )
    assert decision(pool_of(matrix, [0, 1, 40], which[[0, 1, 40]])) == (
        "typical",
        "3 labels do not separate 2 classes yet: leave-one-out accuracy 67%, 67% by guessing",
    )
    rows = [0, 1, 40, 41]
    assert decision(pool_of(matrix, rows, ["a", "b", "a", "b"])) == (
        "typical",
        "4 labels do not separate 2 classes yet: leave-one-out accuracy 0%, 50% by guessing",
    )
    rows = [0, 1, 40, 41, 80, 81]
    assert decision(pool_of(matrix, rows, which[rows], head=False)) == (
        "typical",
        "there is no head to measure uncertainty",
    )
    assert decision(pool_of(matrix, rows, which[rows])) == (
        "uncertain",
        "6 labels separate 3 classes: leave-one-out accuracy 100%",
    )


def test_the_diagnostics_have_the_numbers():
    matrix, which = blobs()
    rows = [0, 1, 2, 40, 41, 80]
    found = choose(pool_of(matrix, rows, which[rows])).diagnostics
    assert found["labels_per_class"] == 2
    assert found["unseen"] == 1 / 6
    assert found["accuracy"] == 5 / 6
    assert found["chance"] == 0.5


def test_classes_with_one_label_count_as_errors():
    matrix, which = blobs()
    rows = np.r_[0:4, 40:44, 80]  # 8 of 9 are right; the most frequent class has 4
    assert decision(pool_of(matrix, rows, which[rows]))[0] == "uncertain"
    labels = ["a", "a", "b", "c", "d", "e", "f", "g", "h"]  # at most 2 of 9 can be
    phase, reason = decision(pool_of(matrix, rows, labels))
    assert phase == "typical"
    assert reason.startswith("9 labels do not separate 8 classes yet")


def test_the_late_strategy_selects():
    matrix, which = blobs()
    rows = [0, 1, 40, 41, 80, 81]
    pool = pool_of(matrix, rows, which[rows])
    for late in ("dropquery", "margin", "combine(margin, diversity^2)"):
        selection = choose(pool, late=late, seed=3)
        same(selection, get_strategy(late).select(pool, 5, np.random.default_rng(3)))
        assert selection.diagnostics["strategy"] == late


def test_without_a_head_predictions_are_enough():
    matrix, which = blobs()
    rows = [0, 1, 40, 41, 80, 81]
    predictions = np.random.default_rng(0).dirichlet([1, 1, 1], len(matrix))
    pool = pool_of(matrix, rows, which[rows], False, probabilities=lambda some: predictions[some])
    assert choose(pool).diagnostics["strategy"] == "doubtful_coverage"
    found = choose(pool, late="dropquery").diagnostics  # it predicts vectors that are not items
    assert found["strategy"] == "doubtful_coverage(doubt=false)"
    assert found["reason"] == "there is no head to measure uncertainty"


def test_the_order_of_labels_does_not_matter():
    matrix, which = blobs(spread=2.0)
    rows = np.random.default_rng(1).permutation(120)[:30]
    one = choose(pool_of(matrix, rows, which[rows], False))
    other = choose(pool_of(matrix, rows[::-1], which[rows[::-1]], False))
    same(one, other)
    assert one.diagnostics["accuracy"] == other.diagnostics["accuracy"]


def test_wrong_options_are_refused():
    with pytest.raises(UsageError) as caught:
        get_strategy("auto(early=margin)")
    assert str(caught.value) == (
        "early is 'margin', which needs labels: give a strategy that needs no labels."
    )
    with pytest.raises(UnknownNameError, match="unknown strategy 'marginal'"):
        get_strategy("auto(late=marginal)")
    strategy = get_strategy('auto(late="combine(margin, diversity(min_distance=2))")')
    assert strategy.may_stop_early is True


def test_has_head_and_has_predictions():
    matrix, which = blobs()
    bare = Pool(matrix)
    assert (bare.has_head, bare.has_predictions) == (False, False)
    given = Pool(matrix, probabilities=lambda rows: np.ones((rows.size, 1)))
    assert (given.has_head, given.has_predictions) == (False, True)
    fitted = pool_of(matrix, [0, 40], which[[0, 40]])
    assert (fitted.has_head, fitted.has_predictions) == (True, True)


def test_distinct_follows_from_the_strategies():
    assert Auto().distinct is True
    assert Auto(late="margin").distinct is False
