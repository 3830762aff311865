import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from embedpipe.errors import SelectionError, UsageError
from embedpipe.index import Index
from embedpipe.index import index as module

DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def clustered():
    """Return 3000 vectors of 200 dimensions in clusters, a tenth of them copies."""
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((40, 200)) * 1.5
    matrix = centres[rng.integers(0, 40, 3000)] + rng.standard_normal((3000, 200))
    matrix[2700:] = matrix[rng.integers(0, 2700, 300)]
    return matrix.astype(np.float32)


def same(left, right):
    np.testing.assert_array_equal(left.rows, right.rows)
    np.testing.assert_array_equal(left.copy_of, right.copy_of)
    np.testing.assert_array_equal(left.sketch, right.sketch)
    for array in ("positions", "distances"):
        ours, theirs = getattr(left.neighbours(7), array), getattr(right.neighbours(7), array)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_points_are_distinct_vectors(clustered):
    candidates = np.arange(100, 3000)
    index = Index(clustered, candidates)
    _, first, group = np.unique(
        clustered[candidates], axis=0, return_index=True, return_inverse=True
    )
    assert index.rows.tolist() == sorted(candidates[first].tolist())
    np.testing.assert_array_equal(index.rows[index.copy_of], candidates[first[group]])
    assert index.sizes.tolist() == np.bincount(index.copy_of).tolist()
    assert index.sizes.sum() == 2900


def test_find_accepts_rows_outside_the_candidates(clustered):
    index = Index(clustered, np.arange(50, 2000, 2))
    rows = np.random.default_rng(0).permutation(3000)
    found = index.find(rows)
    assert found.dtype == np.int64
    vectors = {clustered[row].tobytes(): point for point, row in enumerate(index.rows)}
    assert found.tolist() == [vectors.get(clustered[row].tobytes(), -1) for row in rows]


def test_known_neighbours_serve_smaller_k(clustered, monkeypatch, reference):
    index = Index(clustered, np.arange(300))
    positions, distances = reference(clustered[index.rows], 40)
    wide = index.neighbours(3)
    np.testing.assert_array_equal(wide.positions, positions[:, :3])
    np.testing.assert_array_equal(index.neighbours(40).positions, positions)
    monkeypatch.setattr(module, "nearest_neighbours", None)  # would raise
    for k in (0, 1, 32, 40):
        found = index.neighbours(k)
        np.testing.assert_array_equal(found.positions, positions[:, :k])
        np.testing.assert_array_equal(found.distances, distances[:, :k])


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
@pytest.mark.parametrize("p", [0, 1, 2, 5])
def test_few_points(kind, p):
    matrix = np.arange(10, dtype=np.float32)[:, None]
    index = Index(matrix, np.arange(p), kind=kind)
    assert index.neighbours(3).positions.shape == (p, max(0, min(3, p - 1)))
    assert index.within(1).members.size == max(0, 3 * p - 2)
    assert index.sketch.shape == (p, 1)
    assert index.recall == 1
    assert index.find(np.array([1, 9])).tolist() == [1 if p > 1 else -1, -1]
    if p:
        assert index.clusters(3).sizes.sum() == p


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_stored_results_are_used(kind, clustered, tmp_path, monkeypatch):
    fresh = Index(clustered, kind=kind)
    kept = Index(clustered, kind=kind, folder=tmp_path, digest=DIGEST)
    same(fresh, kept)
    recall = kept.recall
    names = ("distinct_rows", "nearest_neighbours", "nearest_candidates")
    for name in names:
        monkeypatch.setattr(module, name, None)  # would raise
    monkeypatch.setattr(module.Approximate, "build", None)
    monkeypatch.setattr(module.Sketch, "of", None)
    loaded = Index(clustered, kind=kind, folder=tmp_path, digest=DIGEST)
    same(fresh, loaded)
    assert loaded.recall == recall
    assert isinstance(loaded.sketch, np.memmap)
    assert isinstance(loaded.neighbours(32).positions, np.memmap)
    about = loaded.describe()
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith(f"{kind}-euclidean-")
    assert len(folder.name) == len(f"{kind}-euclidean-") + 16
    files = [path for path in folder.iterdir() if path.suffix != ".json"]
    assert about == {
        "kind": kind,
        "metric": "euclidean",
        "candidates": 3000,
        "points": 2700,
        "dimension": 200,
        "neighbours": 32,
        "recall": recall,
        "folder": str(folder),
        "bytes": sum(path.stat().st_size for path in files),
        "not_kept": None,
    }
    projections = 2 * 4 * 128 * 200  # bytes, in the file of FAISS and beside the sketch
    assert about["bytes"] < 1100 * about["points"] + projections


