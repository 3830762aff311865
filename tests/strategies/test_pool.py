import numpy as np
import pytest

from embedpipe.errors import SelectionError
from embedpipe.index import Index
from embedpipe.strategies import Pool
from embedpipe.strategies.pool import checked_rows

EYE = np.eye(4, dtype=np.float32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labelled": [4]}, "`labelled` has row 4, but the embeddings have rows 0 to 3."),
        ({"labelled": [-1]}, "`labelled` has row -1, but the embeddings have rows 0 to 3."),
        ({"labelled": [2, 1, 2]}, "`labelled` has row 2 more than once: give each row once."),
        ({"candidates": [9]}, "`candidates` has row 9, but the embeddings have rows 0 to 3."),
        (
            {"candidates": [True, False, True, True]},
            "`candidates` must be a list of row numbers; got shape (4,) and dtype bool.",
        ),
        (
            {"labelled": [0.5]},
            "`labelled` must be a list of row numbers; got shape (1,) and dtype float64.",
        ),
        (
            {"labelled": [0, 1], "labels": ["cat"]},
            "`labels` must have one label for each of 2 labelled rows; got shape (1,).",
        ),
        (
            {"labelled": [0, 1], "labels": ["cat", None]},
            "label 1 is None: leave unlabelled rows out of `labelled`.",
        ),
    ],
)
def test_rows_and_labels_that_do_not_fit_are_refused(options, message):
    with pytest.raises(SelectionError) as caught:
        Pool(EYE, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("embeddings", "given"),
    [
        (np.zeros(3, np.float32), "got shape (3,) and dtype float32."),
        (np.zeros((3, 0), np.float32), "got shape (3, 0) and dtype float32."),
        (np.array([["a"]]), "got shape (1, 1) and dtype <U1."),
    ],
)
def test_embeddings_must_be_a_matrix(embeddings, given):
    with pytest.raises(SelectionError) as caught:
        Pool(embeddings)
    assert str(caught.value) == (
        f"`embeddings` must be a matrix of real numbers, one row per item; {given}"
    )


def test_float32_is_not_copied_and_float64_is_converted():
    assert np.shares_memory(Pool(EYE).embeddings, EYE)
    assert Pool(EYE.astype(np.float64)).embeddings.dtype == np.float32


def test_values_that_overflow_float32_are_refused():
    with pytest.raises(SelectionError, match=r"^row 1 of the embeddings holds NaN or infinity: "):
        Pool(np.array([[0.0], [1e300]])).check_finite()


def test_large_finite_rows_are_not_mistaken_for_infinity():
    Pool(np.full((2, 8), 3e38, dtype=np.float32)).check_finite()


def test_the_unlabelled_are_the_candidates_that_have_no_label():
    pool = Pool(EYE, labelled=[3, 0], candidates=[2, 0, 1])
    assert pool.unlabelled.tolist() == [1, 2]
    assert pool.labelled.tolist() == [3, 0]
    assert pool.labels is None
    assert not pool.has_labels


def test_probabilities_follow_the_rows_asked_for():
    pool = Pool(EYE, labelled=[1], labels=["a"], probabilities=lambda rows: np.c_[rows, rows + 1])
    assert pool.probabilities().tolist() == [[0, 1], [2, 3], [3, 4]]
    assert pool.probabilities([3, 0]).tolist() == [[3, 4], [0, 1]]
    assert pool.probabilities([1]).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("predict", "options", "message"),
    [
        (
            None,
            {},
            "this pool has no predictions: give it a fitted `head` "
            "or `probabilities` (a function from rows to class probabilities).",
        ),
        (
            lambda rows: np.zeros(rows.size),
            {},
            "the predictions for 4 rows have shape (4,): they must have shape (4, C).",
        ),
        (
            lambda rows: np.zeros((1, 2)),
            {},
            "the predictions for 4 rows have shape (1, 2): they must have shape (4, C).",
        ),
        (
            lambda rows: np.zeros((rows.size, 2)),
            {"n_classes": 3},
            "the predictions for 4 rows have shape (4, 2): they must have shape (4, 3).",
        ),
        (
            lambda rows: np.where(rows[:, None] == 2, np.nan, np.zeros((1, 2))),
            {},
            "the predictions for row 2 hold NaN or infinity: refit the head.",
        ),
    ],
)
def test_predictions_that_do_not_fit_are_refused(predict, options, message):
    with pytest.raises(SelectionError) as caught:
        Pool(EYE, probabilities=predict, **options).probabilities()
    assert str(caught.value) == message


