import numpy as np
import pytest

from embedpipe.index import sketch
from embedpipe.index.sketch import sketch_of


def spread(matrix):
    return np.square(matrix - matrix.mean(axis=0, dtype=np.float64)).sum()


@pytest.mark.parametrize(("n", "d"), [(900, 200), (150, 300), (60, 200), (2, 150), (1, 140)])
def test_it_keeps_as_much_as_any_projection(n, d):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((n, d)) * 0.98 ** np.arange(d) + 30
    matrix = matrix.astype(np.float32)
    found = sketch_of(matrix, np.arange(n))
    m = min(128, n, d)
    assert found.shape == (n, m)
    assert found.dtype == np.float32
    singular = np.linalg.svd(matrix - matrix.mean(axis=0, dtype=np.float64), compute_uv=False)
    best = np.square(singular[:m]).sum()
    assert spread(found) == pytest.approx(best, rel=1e-4, abs=1e-3)
    along = np.square(found - found.mean(axis=0)).sum(axis=0)
    assert (np.diff(along) <= 1e-3 * along.max() + 1e-6).all()


def test_distances_only_shrink():
    matrix = np.random.default_rng(1).standard_normal((300, 400)).astype(np.float32)
    found = sketch_of(matrix, np.arange(300)).astype(np.float64)
    gaps = np.linalg.norm(found - found[0], axis=1)
    true = np.linalg.norm(matrix.astype(np.float64) - matrix[0], axis=1)
    assert (gaps <= true * (1 + 1e-5)).all()


def test_few_dimensions_are_kept_whole():
    matrix = np.random.default_rng(1).standard_normal((50, 128)).astype(np.float32) + 1000
    found = sketch_of(matrix, np.arange(50)).astype(np.float64)
    assert found.shape == (50, 128)
    gaps = np.linalg.norm(found - found[0], axis=1)
    true = np.linalg.norm(matrix.astype(np.float64) - matrix[0], axis=1)
    np.testing.assert_allclose(gaps, true, rtol=1e-5)


def test_a_sample_nearly_suffices(monkeypatch):
    rng = np.random.default_rng(0)
    matrix = (rng.standard_normal((4000, 150)) * 0.95 ** np.arange(150)).astype(np.float32)
    whole = spread(sketch_of(matrix, np.arange(4000)))
    monkeypatch.setattr(sketch, "SAMPLE", 500)
    assert spread(sketch_of(matrix, np.arange(4000))) >= whole * 0.999


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e30])
def test_scale_does_not_matter(scale):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((200, 160))
    plain = sketch_of(matrix.astype(np.float32), np.arange(200))
    scaled = sketch_of((matrix * scale).astype(np.float32), np.arange(200))
    gaps = np.linalg.norm(plain - plain[0], axis=1)
    others = np.linalg.norm(scaled - scaled[0], axis=1)
    np.testing.assert_allclose(others / others[1], gaps / gaps[1], rtol=1e-4)


def test_outliers_do_not_overflow():
    matrix = np.random.default_rng(0).standard_normal((2000, 160)).astype(np.float32)
    matrix[7] = 3e38
    assert np.isfinite(sketch_of(matrix, np.arange(2000))).all()


def test_threads_and_memory_maps_change_nothing(threads, tmp_path):
    matrix = np.random.default_rng(0).standard_normal((6000, 300)).astype(np.float32)
    np.save(tmp_path / "matrix.npy", matrix)
    mapped = np.load(tmp_path / "matrix.npy", mmap_mode="r")
    rows = np.arange(0, 6000, 2)
    found = []
    for count, given in [(1, matrix), (2, matrix), (2, mapped)]:
        with threads(count):
            found.append(sketch_of(given, rows))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_no_rows():
    assert sketch_of(np.zeros((3, 200), np.float32), np.arange(0)).shape == (0, 128)


def test_example_of_sketch_of():
    assert sketch_of(np.array([[1000, 0], [1002, 0]], dtype=np.float32), np.arange(2)).tolist() == [
        [-1.0, 0.0],
        [1.0, 0.0],
    ]
