"""Labelled rows in their own form: order, weights, equal rows, kinds of numbers."""

import numpy as np
import pytest

from embedpipe.heads._labelled import arranged


def made(X, codes, weights=None, *, normalize=False, precise=True):
    weights = None if weights is None else np.asarray(weights, dtype=float)
    codes = np.asarray(codes)
    return arranged(
        np.asarray(X), codes, int(codes.max()) + 1, weights, normalize=normalize, precise=precise
    )


def test_equal_rows_of_a_class_are_one_that_counts_for_all():
    X = [[1.0, 2.0], [3.0, 4.0], [1.0, 2.0], [1.0, 2.0], [-0.0, 1.0], [0.0, 1.0]]
    found = made(X, [0, 0, 0, 1, 1, 1])
    listed = dict(
        zip(
            [(int(c), *row) for c, row in zip(found.codes, found.rows.values, strict=True)],
            found.counts,
            strict=True,
        )
    )
    assert listed == {
        (0, 1.0, 2.0): 2.0,
        (0, 3.0, 4.0): 1.0,
        (1, 1.0, 2.0): 1.0,
        (1, 0.0, 1.0): 2.0,
    }
    assert found.total == 6.0


def test_weights_add_up_and_rows_of_weight_zero_are_gone():
    found = made([[1.0], [2.0], [1.0], [3.0]], [0, 0, 0, 0], [0.5, 0.0, 2.0, 1.0])
    assert sorted(zip(found.rows.values[:, 0], found.counts, strict=True)) == [
        (1.0, 2.5),
        (3.0, 1.0),
    ]


def test_distinct_rows_need_no_counts():
    assert made([[1.0], [2.0]], [0, 1]).counts is None


def test_the_energy_by_hand():
    # 1, 1 and 4: mean 2, squares of the differences 1 + 1 + 4.
    assert made([[1.0], [1.0], [4.0]], [0, 0, 1]).energy() == pytest.approx(6.0)
    assert made([[1.0], [4.0]], [0, 1], [2.0, 1.0]).energy() == pytest.approx(6.0)
    assert made([[7.0], [7.0]], [0, 1]).energy() == 0.0


def test_order_is_nothing():
    rng = np.random.default_rng(0)
    X, codes = rng.normal(size=(50, 4)).astype(np.float32), rng.integers(3, size=50)
    order = rng.permutation(50)
    first = made(X, codes, normalize=True, precise=False)
    second = made(X[order], codes[order], normalize=True, precise=False)
    np.testing.assert_array_equal(first.rows.values, second.rows.values)
    np.testing.assert_array_equal(first.codes, second.codes)
    np.testing.assert_array_equal(first.digests, second.digests)
    assert first.rows.values.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(first.rows.values, axis=1), 1.0, rtol=1e-6)


def test_numbers_that_float32_cannot_square_stay_float64():
    assert made([[1e30], [1.0]], [0, 1], precise=False).rows.values.dtype == np.float64
    assert made([[1e3], [1.0]], [0, 1], precise=False).rows.values.dtype == np.float32
