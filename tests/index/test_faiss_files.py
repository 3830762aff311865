import subprocess
import sys

import faiss
import numpy as np
import pytest

from embedpipe.index import Index

DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def matrix():
    """Return 1500 vectors of 160 dimensions in clusters; the last 100 are copies of the first."""
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((40, 160)) * 2
    matrix = (centres[rng.integers(0, 40, 1500)] + rng.standard_normal((1500, 160))) * 3 + 1
    matrix[1400:] = matrix[:100]
    return matrix.astype(np.float32)


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("candidates", [None, np.arange(30, 1450)])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_any_program_reads_the_file(kind, metric, candidates, matrix, tmp_path):
    index = Index(matrix, candidates, kind=kind, metric=metric, folder=tmp_path, digest=DIGEST)
    assert index.faiss.ntotal == index.rows.size
    (path,) = tmp_path.glob("*/search-index.faiss")
    vectors = unit(matrix) if metric == "cosine" else matrix
    np.save(tmp_path / "queries.npy", vectors[index.rows[:200]] * np.float32(1.0001))
    code = (
        "import faiss, numpy, sys\n"
        "index = faiss.read_index(sys.argv[1])\n"
        "found = index.search(numpy.load(sys.argv[2]), 1)[1]\n"
        "numpy.save(sys.argv[3], found)\n"
    )
    names = [str(path), str(tmp_path / "queries.npy"), str(tmp_path / "found.npy")]
    subprocess.run([sys.executable, "-c", code, *names], check=True)
    found = np.load(tmp_path / "found.npy")[:, 0]
    assert (found == index.rows[:200]).mean() >= (1 if kind == "exact" else 0.97)
    again = Index(matrix, candidates, kind=kind, metric=metric, folder=tmp_path, digest=DIGEST)
    queries = np.load(tmp_path / "queries.npy")
    np.testing.assert_array_equal(again.faiss.search(queries, 1)[1][:, 0], found)


def test_flat_distances_are_those_of_the_matrix(matrix, tmp_path):
    index = Index(matrix, folder=tmp_path, digest=DIGEST)
    for flat in (index.faiss, Index(matrix, folder=tmp_path, digest=DIGEST).faiss):
        squared, rows = flat.search(matrix[:5], 33)
        near = index.neighbours(32)
        np.testing.assert_array_equal(rows[:, 1:], index.rows[near.positions[:5]])
        np.testing.assert_allclose(np.sqrt(squared[:, 1:]), near.distances[:5], rtol=1e-4)


def test_a_flat_file_is_written_on_demand(matrix, tmp_path):
    index = Index(matrix, folder=tmp_path, digest=DIGEST)
    index.neighbours(5)
    assert not list(tmp_path.glob("*/*.faiss"))
    assert index.faiss.ntotal == 1400
    (path,) = tmp_path.glob("*/*.faiss")
    assert 0 <= path.stat().st_size - 4 * 1400 * 160 < 8 * 1400 + 1000


def test_cells_are_the_lists_of_the_file(matrix, tmp_path):
    index = Index(matrix, kind="ivf", folder=tmp_path, digest=DIGEST)
    cells = index.cells()
    (path,) = tmp_path.glob("*/search-index.faiss")
    whole = faiss.read_index(str(path))
    lists = faiss.extract_index_ivf(whole)
    assert cells.sizes.tolist() == [lists.invlists.list_size(at) for at in range(lists.nlist)]
    for at in range(lists.nlist):
        size = lists.invlists.list_size(at)
        ids = faiss.rev_swig_ptr(lists.invlists.get_ids(at), size) if size else []
        assert sorted(ids) == index.rows[cells.labels == at].tolist()
    away = np.square(index.sketch[:, None].astype(float) - cells.centres[None]).sum(axis=2)
    own = away[np.arange(index.rows.size), cells.labels]
    assert (own <= away.min(axis=1) * 1.0001).all()


def test_an_exact_index_has_as_many_cells(matrix):
    exact, inverted = Index(matrix), Index(matrix, kind="ivf")
    assert exact.cells().labels.tolist() == inverted.cells().labels.tolist()
