"""What must hold for every registered strategy."""

import contextlib
import inspect

import faiss
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from embedpipe.errors import SelectionError
from embedpipe.strategies import Pool, get_strategy, strategies

NAMES = list(strategies)
every_strategy = pytest.mark.parametrize("name", NAMES)


def select(name, pool, n, seed=0):
    return get_strategy(name).select(pool, n, np.random.default_rng(seed))


def same(left, right):
    assert left.rows.tolist() == right.rows.tolist()
    assert left.scores.tolist() == right.scores.tolist()
    assert left.diagnostics.keys() == right.diagnostics.keys()
    for key, value in left.diagnostics.items():
        np.testing.assert_array_equal(value, right.diagnostics[key])


@contextlib.contextmanager
def threads(count):
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        faiss.omp_set_num_threads(before)


@every_strategy
def test_it_carries_the_name_it_is_registered_under(name):
    assert strategies[name].name == name
    assert isinstance(strategies[name].needs_labels, bool)


@every_strategy
@pytest.mark.parametrize("n", [1, 7, 58])
def test_it_gives_exactly_n_distinct_unlabelled_rows(name, n, make_pool, matrix):
    selection = select(name, make_pool(matrix, labelled=[3, 44]), n)
    assert selection.rows.dtype == np.int64
    assert selection.scores.dtype == np.float32
    assert selection.rows.shape == selection.scores.shape == (n,)
    assert np.unique(selection.rows).size == n
    assert not np.isin(selection.rows, [3, 44]).any()
    assert np.isfinite(selection.scores).all()


@every_strategy
def test_the_same_seed_gives_the_same_selection(name, make_pool, matrix):
    same(select(name, make_pool(matrix), 20, 5), select(name, make_pool(matrix), 20, 5))


@every_strategy
def test_threads_change_nothing(name, make_pool):
    matrix = np.random.default_rng(0).standard_normal((3000, 96)).astype(np.float32)
    found = []
    for count in (1, 2):
        with threads(count):
            found.append(select(name, make_pool(matrix), 200))
    same(*found)


@every_strategy
def test_the_block_size_changes_nothing(name, make_pool, matrix):
    if "block_size" not in inspect.signature(strategies[name]).parameters:
        return  # it has none
    found = [
        get_strategy(name, block_size=size).select(make_pool(matrix), 30, np.random.default_rng(0))
        for size in (1, 2, 7, 1000)
    ]
    for other in found[1:]:
        same(found[0], other)


@every_strategy
def test_half_the_pool_being_copies_never_repeats_a_vector_or_shortens_a_batch(name, make_pool):
    distinct = np.random.default_rng(5).standard_normal((40, 6)).astype(np.float32)
    matrix = np.repeat(distinct, 2, axis=0)[np.random.default_rng(6).permutation(80)]
    pool = make_pool(matrix, labelled=[0, 1, 2])
    taken = {matrix[row].tobytes() for row in (0, 1, 2)}
    rows = select(name, pool, 77).rows
    assert sorted(rows.tolist()) == list(range(3, 80))
    if strategies[name].distinct:
        first = rows[: 40 - len(taken)]
        vectors = {matrix[row].tobytes() for row in first}
        assert len(vectors) == first.size
        assert not vectors & taken


@every_strategy
def test_inputs_are_left_alone(name, make_pool, matrix):
    labelled, labels, candidates = np.array([5, 2]), np.array([1, 0]), np.arange(40)
    arrays = [matrix, labelled, labels, candidates]
    before = [array.copy() for array in arrays]
    pool = make_pool(matrix, labelled=labelled, labels=labels, candidates=candidates)
    select(name, pool, 10)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
        assert array.flags.writeable


@every_strategy
def test_the_pool_cannot_be_written_to(name, make_pool, matrix):
    pool = make_pool(matrix)
    select(name, pool, 3)
    for array in (pool.embeddings, pool.labelled, pool.labels, pool.candidates, pool.unlabelled):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@every_strategy
@pytest.mark.parametrize("value", [0.0, 1000.1])
def test_a_matrix_of_duplicates_still_fills_the_batch(name, value, make_pool):
    matrix = np.full((30, 4), value, dtype=np.float32)
    rows = select(name, make_pool(matrix), 28).rows
    assert sorted(rows.tolist()) == list(range(2, 30))


