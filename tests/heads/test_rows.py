"""Rows: lengths, digests, and folds that are stratified, even, and blind to order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.heads._arrays import NEVER_SCORED, assign_folds, row_digests, row_norms


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(2, 6))
def test_every_fold_leaves_every_scored_class_in_training(labels, n_folds):
    codes = np.unique(labels, return_inverse=True)[1]
    digests = row_digests(np.arange(len(codes), dtype=float)[:, None])
    folds = assign_folds(digests, codes, n_folds)
    for code in range(codes.max() + 1):
        own = folds[codes == code]
        if len(own) == 1:
            assert own.tolist() == [NEVER_SCORED]
            continue
        sizes = np.bincount(own, minlength=n_folds)
        assert sizes.max() - sizes.min() <= 1
        assert sizes.max() < len(own)
    scored = np.bincount(folds[folds >= 0], minlength=n_folds)
    assert scored.max() - scored.min() <= 1


def test_equal_rows_of_a_class_share_a_fold_and_order_is_nothing():
    X = np.array([[1.0], [2.0], [1.0], [3.0], [0.0], [-0.0], [5.0]])
    codes = np.array([0, 0, 0, 0, 1, 1, 1])
    folds = assign_folds(row_digests(X), codes, 3)
    assert folds[0] == folds[2]
    assert folds[4] == folds[5] != folds[6]
    order = np.array([6, 2, 0, 3, 5, 1, 4])
    again = assign_folds(row_digests(X[order]), codes[order], 3)
    np.testing.assert_array_equal(again, folds[order])


def test_lengths_that_float32_cannot_square():
    assert row_norms(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [5.0, 1.0]
    for scale in (1.0, 1e-30, 1e30):
        rows = np.array([[3.0 * scale, 4.0 * scale]], dtype=np.float32)
        assert row_norms(rows)[0] / scale == pytest.approx(5.0)