def test_stored_clusters_are_used(clustered, tmp_path, monkeypatch):
    fresh = Index(clustered, folder=tmp_path, digest=DIGEST).clusters(7, seed=3)
    monkeypatch.setattr(module, "kmeans", None)  # would raise
    kept = Index(clustered, folder=tmp_path, digest=DIGEST).clusters(7, seed=3)
    for name in ("labels", "sizes", "centres"):
        first, second = getattr(fresh, name), getattr(kept, name)
        assert first.dtype == second.dtype
        assert (first == second).all()
    with pytest.raises(TypeError):
        Index(clustered, folder=tmp_path, digest=DIGEST).clusters(7, seed=4)


def test_the_newest_clusterings_are_stored(clustered, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEPT_CLUSTERINGS", 2)
    index = Index(clustered[:100], folder=tmp_path, digest=DIGEST)
    for seed in range(4):
        index.clusters(3, seed)
    (folder,) = tmp_path.iterdir()
    kept = sorted(path.name for path in folder.glob("clusters-*-labels.npy"))
    assert kept == ["clusters-3-2-labels.npy", "clusters-3-3-labels.npy"]


def test_balls_are_remembered_within_max_edges(clustered, monkeypatch):
    index = Index(clustered[:300])
    found = index.within(1.0)
    monkeypatch.setattr(module, "balls_within", None)  # would raise
    assert index.within(1.0) is found
    with pytest.raises(TypeError):
        index.within(2.0)
    with pytest.raises(TypeError):
        index.within(1.0, max_edges=found.members.size / index.rows.size / 2)


def test_of_two_at_once_one_builds_and_the_other_waits(clustered, tmp_path, monkeypatch):
    true, calls = module.nearest_neighbours, []

    def slowly(*given, **named):
        calls.append(time.sleep(0.5))  # long enough for the other to wait
        return true(*given, **named)

    monkeypatch.setattr(module, "nearest_neighbours", slowly)
    indices = [Index(clustered, folder=tmp_path, digest=DIGEST) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda index: index.neighbours(5), indices))
    assert len(calls) == 1
    same(*indices)


def test_results_of_another_matrix_or_candidates_are_not_used(clustered, tmp_path):
    Index(clustered, folder=tmp_path, digest=DIGEST).neighbours(5)
    other = clustered[::-1].copy()
    same(Index(other), Index(other, folder=tmp_path, digest="cd" * 32))
    some = np.arange(0, 3000, 3)
    same(Index(clustered, some), Index(clustered, some, folder=tmp_path, digest=DIGEST))
    same(Index(clustered), Index(clustered, folder=tmp_path, digest=DIGEST))
    assert len(list(tmp_path.iterdir())) == 2


def test_without_a_digest_nothing_is_stored(clustered, tmp_path):
    index = Index(clustered[:100], folder=tmp_path)
    index.neighbours(3)
    assert list(tmp_path.iterdir()) == []
    assert index.describe()["folder"] is None