@every_strategy
def test_one_class_is_enough(name, make_pool, matrix):
    pool = make_pool(matrix, labels=[4, 4])
    selection = select(name, pool, 5)
    assert np.isfinite(selection.scores).all()


@every_strategy
def test_nothing_labelled_works_or_says_what_does(name, matrix):
    pool = Pool(matrix)
    if not strategies[name].needs_labels:
        assert np.unique(select(name, pool, 60).rows).size == 60
        return
    free = ", ".join(sorted(k for k in strategies if not strategies[k].needs_labels))
    with pytest.raises(SelectionError) as caught:
        select(name, pool, 5)
    assert str(caught.value) == (
        f"strategy {name!r} needs labels: give some, or use one that needs none: {free}."
    )


@every_strategy
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 17])
def test_nan_and_infinity_are_refused_by_row(name, value, row, make_pool, matrix):
    matrix[row, 3] = value
    with pytest.raises(SelectionError) as caught:
        select(name, make_pool(matrix, labelled=[0, 1]), 5)
    assert str(caught.value) == (
        f"row {row} of the embeddings holds NaN or infinity: "
        "embed that item again or leave it out of the candidates."
    )


@every_strategy
def test_a_damaged_row_outside_the_candidates_does_not_matter(name, make_pool, matrix):
    matrix[59] = np.nan
    assert select(name, make_pool(matrix, candidates=np.arange(50)), 48).rows.max() < 50


@every_strategy
def test_only_candidates_are_picked(name, make_pool, matrix):
    candidates = [50, 7, 8, 30, 31, 9, 1]
    rows = select(name, make_pool(matrix, candidates=candidates), 6).rows
    assert sorted(rows.tolist()) == [7, 8, 9, 30, 31, 50]


@every_strategy
def test_the_order_of_candidates_does_not_matter(name, make_pool, matrix):
    there, back = np.arange(40), np.arange(40)[::-1].copy()
    same(
        select(name, make_pool(matrix, candidates=there), 12),
        select(name, make_pool(matrix, candidates=back), 12),
    )


@every_strategy
def test_a_memory_map_gives_the_same_selection(name, make_pool, matrix, tmp_path):
    np.save(tmp_path / "embeddings.npy", matrix)
    mapped = np.load(tmp_path / "embeddings.npy", mmap_mode="r")
    same(select(name, make_pool(matrix), 20), select(name, make_pool(mapped), 20))


@every_strategy
@pytest.mark.parametrize(
    ("n", "message"),
    [
        (0, "asked for 0 items: ask for a whole number, at least 1."),
        (-3, "asked for -3 items: ask for a whole number, at least 1."),
        (2.5, "asked for 2.5 items: ask for a whole number, at least 1."),
        (True, "asked for True items: ask for a whole number, at least 1."),
        (
            59,
            "asked for 59 items, but only 58 of the pool's 60 are unlabelled: ask for at most 58.",
        ),
    ],
)
def test_a_number_that_cannot_be_had_is_refused(name, n, message, make_pool, matrix):
    with pytest.raises(SelectionError) as caught:
        select(name, make_pool(matrix), n)
    assert str(caught.value) == message


@every_strategy
def test_an_empty_pool_is_refused(name, make_pool, matrix):
    with pytest.raises(SelectionError) as caught:
        select(name, make_pool(matrix, candidates=[0, 1]), 1)
    assert str(caught.value) == (
        "asked for 1 items, but none of the pool's 2 is unlabelled: "
        "there is nothing left to select."
    )


@every_strategy
def test_predictions_are_asked_for_unlabelled_rows_only(name, matrix):
    if strategies[name].needs_head:
        return  # it asks for predictions of other vectors too
    asked = []

    def probabilities(rows):
        asked.extend(rows.tolist())
        return np.full((rows.size, 2), 0.5)

    pool = Pool(matrix, labelled=[4, 9], labels=[0, 1], probabilities=probabilities)
    select(name, pool, 3)
    select(name, pool, 5)
    assert not asked or sorted(asked) == pool.unlabelled.tolist()  # once each, and only them
