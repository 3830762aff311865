import numpy as np
import pytest

from embedpipe.index import Index
from embedpipe.index.directions import directions_of, unit_length


def scaled(matrix):
    wide = matrix.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def distances(vectors):
    return np.linalg.norm(vectors.astype(np.float64) - vectors[0], axis=1)


def test_lengths_do_not_count():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((200, 30)).astype(np.float32) + 1
    longer = matrix * rng.integers(1, 5, (200, 1)).astype(np.float32)
    found = directions_of(longer, np.arange(200))
    np.testing.assert_allclose(distances(found), distances(scaled(matrix)), atol=1e-6)
    np.testing.assert_allclose(found, directions_of(matrix, np.arange(200)), atol=1e-6)


def test_many_dimensions_are_reduced_to_those_of_most_spread():
    rng = np.random.default_rng(1)
    matrix = (rng.standard_normal((500, 300)) * 0.97 ** np.arange(300)).astype(np.float32)
    found = directions_of(matrix, np.arange(500))
    assert found.shape == (500, 128)
    unit = scaled(matrix)
    singular = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)
    kept = np.square(found - found.mean(axis=0)).sum()
    assert kept == pytest.approx(np.square(singular[:128]).sum(), rel=1e-3)
    assert (distances(found) <= distances(unit) * (1 + 1e-5)).all()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_scales_change_nothing(scale):
    matrix = np.random.default_rng(2).standard_normal((40, 5)).astype(np.float32)
    found = unit_length((matrix * np.float32(scale)).astype(np.float32))
    np.testing.assert_allclose(found, scaled(matrix), atol=1e-6)


def test_zeros_stay_zeros():
    assert unit_length(np.zeros((2, 3), np.float32)).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_an_index_keeps_them(tmp_path):
    matrix = np.random.default_rng(3).standard_normal((60, 140)).astype(np.float32)
    rows = np.arange(0, 60, 2)
    made = Index(matrix, rows, folder=tmp_path, digest="0" * 64).directions
    np.testing.assert_array_equal(made, directions_of(matrix, rows))
    again = Index(np.zeros_like(matrix), rows, folder=tmp_path, digest="0" * 64)
    np.testing.assert_array_equal(again.directions, made)  # read, not made
