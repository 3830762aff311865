"""Labelled rows as closed-form heads read them."""

import numpy as np

from embedpipe.heads import RidgeHead
from embedpipe.heads._labelled import read_labelled


def test_rows_of_weight_zero_are_left_out_with_their_class():
    X = np.array([[1.0], [2.0], [1.0], [3.0]])
    head = RidgeHead(normalize=False)
    found = read_labelled(head, X, ["b", "a", "b", "c"], [0.5, 0.0, 2.0, 1.0], reset=True)
    assert found.classes.tolist() == ["b", "c"]
    assert found.rows.tolist() == [[1.0], [3.0]]
    assert found.codes.tolist() == [0, 1]
    assert found.weights.tolist() == [2.5, 1.0]
    assert found.labels.tolist() == ["b", "c"]


def test_equal_labelled_sets_give_equal_arrays():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 4)).astype(np.float32), rng.integers(3, size=50)
    X[7], y[7] = X[3], y[3]
    order = rng.permutation(50)
    first = read_labelled(RidgeHead(), X, y, None, reset=True)
    second = read_labelled(RidgeHead(), X[order], y[order], None, reset=True)
    assert len(first.rows) == 49
    assert first.weights.max() == 2.0
    for name in ("classes", "rows", "codes", "weights", "digests"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
