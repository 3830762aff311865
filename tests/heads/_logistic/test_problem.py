"""The data of the logistic solvers: order, weights, types and products of rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from embedpipe.heads._logistic.problem import CentredRows, Problem, prepare_rows


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3000), st.integers(1, 30), st.integers(1, 12))
def test_products_equal_those_of_centred_rows(seed, n, d, k):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 2.0
    rows = CentredRows(X, X.mean(axis=0))
    directions, weights = rng.normal(size=(k, d)), rng.normal(size=(k, n))
    centred = X - X.mean(axis=0)
    np.testing.assert_allclose(rows.products(directions), directions @ centred.T, atol=1e-9)
    np.testing.assert_allclose(rows.weighted_sums(weights), weights @ centred, atol=1e-9)


@pytest.mark.parametrize("k", [1, 10, 300])
def test_the_number_of_threads_does_not_change_a_bit(k):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 900)).astype(np.float32)
    rows = CentredRows(X, X.mean(axis=0))
    directions = rng.normal(size=(k, 900)).astype(np.float32)
    weights = rng.normal(size=(k, 5000)).astype(np.float32)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append((rows.products(directions), rows.weighted_sums(weights)))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def made(X, codes, weights=None, *, normalize=False, precise=True):
    codes = np.asarray(codes)
    weights = np.ones(len(codes)) if weights is None else np.asarray(weights, dtype=float)
    classes = np.arange(codes.max() + 1)
    return prepare_rows(
        np.asarray(X), classes, codes, weights, normalize=normalize, precise=precise
    )


def test_equal_rows_of_a_class_are_merged():
    X = [[1.0, 2.0], [3.0, 4.0], [1.0, 2.0], [1.0, 2.0], [-0.0, 1.0], [0.0, 1.0]]
    found = made(X, [0, 0, 0, 1, 1, 1])
    listed = dict(
        zip(
            [(int(c), *row) for c, row in zip(found.codes, found.rows, strict=True)],
            found.weights,
            strict=True,
        )
    )
    assert listed == {
        (0, 1.0, 2.0): 2.0,
        (0, 3.0, 4.0): 1.0,
        (1, 1.0, 2.0): 1.0,
        (1, 0.0, 1.0): 2.0,
    }


def test_weights_add_up():
    found = made([[1.0], [1.0], [3.0]], [0, 0, 0], [0.5, 2.0, 1.0])
    assert sorted(zip(found.rows[:, 0], found.weights, strict=True)) == [
        (1.0, 2.5),
        (3.0, 1.0),
    ]


def test_distinct_rows_have_no_counts():
    assert Problem.of(made([[1.0], [2.0]], [0, 1])).counts is None
    assert Problem.of(made([[1.0], [1.0]], [0, 0])).counts.tolist() == [2.0]


def test_the_energy_by_hand():
    # 1, 1 and 4: mean 2, squares of the differences 1 + 1 + 4.
    assert Problem.of(made([[1.0], [1.0], [4.0]], [0, 0, 1])).energy() == pytest.approx(6.0)
    assert Problem.of(made([[1.0], [4.0]], [0, 1], [2.0, 1.0])).energy() == pytest.approx(6.0)
    assert Problem.of(made([[7.0], [7.0]], [0, 1])).energy() == 0.0


def test_order_does_not_matter():
    rng = np.random.default_rng(0)
    X, codes = rng.normal(size=(50, 4)).astype(np.float32), rng.integers(3, size=50)
    order = rng.permutation(50)
    first = made(X, codes, normalize=True, precise=False)
    second = made(X[order], codes[order], normalize=True, precise=False)
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.codes, second.codes)
    np.testing.assert_array_equal(first.digests, second.digests)
    assert first.rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(first.rows, axis=1), 1.0, rtol=1e-6)


def test_numbers_beyond_float32_stay_float64():
    assert made([[1e30], [1.0]], [0, 1], precise=False).rows.dtype == np.float64
    assert made([[1e3], [1.0]], [0, 1], precise=False).rows.dtype == np.float32


def test_rows_are_scaled_before_the_mean():
    X = np.array([[3.0, 4.0], [0.0, 2.0]], dtype=np.float32)
    rows = CentredRows.of(made(X, [1, 0], normalize=True, precise=False).rows)
    np.testing.assert_allclose(rows.values, [[0.0, 1.0], [0.6, 0.8]])
    np.testing.assert_allclose(rows.mean, [0.3, 0.9])
    assert rows.values.dtype == rows.mean.dtype == np.float32
    assert made(X, [1, 0]).rows.tolist() == [[0.0, 2.0], [3.0, 4.0]]
    assert X.tolist() == [[3.0, 4.0], [0.0, 2.0]]
