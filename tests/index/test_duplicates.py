import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedpipe.index import duplicates
from embedpipe.index.duplicates import distinct_rows, find_rows, row_hashes

values = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-45, 3e38])


def by_hand(matrix, rows):
    firsts, distinct, copy_of = {}, [], []
    for row in rows:
        key = tuple((matrix[row] + np.float32(0)).tolist())
        if key not in firsts:
            firsts[key] = len(distinct)
            distinct.append(int(row))
        copy_of.append(firsts[key])
    return distinct, copy_of


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(1, 5)), elements=values),
    st.sampled_from([None, 1, 2]),
    st.integers(1, 3),
)
def test_as_by_hand_even_if_hashes_collide(matrix, hashes, step):
    rows = np.arange(0, len(matrix), step)
    with pytest.MonkeyPatch.context() as patch:
        if hashes:
            true = duplicates.hashes_here
            patch.setattr(
                duplicates, "hashes_here", lambda *given: true(*given) % np.uint64(hashes)
            )
        distinct, copy_of = distinct_rows(matrix, rows)
        every = np.arange(len(matrix))
        found = find_rows(matrix, distinct, duplicates.row_hashes(matrix, distinct), every)
    assert (distinct.tolist(), copy_of.tolist()) == by_hand(matrix, rows)
    assert distinct.dtype == np.int64
    assert copy_of.dtype == np.int32
    for row in every:
        same = [at for at, point in enumerate(distinct) if (matrix[point] == matrix[row]).all()]
        assert found[row] == (same[0] if same else -1)


@pytest.mark.parametrize("choices", [[-1, 1], [0, 1], [0, 2.0**-100], [1, 1 + 2.0**-23]])
@pytest.mark.parametrize("d", [31, 64])
def test_values_with_few_bits_have_distinct_hashes(choices, d):
    matrix = np.random.default_rng(0).choice(choices, (20_000, d)).astype(np.float32)
    distinct = len(np.unique(matrix, axis=0))
    assert np.unique(row_hashes(matrix, np.arange(20_000))).size == distinct


def test_hashes_do_not_depend_on_blocks_or_threads(threads, monkeypatch):
    matrix = np.random.default_rng(0).standard_normal((5000, 33)).astype(np.float32)
    rows = np.arange(5000)
    found = []
    for count, size in [(1, 1 << 20), (2, 1 << 20), (2, 5000), (1, 1)]:
        monkeypatch.setattr(duplicates, "BLOCK_BYTES", size)
        with threads(count):
            found.append(row_hashes(matrix, rows))
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_large_groups(tmp_path):
    rng = np.random.default_rng(0)
    originals = rng.standard_normal((500, 40)).astype(np.float32)
    matrix = originals[rng.integers(0, 500, 8000)]
    np.save(tmp_path / "matrix.npy", matrix)
    mapped = np.load(tmp_path / "matrix.npy", mmap_mode="r")
    distinct, copy_of = distinct_rows(mapped, np.arange(8000))
    _, first, group = np.unique(matrix, axis=0, return_index=True, return_inverse=True)
    assert distinct.tolist() == sorted(first.tolist())
    np.testing.assert_array_equal(distinct[copy_of], first[group])


def test_no_rows():
    distinct, copy_of = distinct_rows(np.zeros((3, 2), np.float32), np.arange(0))
    assert distinct.size == copy_of.size == 0


def test_example_of_row_hashes():
    matrix = np.array([[0.0, 1.0], [1.0, 0.0], [-0.0, 1.0]], dtype=np.float32)
    a, b, c = row_hashes(matrix, np.arange(3))
    assert (bool(a == c), bool(a == b)) == (True, False)


def test_example_of_find_rows():
    matrix = np.array([[1], [2], [3], [2]], dtype=np.float32)
    points = np.array([0, 1])
    assert find_rows(matrix, points, row_hashes(matrix, points), np.array([3, 2])).tolist() == [
        1,
        -1,
    ]