@pytest.mark.parametrize("name", ["points-rows", "neighbours-distances", "sketch-values"])
@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_altered_files_are_built_again(name, kind, clustered, tmp_path):
    matrix = clustered[:600]
    fresh = Index(matrix, kind=kind, folder=tmp_path, digest=DIGEST)
    fresh.neighbours(5), fresh.sketch
    (folder,) = tmp_path.iterdir()
    data = bytearray((folder / f"{name}.npy").read_bytes())
    data[-2] ^= 64
    (folder / f"{name}.npy").write_bytes(data)
    if kind == "hnsw":
        (folder / "search-index.faiss").write_bytes(b"IHNs")
    again = Index(matrix, kind=kind, folder=tmp_path, digest=DIGEST)
    same(Index(matrix, kind=kind), again)
    assert again.recall == fresh.recall
    same(again, Index(matrix, kind=kind, folder=tmp_path, digest=DIGEST))


def test_a_folder_that_cannot_be_written_is_no_error(clustered, tmp_path):
    (tmp_path / "file").write_text("in the way")
    index = Index(clustered[:200], kind="ivf", folder=tmp_path / "file", digest=DIGEST)
    same(Index(clustered[:200], kind="ivf"), index)
    assert index.not_kept is not None
    assert index.not_kept.startswith("cannot store ")
    assert index.describe()["not_kept"] == index.not_kept
    assert Index(clustered[:200]).not_kept is None


def build(folder):
    rng = np.random.default_rng(0)
    index = Index(rng.standard_normal((800, 150)).astype(np.float32), folder=folder, digest=DIGEST)
    return index.neighbours(4).positions.sum(), float(index.sketch.sum()), index.not_kept


