"""Labels and rows that are given as arrays: missing, mixed, or of another length."""

import numpy as np
import pandas as pd
import pytest

import embedpipe as ep
from embedpipe.active import Problem
from embedpipe.errors import EmbedpipeError, LabelError, SelectionError

X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
LABELS = ["hat", "shoe"] * 15
GAPS = [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, "", " "]

DOORS = {
    "loop": lambda labels: ep.ActiveLoop.from_arrays(X, labels, update_size=5, initial_size=5),
    "select": lambda labels: ep.select(X, 2, "margin", labelled=range(28), labels=labels[2:]),
    "head": lambda labels: ep.LogisticHead().fit(X, labels),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("gap", GAPS, ids=repr)
def test_a_missing_label_is_refused_and_never_a_class(door, gap):
    with pytest.raises(EmbedpipeError, match=r"29 of y_train|label 27 is|label of row 29") as error:
        DOORS[door]([*LABELS[:-1], gap])
    assert "leave" in str(error.value)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("other", [1, 2.5, True, b"hat"], ids=repr)
def test_texts_and_other_labels_are_not_mixed(door, other):
    with pytest.raises(EmbedpipeError, match="mixes .*: give all labels as texts, or all as"):
        DOORS[door]([*LABELS[:-1], other])


@pytest.mark.parametrize("door", DOORS)
def test_truth_values_and_numbers_are_not_mixed(door):
    with pytest.raises(EmbedpipeError, match="mixes bool, int"):
        DOORS[door]([True, 2] * 15)


@pytest.mark.parametrize("gap", GAPS, ids=repr)
def test_a_problem_may_have_rows_without_a_label_but_not_among_its_candidates(gap):
    labels = [*LABELS[:-1], gap]
    assert Problem.from_arrays(X, labels, range(29)).oracle.classes.tolist() == ["hat", "shoe"]
    with pytest.raises(LabelError, match="row 29 has no label to answer with"):
        Problem.from_arrays(X, labels, range(30))
    numbers = np.array([*[1.0, 2.0] * 14, 1.0, np.nan])
    assert Problem.from_arrays(X, numbers, range(29)).oracle.classes.tolist() == [1.0, 2.0]
    with pytest.raises(LabelError, match="row 29 has no label to answer with"):
        Problem.from_arrays(X, numbers, range(30))


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (np.arange(30) < 5, "`candidates` must be a list of row numbers; got shape (30,) and dtype "
         "bool."),
        ([0.5, 1], "`candidates` must be a list of row numbers; got shape (2,) and dtype float64."),
        ([1, 1], "`candidates` has row 1 more than once: give each row once."),
        ([30], "`candidates` has row 30, but the embeddings have rows 0 to 29."),
        ([-1], "`candidates` has row -1, but the embeddings have rows 0 to 29."),
    ],
)  # fmt: skip
def test_candidates_are_row_numbers(candidates, message):
    with pytest.raises(SelectionError) as error:
        Problem.from_arrays(X, LABELS, candidates)
    assert str(error.value) == message
    with pytest.raises(SelectionError) as error:
        Problem.from_arrays(X, LABELS, [7], candidates)
    assert str(error.value) == message.replace("candidates", "test")


def test_lengths_that_differ_are_refused():
    with pytest.raises(LabelError) as error:
        Problem.from_arrays(X, LABELS[1:], range(5))
    assert str(error.value) == "there are 30 rows, but 29 labels: give one for each row."


def test_labels_by_path_are_never_made_of_a_missing_value():
    for gap in GAPS:
        with pytest.raises(LabelError) as error:
            ep.labels.rows_for({"a.jpg": "hat", "b.jpg": gap}, ["a.jpg", "b.jpg"])
        assert str(error.value) == (
            f"the label of 'b.jpg' is {gap!r}. Leave out items without a label."
        )


@pytest.mark.parametrize("made", [list, np.array, lambda labels: np.array(labels, dtype=object)])
def test_blanks_around_a_label_make_no_class(made):
    labels = made([" hat", "shoe", "hat ", "shoe\t"] * 7 + ["hat", "shoe"])
    assert ep.LogisticHead().fit(X, labels).classes_.tolist() == ["hat", "shoe"]
    problem = Problem.from_arrays(X, labels, range(20), range(20, 30))
    assert set(problem.test_labels.tolist()) == {"hat", "shoe"}
    plain = ep.select(X, 5, "margin", labelled=range(20), labels=LABELS[:20])
    padded = ep.select(X, 5, "margin", labelled=range(20), labels=labels[:20])
    assert plain.rows.tolist() == padded.rows.tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vectors_are_finite_by_every_door(value):
    matrix = X.copy()
    matrix[7, 2] = value
    doors = [
        lambda: Problem.from_arrays(matrix, LABELS, range(20), range(20, 30)),
        lambda: ep.ActiveLoop.from_arrays(matrix, LABELS, update_size=5, initial_size=5),
        lambda: ep.Stream.from_arrays(matrix, LABELS, [1, 2, 3] * 10),
    ]
    for door in doors:
        with pytest.raises(
            LabelError, match=r"row 7 of (the matrix|X_train) holds NaN or infinity"
        ):
            door()
    Problem.from_arrays(matrix, LABELS, range(7), range(8, 30))  # row 7 is not used
