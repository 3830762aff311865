import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.errors import SelectionError
from embedpipe.strategies import Pool, get_strategy
from embedpipe.strategies.galaxy import _bisected


class Head:
    """Knows the classes; predictions come from a table whose rows are the first feature."""

    def __init__(self, predictions):
        self.predictions = np.asarray(predictions)
        self.classes_ = np.arange(self.predictions.shape[1])

    def predict_proba(self, vectors):
        return self.predictions[vectors[:, 0].astype(int)]


def make(predictions, labelled, labels):
    matrix = np.arange(len(predictions), dtype=np.float32)[:, None]
    return Pool(matrix, labelled=labelled, labels=labels, head=Head(predictions))


def select(pool, n):
    return get_strategy("galaxy").select(pool, n, np.random.default_rng(0))


def binary(second):
    second = np.asarray(second, dtype=np.float64)
    return np.c_[1 - second, second]


def test_picks_worked_out_by_hand():
    # Class 1 has one label and goes first. In its order, by row, the cut is 3 to 8: the
    # middle of 4, 5, 6, 7 is 6, and so on; class 0 has the reverse order.
    pool = make(binary(np.arange(12) / 12), [0, 3, 8], [0, 0, 1])
    selection = select(pool, 9)
    assert selection.diagnostics["class_index"].tolist() == [1, 0] * 4 + [1]
    assert selection.diagnostics["cut"].tolist() == [4] * 9
    # Of class 1: 6, 7, 5, 4, then 9, 2, 10, 1, 11. Of class 0: 5, 4, 6, 7, then 2, 9, 1, 10, 11.
    assert selection.rows.tolist() == [6, 5, 7, 4, 9, 2, 10, 1, 11]
    np.testing.assert_allclose(selection.diagnostics["margin"][:2], [0, 2 / 12], atol=1e-6)
    np.testing.assert_allclose(selection.scores[:2], [1, 10 / 12], atol=1e-6)


def test_the_shortest_cut_with_unlabelled_vectors_is_bisected():
    # Labels by row: 0 at 0, 1 at 4 (3 between), 0 at 5 (none between), 1 at 7 (1 between).
    pool = make(binary(np.arange(9) / 9), [0, 4, 5, 7], [0, 1, 0, 1])
    selection = select(pool, 1)
    assert selection.rows.tolist() == [6]
    assert selection.diagnostics["cut"].tolist() == [1]


def test_an_empty_cut_is_used_if_there_is_no_other():
    pool = make(binary(np.arange(7) / 7), [2, 3], [0, 1])
    selection = select(pool, 5)
    # Class 0 has as many labels and is first; above its cut is where class 0 is likely.
    assert selection.rows.tolist() == [1, 4, 0, 5, 6]
    assert selection.diagnostics["cut"].tolist() == [0] * 5


def test_a_class_without_labels_goes_first_and_starts_at_the_upper_end():
    predictions = np.array([[0.5, 0.5 - x, x] for x in np.arange(8) / 20])
    selection = select(make(predictions, [0, 1], [0, 1]), 1)
    assert selection.diagnostics["class_index"].tolist() == [2]
    assert selection.rows.tolist() == [5]  # the middle of 2 to 7, between row 1 and the end


def reference(predictions, labelled, labels, n):
    count, classes = predictions.shape
    left = [row for row in range(count) if row not in labelled]
    label = dict(zip(labelled, labels, strict=True))
    table = predictions.astype(np.float32)
    orders = []
    for c in range(classes):
        margins = [
            table[r, c] - max(np.delete(table[r], c), default=np.float32(0)) for r in range(count)
        ]
        line = sorted(range(count), key=lambda r: (margins[r], r))
        stops = [(place, label[r] == c) for place, r in enumerate(line) if r in label]
        if not any(own for _, own in stops):
            stops.append((count, True))
        elif all(own for _, own in stops):
            stops.insert(0, (-1, False))
        cuts = [
            (low, high) for (low, one), (high, other) in itertools.pairwise(stops) if one != other
        ]
        low, high = min(cuts, key=lambda cut: (cut[1] - cut[0] - 1 or count, -cut[0]))
        inside, spans = [], [(low, high)]
        while spans:
            a, b = spans.pop(0)
            if b - a > 1:
                inside.append(a + -(-(b - a) // 2))
                spans += [(inside[-1], b), (a, inside[-1])]
        above = [p for p in range(high + 1, count) if line[p] not in label]
        below = [p for p in range(low - 1, -1, -1) if line[p] not in label]
        outside = []
        while above or below:
            outside += above[:1] + below[:1]
            above, below = above[1:], below[1:]
        orders.append([line[p] for p in inside + outside])
    turns = sorted(range(classes), key=lambda c: (list(labels).count(c), c))
    picks = []
    while len(picks) < n:
        for c in turns[: n - len(picks)]:
            picks.append(next(row for row in orders[c] if row not in picks))
    assert sorted(orders[0]) == left
    return picks


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(2, 40),
    classes=st.integers(1, 5),
    grid=st.booleans(),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
def test_picks_are_those_of_the_reference(n, classes, grid, seed, data):
    rng = np.random.default_rng(seed)
    predictions = rng.dirichlet(np.ones(classes), size=n)
    if grid:
        predictions = rng.integers(1, 4, (n, classes)) / 4
    labelled = rng.permutation(n)[: data.draw(st.integers(1, n - 1))]
    labels = rng.integers(0, classes, labelled.size)
    picks = data.draw(st.integers(1, n - labelled.size))
    selection = select(make(predictions, labelled, labels), picks)
    expected = reference(predictions, labelled.tolist(), labels.tolist(), picks)
    assert selection.rows.tolist() == expected


def test_columns_without_a_class_are_refused():
    pool = Pool(
        np.eye(4), labelled=[0], labels=[0], probabilities=lambda rows: np.ones((rows.size, 2))
    )
    with pytest.raises(SelectionError) as caught:
        select(pool, 1)
    assert str(caught.value) == (
        "the predictions have 2 columns, but 1 classes are labelled: "
        "give the pool a fitted `head`, whose `classes_` name the columns."
    )


def test_the_middles_come_first():
    assert list(_bisected(0, 8)) == [4, 6, 2, 7, 5, 3, 1]
