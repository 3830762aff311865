"""Products with centred rows, block by block, against products in one piece."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from embedpipe.heads._matrix import Rows, gathered


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3000), st.integers(1, 30), st.integers(1, 12))
def test_products_are_those_with_centred_rows(seed, n, d, k):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 2.0
    rows = Rows(X, X.mean(axis=0))
    directions, weights = rng.normal(size=(k, d)), rng.normal(size=(k, n))
    centred = X - X.mean(axis=0)
    np.testing.assert_allclose(rows.times(directions), directions @ centred.T, atol=1e-9)
    np.testing.assert_allclose(rows.pull(weights), weights @ centred, atol=1e-9)


@pytest.mark.parametrize("k", [1, 10, 300])
def test_threads_are_nothing_to_the_last_bit(k):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 900)).astype(np.float32)
    rows = Rows(X, X.mean(axis=0))
    directions = rng.normal(size=(k, 900)).astype(np.float32)
    weights = rng.normal(size=(k, 5000)).astype(np.float32)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append((rows.times(directions), rows.pull(weights)))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_rows_are_taken_in_order_and_scaled():
    X = np.array([[3.0, 4.0], [0.0, 2.0], [5.0, 0.0]], dtype=np.float32)
    rows = gathered(X, np.array([1, 0]), np.array([5.0, 2.0, 5.0]), np.float32)
    np.testing.assert_allclose(rows.values, [[0.0, 1.0], [0.6, 0.8]])
    np.testing.assert_allclose(rows.mean, [0.3, 0.9])
    assert rows.values.dtype == rows.mean.dtype == np.float32
    plain = gathered(X, np.array([2, 2]), None, np.float64)
    assert plain.values.tolist() == [[5.0, 0.0], [5.0, 0.0]]
    assert X.tolist() == [[3.0, 4.0], [0.0, 2.0], [5.0, 0.0]]
