import numpy as np
import pytest

from embedpipe.index import centres as module
from embedpipe.index import nearest_in_set, nearest_of_set
from embedpipe.index.centres import CHUNK, Centres
from embedpipe.index.distances import Frame


def test_spans_cover_the_request_with_a_small_cache(monkeypatch):
    monkeypatch.setattr(module, "KEPT_BYTES", 1)
    matrix = np.random.default_rng(0).standard_normal((5 * CHUNK, 3)).astype(np.float32)
    rows = np.random.default_rng(1).permutation(len(matrix))
    frame = Frame.around(matrix, np.arange(len(matrix)))
    centres = Centres(frame, rows[:100])
    for row in rows[100:]:
        centres.append(int(row))
    expected = frame.rows(rows)
    for start, stop in [(0, 1), (10, 700), (CHUNK, 2 * CHUNK), (3, 5 * CHUNK), (0, 2)]:
        at = start
        for first, moved in centres.spans(start, stop):
            assert first == at
            at += moved.norms.size
            np.testing.assert_array_equal(moved.vectors, expected.vectors[first:at])
            np.testing.assert_array_equal(moved.norms, expected.norms[first:at])
        assert at == stop
    assert centres.rows.tolist() == rows.tolist()


def test_a_chunk_grows_with_its_centres():
    matrix = np.arange(6, dtype=np.float32)[:, None]
    centres = Centres(Frame.around(matrix, np.arange(6)), np.array([0]))
    seen = []
    for row in (4, 2):
        centres.append(row)
        seen += [moved.vectors[-1, 0] for _, moved in centres.spans(0, len(centres))]
    assert np.diff(seen).tolist() == [-2]


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


def test_the_nearest_centres_in_their_order(monkeypatch):
    monkeypatch.setattr(module, "SET_ROWS", 7)  # the centres are searched in three blocks
    rng = np.random.default_rng(2)
    matrix = rng.standard_normal((60, 5)).astype(np.float32)
    centres, rows = rng.permutation(60)[:20], np.arange(60)
    nearest, distances = nearest_in_set(matrix, rows, centres, 4)
    wide = matrix.astype(np.float64)
    pairs = np.linalg.norm(wide[:, None] - wide[centres], axis=2)  # (60, 20)
    order = np.argsort(pairs, axis=1)[:, :4]
    assert nearest.tolist() == centres[order].tolist()
    np.testing.assert_allclose(distances, np.take_along_axis(pairs, order, axis=1), atol=1e-9)


def test_fewer_centres_than_wanted():
    matrix = np.array([[0.0], [4.0], [1.0]], dtype=np.float32)
    nearest, distances = nearest_in_set(matrix, np.array([2]), np.array([1, 0]), 5)
    assert (nearest.tolist(), distances.tolist()) == ([[0, 1]], [[1.0, 3.0]])
