import numpy as np
import pytest

from embedpipe.index import FarthestFirst, Index, UnitRows, between, nearest_of_set
from embedpipe.index.neighbours import nearest_neighbours
from embedpipe.index.radius_neighbors import balls_within
from embedpipe.index.sketch import sketch_of
from embedpipe.index.vectors import block_rows, first_non_finite, row_blocks, take_wide, unit_length

DIGEST = "0" * 64


def scaled(matrix):
    """Return (n, d) float64 rows of unit length; zeros stay zeros."""
    wide = matrix.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(lengths > 0, lengths, 1)


def squared(matrix):
    """Return squared distances between directions, to 12 decimals: (n, n)."""
    unit = scaled(matrix)
    return np.rint(np.square(unit[:, None] - unit).sum(axis=2) * 2.0**40) / 2.0**40


def hard(kind, n, seed=0):
    """Return rows with distinct directions that are hard on float32."""
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((n, 6))
    if kind == "counts":
        matrix = rng.integers(0, 3, (n, 6))
    elif kind == "cone":
        matrix = 1 + 1e-3 * matrix
    elif kind == "mixed scales":
        matrix *= 10.0 ** rng.integers(-30, 30, (n, 1))
    elif kind == "corners":
        matrix = np.eye(n // 3)
    matrix = matrix.astype(np.float32)
    return matrix[Index(matrix, metric="cosine").rows]


def test_rows_have_unit_length_and_zeros_stay_zeros():
    matrix = np.random.default_rng(0).standard_normal((50, 7)).astype(np.float32)
    matrix[3] = 0
    rows, some = UnitRows(matrix), np.array([3, 40, 2])
    np.testing.assert_allclose(rows.wide(some), scaled(matrix)[some], rtol=1e-15, atol=0)
    assert rows.narrow(some).dtype == np.float32
    assert (rows.narrow(some) == rows.wide(some).astype(np.float32)).all()
    assert rows.lengths(some)[0] == 1
    assert rows.shape == (50, 7)
    assert len(rows) == 50


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**100, 1e-30, 1e30])
def test_extreme_lengths_change_nothing(scale):
    matrix = np.random.default_rng(2).standard_normal((40, 5)).astype(np.float32)
    found = unit_length((matrix * np.float32(scale)).astype(np.float32))
    np.testing.assert_allclose(found, scaled(matrix), atol=1e-6)
    if np.log2(scale).is_integer():
        assert (found == unit_length(matrix)).all()


def test_a_memory_map_is_left_alone(tmp_path):
    matrix = np.random.default_rng(1).standard_normal((30, 4)).astype(np.float32)
    np.save(tmp_path / "m.npy", matrix)
    mapped = np.load(tmp_path / "m.npy", mmap_mode="r")
    assert (UnitRows(mapped).narrow(np.arange(30)) == unit_length(matrix)).all()


def test_equal_directions_are_at_distance_0():
    rng = np.random.default_rng(4)
    matrix = np.repeat(rng.standard_normal((20, 300)), 2, axis=0)
    matrix = (matrix * rng.uniform(0.01, 100, (40, 1))).astype(np.float32)
    even, odd = np.arange(0, 40, 2), np.arange(1, 40, 2)
    assert (between(UnitRows(matrix), even, odd) == 0).all()
    corners = np.diag(rng.uniform(1, 9, 30)).astype(np.float32)
    assert (between(UnitRows(corners), np.arange(1, 30), np.array([0])) == 2).all()