def test_two_processes_may_build_at_once(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(build, [tmp_path] * 4, chunksize=1)
    assert found == [build(tmp_path)] * 4


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_threads_and_memory_maps_change_nothing(kind, clustered, threads, tmp_path):
    np.save(tmp_path / "matrix.npy", clustered)
    mapped = np.load(tmp_path / "matrix.npy", mmap_mode="r")
    found = []
    for count, matrix in [(1, clustered), (2, clustered), (2, mapped)]:
        with threads(count):
            found.append(Index(matrix, kind=kind))
            found[-1].neighbours(5)
    same(found[0], found[1])
    same(found[0], found[2])
    assert found[0].recall == found[1].recall == found[2].recall


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_recall_is_close_to_the_true_share(kind, clustered):
    index = Index(clustered, kind=kind)
    found = index.neighbours(32)
    points = clustered[index.rows]
    true = cdist(points.astype(np.float64), points.astype(np.float64))
    np.fill_diagonal(true, np.inf)
    positions = true.argsort(axis=1)[:, :32]
    distances = np.take_along_axis(true, positions, axis=1)
    shares = np.array(
        [np.intersect1d(*pair).size / 32 for pair in zip(positions, found.positions, strict=True)]
    )
    sample = np.arange(0, 2700, -(-2700 // 200))
    assert index.recall == pytest.approx(shares[sample].mean(), abs=1e-12)
    assert shares.mean() == pytest.approx(index.recall, abs=0.03)
    assert index.recall > 0.9
    wide = points.astype(np.float64)
    away = np.linalg.norm(wide[found.positions[:50]] - wide[:50, None], axis=2)
    np.testing.assert_array_equal(found.distances[:50], away.astype(np.float32))
    assert (np.diff(found.distances, axis=1) >= 0).all()
    assert (found.positions != np.arange(2700)[:, None]).all()
    assert all(np.unique(row).size == 32 for row in found.positions)
    assert (found.distances >= distances * (1 - 1e-6)).all()


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_balls_of_an_approximate_index(kind, clustered):
    exact = Index(clustered[:1500])
    radius = float(np.median(exact.neighbours(40).distances[:, -1]))
    true, found = exact.within(radius), Index(clustered[:1500], kind=kind).within(radius)
    assert found.members.size >= 0.9 * true.members.size
    owners = np.repeat(np.arange(exact.rows.size), np.diff(true.starts))
    inside = set(zip(owners.tolist(), true.members.tolist(), strict=True))
    owners = np.repeat(np.arange(exact.rows.size), np.diff(found.starts))
    assert set(zip(owners.tolist(), found.members.tolist(), strict=True)) <= inside


def test_many_points_are_refused():
    index = Index(np.eye(60, dtype=np.float32), exact_up_to=50)
    for ask in (lambda: index.neighbours(3), lambda: index.within(0.5)):
        with pytest.raises(SelectionError) as error:
            ask()
        message = str(error.value)
        assert message.startswith(
            "the exact neighbours of 60 unique vectors of 60 dimensions take about 5 seconds on "
        )
        assert message.endswith(
            "cores; the limit is 50 vectors. Use index='ivf' or index='hnsw' (they find most "
            "neighbours), or an Index with exact_up_to=None."
        )
    assert Index(np.eye(60, dtype=np.float32), exact_up_to=None).neighbours(3)
    approximate = Index(np.eye(60, dtype=np.float32), kind="ivf", exact_up_to=50)
    assert approximate.neighbours(3).positions.shape == (60, 3)


def test_balls_are_read_off_known_neighbours(clustered, monkeypatch):
    index = Index(clustered[:400])
    index.neighbours(5)
    radius = float(index.neighbours(5).distances[:, 4].min())
    true = Index(clustered[:400]).within(radius)
    monkeypatch.setattr("embedpipe.index.radius_neighbors.Pairs", None)  # would raise
    found = index.within(radius)
    np.testing.assert_array_equal(found.members, true.members)


def test_partitions_are_remembered(clustered, monkeypatch):
    index = Index(clustered[:500])
    first = index.clusters(7, seed=1)
    assert first.labels.size == index.rows.size
    assert index.clusters(7, seed=1) is first
    assert index.clusters(7, seed=2) is not first
    for k in range(8, 8 + module.CLUSTERINGS):
        index.clusters(k)
    again = index.clusters(7, seed=1)
    assert again is not first
    np.testing.assert_array_equal(again.labels, first.labels)


def test_an_unknown_kind_is_refused():
    with pytest.raises(UsageError) as error:
        Index(np.eye(3, dtype=np.float32), kind="flat")
    assert str(error.value) == "unknown kind of index 'flat': give exact, ivf or hnsw."


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_an_index_of_some_candidates_equals_a_new_index(clustered, metric, monkeypatch):
    whole = Index(clustered, np.arange(50, 3000)).measured_by(metric)
    sketch = whole.sketch
    some = np.sort(np.random.default_rng(1).permutation(np.arange(50, 3000))[:1500])
    part, new = whole.restricted(some), Index(clustered, some, metric=metric)
    rows = np.arange(3000)
    found = new.find(rows)
    monkeypatch.setattr(module, "distinct_rows", None)  # nothing is compared again
    monkeypatch.setattr(module.Sketch, "of", None)
    np.testing.assert_array_equal(part.rows, new.rows)
    np.testing.assert_array_equal(part.copy_of, new.copy_of)
    np.testing.assert_array_equal(part.find(rows), found)
    np.testing.assert_array_equal(part.sketch, sketch[whole.find(part.rows)])
    near = part.neighbours(5)
    np.testing.assert_array_equal(near.positions, new.neighbours(5).positions)


def test_an_index_of_some_candidates_keeps_its_candidates_in_another_metric():
    matrix = np.array([[3.0, 4.0], [6.0, 8.0], [0.0, 1.0], [1.0, 0.0]], dtype=np.float32)
    part = Index(matrix).restricted(np.array([1, 2])).measured_by("cosine")
    assert (part.candidates.tolist(), part.rows.tolist()) == ([1, 2], [1, 2])
    assert part.find(np.array([0, 3])).tolist() == [0, -1]  # row 0 is a copy of row 1
