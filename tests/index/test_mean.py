import numpy as np
import pytest

from embedpipe.index import mean_vector, nearest_to_mean


@pytest.mark.parametrize("kind", ["gaussian", "offset", "tiny", "huge", "grid"])
@pytest.mark.parametrize("n", [1, 5, 700])
def test_the_nearest_is_that_of_float64(kind, n):
    rng = np.random.default_rng(n)
    matrix = rng.standard_normal((n + 3, 6))
    if kind == "offset":
        matrix += 1e6
    elif kind == "tiny":
        matrix *= 1e-30
    elif kind == "huge":
        matrix *= 1e37
    elif kind == "grid":
        matrix = rng.integers(-1, 2, size=matrix.shape)
    matrix = matrix.astype(np.float32)
    rows = np.sort(rng.permutation(n + 3)[:n])
    mean = mean_vector(matrix, rows)
    np.testing.assert_allclose(mean, matrix[rows].astype(np.float64).mean(axis=0), rtol=1e-9)
    away = np.square(matrix[rows].astype(np.float64) - mean).sum(axis=1)
    assert nearest_to_mean(matrix, rows) == away.argmin()


def test_ties_go_to_the_first():
    assert nearest_to_mean(np.array([[3], [-1], [1], [-3]], np.float32), np.arange(4)) == 1