def test_an_index_of_another_matrix_is_refused():
    other = EYE.copy()
    other[2, 0] = 0.5
    with pytest.raises(SelectionError) as caught:
        Pool(EYE, index=Index(other))
    assert str(caught.value) == (
        "the index was built from another matrix: row 2 differs. "
        "Build the index from the same matrix and candidates."
    )
    rows = np.array([0, 1, 3])
    assert Pool(EYE, candidates=rows, index=Index(other, rows)).index.matrix is other
    assert Pool(EYE.astype(np.float64), index=Index(EYE)).index.matrix is EYE


@pytest.mark.parametrize("examples", [[], EYE[0], EYE[:, :3], EYE[:0]])
def test_examples_of_another_shape_are_refused(examples):
    with pytest.raises(SelectionError) as caught:
        Pool(EYE, examples=examples)
    assert str(caught.value) == (
        f"`examples` must have shape (e, 4) with at least one row; got {np.shape(examples)}."
    )


def test_rows_stay_in_order():
    assert checked_rows([2, 0], 3, "picks").tolist() == [2, 0]


# Restricted pools

LINE = np.array([[0], [5], [0], [4], [9], [5], [7]], dtype=np.float32)
"""Row 2 is a copy of row 0, and row 5 of row 1."""


def test_a_restricted_pool_worked_out_by_hand():
    predictions = np.arange(14).reshape(7, 2) / 20
    whole = Pool(
        LINE, labelled=[3], labels=["cat"], candidates=np.arange(6),
        probabilities=lambda rows: predictions[rows],
    )  # fmt: skip
    part = whole.restricted([5, 0, 1])
    assert part.unlabelled.tolist() == [0, 1, 5]
    assert part.candidates.tolist() == [0, 1, 3, 5]  # the labelled row stays
    assert (part.labelled.tolist(), part.labels.tolist()) == ([3], ["cat"])
    assert part.index.rows.tolist() == [0, 1, 3]
    assert part.index.copy_of.tolist() == [0, 1, 2, 1]
    assert part.unique_labelled.tolist() == [False, False, True]
    np.testing.assert_array_equal(part.probabilities(), np.float32(predictions[[0, 1, 5]]))
    assert whole.unlabelled.tolist() == [0, 1, 2, 4, 5]  # unchanged
    for array in (part.candidates, part.unlabelled):
        assert not array.flags.writeable


def test_a_restricted_pool_shares_the_head_and_its_predictions():
    fits, predicted = [], []

    class Head:
        classes_ = np.array(["cat", "dog"])

        def predict_proba(self, vectors):
            predicted.append(len(vectors))
            return np.column_stack([vectors[:, 0] / 10, 1 - vectors[:, 0] / 10])

    def fitted():
        fits.append(1)
        return Head()

    whole = Pool(LINE, labelled=[3, 6], labels=["cat", "dog"], head=fitted)
    for rows in ([0, 1], [2, 4], [1, 5]):
        part = whole.restricted(rows).measured_by("cosine")
        np.testing.assert_array_equal(part.probabilities(), whole.probabilities(rows))
        assert part.head is whole.head
        assert part.classes.tolist() == ["cat", "dog"]
    assert (len(fits), predicted) == (1, [5])  # one fit; the five unlabelled rows predicted once


def test_a_part_of_a_restricted_pool():
    whole = Pool(LINE, labelled=[3], labels=["cat"])
    part = whole.restricted([0, 1, 4, 6]).restricted([6, 1])
    assert part.unlabelled.tolist() == [1, 6]
    assert part.candidates.tolist() == [1, 3, 6]
    assert part.index.rows.tolist() == [1, 3, 6]


def test_a_pool_is_restricted_to_its_unlabelled_rows_only():
    for rows, message in (
        ([1, 3], "`rows` has row 3, which is not an unlabelled row of the pool."),
        ([1, 1], "`rows` has row 1 more than once: give each row once."),
    ):
        with pytest.raises(SelectionError) as caught:
            Pool(LINE, labelled=[3], labels=["cat"]).restricted(rows)
        assert str(caught.value) == message
