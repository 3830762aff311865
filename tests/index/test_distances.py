import numpy as np
import pytest

from embedpipe.index import mean_vector, nearest_to_mean
from embedpipe.index.distances import Frame, safe_frame, squared_distances


@pytest.mark.parametrize("scale", [1e-35, 1e-10, 1, 1e10, 1e37])
@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("d", [1, 30, 700])
def test_estimates_are_within_the_stated_error(scale, offset, d):
    rng = np.random.default_rng(d)
    matrix = ((rng.standard_normal((64, d)) + offset * (scale < 1e37)) * scale).astype(np.float32)
    rows = np.arange(64)
    frame = Frame.around(matrix, rows)
    moved = frame.rows(rows)
    norms = moved.norms[:, None] + moved.norms  # (64, 64)
    estimates = norms - 2.0 * (moved.vectors @ moved.vectors.T)
    left, right = (matrix[i.ravel()] for i in np.indices((64, 64)))
    true = squared_distances(left, right).reshape(64, 64) / frame.unit
    assert (abs(estimates - true) <= frame.error * norms + frame.slack).all()
    assert norms.max() < frame.overflow


def test_a_coarser_frame_takes_what_overflows():
    matrix = np.full((2000, 2), 1e-30, dtype=np.float32)
    matrix[1] = [1e30, -1e30]  # not in the sample: every other row is
    frame = Frame.around(matrix, np.arange(2000))
    while frame.rows(np.arange(2)).norms.max() >= frame.overflow:
        frame = frame.coarser()
    left = frame.rows(np.array([1])).norms[0] * frame.unit
    assert left == pytest.approx(2e60, rel=1e-5)


def test_the_reference_depends_on_the_pair_alone():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((1100, 333)).astype(np.float32)
    whole = squared_distances(matrix, matrix[7])
    single = [squared_distances(matrix[[i]], matrix[[7]])[0] for i in range(1100)]
    assert whole.tolist() == single


def test_example_of_safe_frame():
    _, norms = safe_frame(np.array([[1000], [1002]], dtype=np.float32), np.arange(2))
    assert norms.tolist() == [1.0, 1.0]


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
