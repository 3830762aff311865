import numpy as np
import pytest

from embedpipe.index import nearest_of_set


@pytest.mark.parametrize("offset", [0, 1e3])
def test_distances_are_those_of_every_pair(offset):
    rng = np.random.default_rng(0)
    matrix = (rng.standard_normal((300, 7)) + offset).astype(np.float32)
    rows, centres = np.arange(250), np.array([299, 3, 260, 288])
    nearest, distances = nearest_of_set(matrix, rows, centres)
    wide = matrix.astype(np.float64)
    pairs = np.linalg.norm(wide[rows, None] - wide[centres], axis=2)  # (250, 4)
    np.testing.assert_allclose(distances, pairs.min(axis=1), rtol=1e-6, atol=1e-9)
    assert nearest.tolist() == centres[pairs.argmin(axis=1)].tolist()
    assert distances[3] == 0


def test_more_centres_than_are_searched_at_once():
    matrix = np.arange(9000, dtype=np.float32)[:, None]
    nearest, distances = nearest_of_set(matrix, np.array([1, 8000]), np.arange(2, 9000, 2))
    assert nearest.tolist() == [2, 8000]
    assert distances.tolist() == [1, 0]
