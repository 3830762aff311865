import numpy as np

from embedpipe.index import centres as module
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
