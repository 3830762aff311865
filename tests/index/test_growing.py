import shutil

import faiss
import numpy as np
import pytest

from embedpipe.cache import Earlier
from embedpipe.errors import SelectionError
from embedpipe.index import Index
from embedpipe.index import index as module
from embedpipe.index.contraction import contraction_of
from embedpipe.index.distances import between
from embedpipe.index.neighbours import nearest_neighbours
from embedpipe.index.screening import Screen, screen_of
from embedpipe.index.vectors import vectors_of

OLD, NEW = "ab" * 32, "cd" * 32


def vectors(n, d=200, seed=5):
    """Return vectors in clusters with a decaying spectrum; some are copies."""
    rng = np.random.default_rng(seed)
    spectrum = np.arange(1, d + 1) ** -0.7
    centres = rng.standard_normal((40, d)) * spectrum * 1.5
    matrix = centres[rng.integers(0, 40, n)] + rng.standard_normal((n, d)) * spectrum
    matrix[-n // 20 :] = matrix[rng.integers(0, n // 2, n // 20 + 1)][: n // 20]
    return matrix.astype(np.float32)


def grown(matrix, kept, folder, kind, metric="cosine", candidates=None):
    """Return an index of `matrix` that has grown from the index of the rows `kept`."""
    own = None if candidates is None else np.flatnonzero(np.isin(kept, candidates))
    old = folder / "old"
    first = Index(matrix[kept], own, kind=kind, metric=metric, folder=old / "index", digest=OLD)
    first.neighbours(32)
    return Index(
        matrix,
        candidates,
        kind=kind,
        metric=metric,
        folder=folder / "new" / "index",
        digest=NEW,
        earlier=Earlier(old, OLD, kept),
    )


def positions(n, added, where):
    """Return the old rows of a matrix of n rows with `added` new ones."""
    if where == "last":
        return np.arange(n - added)
    rows = np.random.default_rng(1).choice(n, n - added, replace=False)
    return np.sort(rows)


def same(left, right):
    np.testing.assert_array_equal(left.rows, right.rows)
    np.testing.assert_array_equal(left.copy_of, right.copy_of)
    np.testing.assert_array_equal(left.neighbours(32).positions, right.neighbours(32).positions)
    np.testing.assert_array_equal(left.neighbours(32).distances, right.neighbours(32).distances)


@pytest.mark.parametrize("where", ["last", "between"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_an_exact_index_equals_one_that_is_built_anew(where, metric, tmp_path, monkeypatch):
    matrix = vectors(1500)
    index = grown(matrix, positions(1500, 150, where), tmp_path, "exact", metric)
    calls = []
    real = module.nearest_neighbours

    def counted(*given, some=None, **named):
        calls.append(some.size)
        return real(*given, some=some, **named)

    monkeypatch.setattr(module, "nearest_neighbours", counted)
    index.neighbours(32)
    assert 0 < sum(calls) < 600  # the new vectors, and neighbours of vectors with another leader
    monkeypatch.undo()
    new = Index(matrix, metric=metric)
    same(index, new)
    np.testing.assert_array_equal(index.sketch, new.sketch)
    same(Index(matrix, metric=metric, folder=tmp_path / "new" / "index", digest=NEW), new)


def test_new_vectors_of_some_candidates(tmp_path):
    matrix, candidates = vectors(1500), np.arange(0, 1500, 2)
    index = grown(matrix, positions(1500, 200, "between"), tmp_path, "exact", "cosine", candidates)
    assert index._growth is not None
    same(index, Index(matrix, candidates, metric="cosine"))


@pytest.mark.parametrize("where", ["last", "between"])
def test_an_inverted_file_is_extended(where, tmp_path, monkeypatch):
    matrix, kept = vectors(4000), positions(4000, 300, where)
    old_index = Index(matrix[kept], kind="ivf", metric="cosine")
    old_index.neighbours(32)
    index = grown(matrix, kept, tmp_path, "ivf")
    monkeypatch.setattr(module.Approximate, "build", None)  # would raise
    monkeypatch.setattr(module.Sketch, "of", None)
    near = index.neighbours(32)
    assert index.recall > 0.9
    assert index.faiss.ntotal == index.rows.size
    inverted = faiss.extract_index_ivf(index.faiss)
    lists = inverted.invlists
    ids = [
        faiss.rev_swig_ptr(lists.get_ids(at), lists.list_size(at)).copy()
        for at in range(inverted.nlist)
        if lists.list_size(at)
    ]
    assert sorted(np.concatenate(ids)) == index.rows.tolist()
    unit = index.vectors.narrow(index.rows[:300])
    assert (index.faiss.search(unit, 1)[1][:, 0] == index.rows[:300]).mean() > 0.95
    # The sketch of an old vector has not changed.
    growth = index._growth
    np.testing.assert_array_equal(index.sketch[growth.places], old_index.sketch[growth.kept])
    places = growth.places
    # Old vectors: the nearest of their old neighbours and of all new vectors, by true distances.
    position = np.full(old_index.rows.size, -1)
    position[growth.kept] = places
    old_near = position[old_index.neighbours(32).positions[growth.kept]]
    whole = np.flatnonzero((old_near >= 0).all(axis=1))
    for point in whole[::97]:
        others = np.union1d(old_near[point], growth.new)
        squared = between(index.vectors, index.rows[others], index.rows[[places[point]]])
        best = others[np.lexsort((others, squared))[:32]]
        assert near.positions[places[point]].tolist() == best.tolist()


def test_growth_by_much_builds_anew(tmp_path):
    matrix = vectors(1200)
    index = grown(matrix, np.arange(600), tmp_path, "exact")
    assert index._growth is None
    same(index, Index(matrix, metric="cosine"))


@pytest.mark.parametrize("kind", ["exact", "ivf"])
def test_lost_candidates(kind, tmp_path):
    matrix = vectors(1200)
    candidates = np.setdiff1d(np.arange(1200), [0, 3, 700, 701, 1100])
    old = tmp_path / "old"
    first = Index(matrix[:1100], kind=kind, folder=old / "index", digest=OLD, metric="cosine")
    first.neighbours(32)
    earlier = Earlier(old, OLD, np.arange(1100))
    index = Index(matrix, candidates, kind=kind, metric="cosine", earlier=earlier)
    assert 3 <= np.count_nonzero(~index._growth.kept) < 10
    if kind == "exact":
        same(index, Index(matrix, candidates, metric="cosine"))
    assert index.faiss.ntotal == index.rows.size
    assert index.recall > 0.9
    found = index.neighbours(32).positions
    assert (found >= 0).all()
    assert all(np.unique(row).size == 32 for row in found)


def test_an_earlier_index_that_is_missing_or_damaged_is_not_used(tmp_path):
    matrix, new = vectors(900), Index(vectors(900), metric="cosine")
    index = grown(matrix, np.arange(800), tmp_path, "exact")
    for path in (tmp_path / "old").rglob("neighbours-positions.npy"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    same(index, new)
    shutil.rmtree(tmp_path / "new")
    index = grown(matrix, np.arange(800), tmp_path, "exact")
    shutil.rmtree(tmp_path / "old")
    same(index, new)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(
    "kind", ["gaussian", "grid", "shifted", "far apart", "mixed", "tiny", "huge", "line"]
)
def test_screens_lose_no_pair(kind, metric, distinct, squared_reference):
    matrix = distinct(kind, 300)
    found, rows = vectors_of(matrix, metric), np.arange(len(matrix))
    near = nearest_neighbours(found, rows, 6)
    reach = near.distances[:, -1]
    with np.errstate(over="ignore"):
        true = np.stack([between(found, rows, rows[[row]]) for row in rows])
    expected = {(i, j) for i in rows for j in near.positions[i].tolist()}
    screens = [Screen(found, rows, reach, None), screen_of(found, rows, reach)]
    short = contraction_of(found, rows, min(4, matrix.shape[1]))
    if short is not None:
        screens.append(Screen(found, rows, reach, short))
        coordinates = short.short(rows).astype(np.float64)
        apart = np.square(coordinates[:, None] - coordinates[None]).sum(axis=2)
        assert (np.sqrt(apart) <= np.sqrt(true) + 2 * short.error * (1 + 1e-6)).all()
    for screen in screens:
        points, others = screen.within(rows, rows, mirror=False)
        assert expected <= set(zip(points.tolist(), others.tolist(), strict=True))


def test_an_inverted_file_with_another_projection_is_not_extended(tmp_path, monkeypatch):
    matrix = vectors(3000, 300)
    old = {"kind": "ivf", "folder": tmp_path / "old" / "index", "digest": OLD}
    new = {"kind": "ivf", "folder": tmp_path / "new" / "index", "digest": NEW}
    earlier = Earlier(tmp_path / "old", OLD, np.arange(2800))
    first = Index(matrix[:2800], np.arange(2700), **old)
    assert first.recall > 0.9
    index = Index(matrix, earlier=earlier, **new)
    growth = index._growth
    np.testing.assert_array_equal(index.sketch[growth.places], first.sketch[growth.kept])
    # Now another index of the earlier matrix has more candidates.
    assert Index(matrix[:2800], **old).recall > 0.9
    index = Index(matrix, earlier=earlier, **new)
    assert index._growth.earlier.candidates.size == 2800
    found = index.faiss.search(matrix[index.rows], 1)[1][:, 0] == index.rows
    assert found[index.rows >= 2800].mean() > 0.95
    assert index._grown_search() is None


def test_a_limit_of_exact_searches_holds_for_growth(tmp_path):
    matrix = vectors(900)
    index = grown(matrix, np.arange(800), tmp_path, "exact")
    index.exact_up_to = 500
    assert index._growth is not None
    with pytest.raises(SelectionError, match="the limit is 500 vectors"):
        index.neighbours(32)


@pytest.mark.parametrize("kind", ["exact", "ivf"])
def test_equal_distances_do_not_need_memory_for_all_pairs(kind, tmp_path, monkeypatch):
    matrix = np.eye(500, dtype=np.float32)
    given, real = [], module.with_new_neighbours
    monkeypatch.setattr(
        module, "with_new_neighbours", lambda *args: given.append(real(*args)) or given[-1]
    )
    index = grown(matrix, np.arange(400), tmp_path, kind, "euclidean")
    near = index.neighbours(32)
    assert given == [None]  # 400 · 100 pairs are more than 64 per point
    if kind == "exact":
        np.testing.assert_array_equal(near.positions, Index(matrix).neighbours(32).positions)
    assert near.distances.min() == near.distances.max() == np.float32(2**0.5)


@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e-12])
def test_the_number_of_pairs_does_not_depend_on_the_unit(scale):
    matrix = np.random.default_rng(0).standard_normal((600, 8)).astype(np.float32)
    matrix *= np.float32(scale)
    rows = np.arange(600)
    near = nearest_neighbours(matrix, rows, 8)
    reach = near.distances[:, -1]
    for screen in (
        Screen(matrix, rows, reach, None),
        Screen(matrix, rows, reach, contraction_of(matrix, rows, 8)),
    ):
        points, _ = screen.within(rows, rows, mirror=False)
        assert 600 * 8 <= points.size < 600 * 8 * 1.01


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_one_vector_and_none(kind):
    matrix = np.ones((3, 4), dtype=np.float32)
    index = Index(matrix, kind=kind)
    assert index.cells().sizes.tolist() == [1]
    assert index.faiss.search(matrix, 1)[1].tolist() == [[0]] * 3
    assert index.neighbours(5).positions.shape == (1, 0)
    assert index.recall == 1
    none = Index(matrix, np.arange(0), kind=kind)
    assert none.neighbours(5).positions.shape == (0, 0)
    assert none.recall == 1
    with pytest.raises(SelectionError, match=r"^the index has no vectors: give at least one cand"):
        none.faiss  # noqa: B018
