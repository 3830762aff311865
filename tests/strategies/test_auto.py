import numpy as np
import pytest

from embedpipe.errors import UnknownNameError, UsageError
from embedpipe.heads import LogisticHead
from embedpipe.strategies import Auto, Pool, get_strategy


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


# Decisions


def test_without_labels():
    matrix, _ = blobs()
    selection = choose(Pool(matrix), 6)
    plain = get_strategy("doubtful_coverage(doubt=false)")
    same(selection, plain.select(Pool(matrix), 6, np.random.default_rng(0)))
    assert selection.diagnostics["phase"] == "typical"
    assert selection.diagnostics["reason"] == "there are no labels yet"
    assert selection.diagnostics["strategy"] == "doubtful_coverage(doubt=false)"
    assert "labels_per_class" not in selection.diagnostics


def decision(pool, **options):
    found = choose(pool, **options).diagnostics
    return found["phase"], found["reason"]


def test_each_reason():
    matrix, which = blobs()
    assert decision(pool_of(matrix, [0, 1], which[[0, 1]])) == (
        "typical",
        "all 2 labels are of one class",
    )
    rows = [0, 1, 40, 41, 80]
    assert decision(pool_of(matrix, rows, which[rows], head=False)) == (
        "typical",
        "there is no head to measure uncertainty",
    )
    assert decision(pool_of(matrix, rows, which[rows])) == (
        "uncertain",
        "a head predicts 3 classes from 5 labels",
    )


def test_the_diagnostics_have_the_numbers():
    matrix, which = blobs()
    rows = [0, 1, 2, 40, 41, 80]
    found = choose(pool_of(matrix, rows, which[rows])).diagnostics
    assert found["labels_per_class"] == 2
    assert found["unseen"] == 1 / 6


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