KINDS = ["gaussian", "counts", "cone", "mixed scales", "corners"]


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_are_those_of_float64(kind):
    matrix = hard(kind, 300)
    away = squared(matrix)
    np.fill_diagonal(away, np.inf)
    order = np.argsort(away, axis=1, kind="stable")[:, :9]
    found = nearest_neighbours(UnitRows(matrix), np.arange(len(matrix)), 9)
    assert (found.positions == order).all()
    expected = np.sqrt(np.take_along_axis(away, order, axis=1)).astype(np.float32)
    np.testing.assert_array_equal(found.distances, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_balls_are_those_of_float64(kind):
    matrix = hard(kind, 200)
    away, radius = squared(matrix), 0.02 if kind == "cone" else 0.8
    found = balls_within(UnitRows(matrix), np.arange(len(matrix)), radius)
    members = [np.flatnonzero(row <= radius**2) for row in away]
    assert found.members.tolist() == np.concatenate(members).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_the_farthest_are_those_of_float64(kind):
    matrix = hard(kind, 300)
    n = len(matrix)
    away = squared(matrix)
    search = FarthestFirst(UnitRows(matrix), np.arange(1, n), np.array([0]), block_size=7)
    nearest = away[0].copy()
    for _ in range(min(60, n - 1)):
        best = int(nearest[1:].argmax())
        found = search.farthest()
        if found.squared_distance == 0:
            break
        assert (found.position, found.squared_distance) == (best, nearest[1:][best])
        search.add(best)
        nearest = np.minimum(nearest, away[best + 1])
        nearest[best + 1] = -1


def test_the_nearest_of_a_set():
    matrix = hard("gaussian", 100)
    nearest, distances = nearest_of_set(UnitRows(matrix), np.arange(20, 100), np.arange(20))
    away = squared(matrix)[20:, :20]
    assert (nearest == away.argmin(axis=1)).all()
    np.testing.assert_allclose(distances, np.sqrt(away.min(axis=1)), rtol=1e-12)


def test_the_sketch_keeps_the_directions_of_most_spread():
    rng = np.random.default_rng(1)
    matrix = (rng.standard_normal((500, 300)) * 0.97 ** np.arange(300)).astype(np.float32)
    found = sketch_of(UnitRows(matrix), np.arange(500))
    assert found.shape == (500, 128)
    unit = scaled(matrix)
    singular = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)
    kept = np.square(found - found.mean(axis=0)).sum()
    assert kept == pytest.approx(np.square(singular[:128]).sum(), rel=1e-3)
    gaps = np.linalg.norm(found.astype(np.float64) - found[0], axis=1)
    assert (gaps <= np.linalg.norm(unit - unit[0], axis=1) * (1 + 1e-5)).all()


@pytest.mark.parametrize("kind", ["exact", "ivf"])
def test_each_metric_is_kept_in_a_folder_of_its_own(kind, tmp_path):
    rng = np.random.default_rng(3)
    matrix = (rng.standard_normal((300, 140)) * rng.uniform(0.1, 9, (300, 1))).astype(np.float32)
    rows = np.arange(0, 300, 2)

    def index(matrix=matrix):
        return Index(matrix, rows, kind=kind, folder=tmp_path, digest=DIGEST)

    plain, cosine = index(), index().measured_by("cosine")
    assert cosine.metric == "cosine"
    assert cosine.describe()["metric"] == "cosine"
    assert plain.measured_by("euclidean") is plain
    assert plain.measured_by("cosine") is plain.measured_by("cosine")
    for each in (plain, cosine):
        each.sketch, each.neighbours(5)
    names = sorted(folder.name for folder in tmp_path.iterdir())
    assert [name.rsplit("-", 1)[0] for name in names] == [f"{kind}-cosine", f"{kind}-euclidean"]
    assert (plain.neighbours(5).positions != cosine.neighbours(5).positions).any()

    again = index(np.zeros_like(matrix))  # read, not made
    np.testing.assert_array_equal(again.sketch, plain.sketch)
    np.testing.assert_array_equal(again.measured_by("cosine").sketch, cosine.sketch)
    again = Index(matrix, rows, kind=kind, folder=tmp_path, digest=DIGEST, metric="cosine")
    np.testing.assert_array_equal(again.neighbours(5).positions, cosine.neighbours(5).positions)


def test_files_of_the_other_metric_are_refused(tmp_path):
    matrix = np.random.default_rng(5).standard_normal((60, 3)).astype(np.float32)
    euclidean = Index(matrix, folder=tmp_path, digest=DIGEST)
    euclidean.neighbours(3)
    (folder,) = tmp_path.iterdir()
    folder.rename(tmp_path / folder.name.replace("euclidean", "cosine"))
    found = Index(matrix, folder=tmp_path, digest=DIGEST, metric="cosine").neighbours(3)
    assert (found.positions == Index(matrix, metric="cosine").neighbours(3).positions).all()
    assert (found.positions != euclidean.neighbours(3).positions).any()


def test_example_of_block_rows():
    assert block_rows(1024, 1 << 20) == 256


def test_example_of_row_blocks():
    assert [(part.start, part.stop) for part in row_blocks(5, 2)] == [(0, 2), (2, 4), (4, 5)]


def test_example_of_take_wide():
    assert take_wide(np.eye(2, dtype=np.float32), np.array([1])).tolist() == [[0.0, 1.0]]


def test_example_of_first_non_finite():
    matrix = np.array([[1, 2], [np.inf, 0], [np.nan, 1]], dtype=np.float32)
    assert first_non_finite(matrix, np.array([0, 2, 1])) == 2


def test_example_of_unit_length():
    assert unit_length(np.array([[3e30, 4e30], [0, 0]], dtype=np.float32)).round(6).tolist() == [
        [0.6000000238418579, 0.800000011920929],
        [0.0, 0.0],
    ]
