"""Labels and rows as arrays: missing or mixed labels, wrong lengths, NaN."""

import numpy as np
import pandas as pd
import pytest

import embedpipe as ep
from embedpipe.active import Problem
from embedpipe.errors import EmbedpipeError, LabelError, SelectionError

X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
LABELS = ["hat", "shoe"] * 15
GAPS = [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, "", " "]

ENTRY_POINTS = {
    "loop": lambda labels: ep.ActiveLoop.from_arrays(X, labels, update_size=5, initial_size=5),
    "select": lambda labels: ep.select(X, 2, "margin", labelled=range(28), labels=labels[2:]),
    "head": lambda labels: ep.LogisticHead().fit(X, labels),
}


@pytest.mark.parametrize("entry", ENTRY_POINTS)
@pytest.mark.parametrize("gap", GAPS, ids=repr)
def test_a_missing_label_raises_an_error(entry, gap):
    with pytest.raises(EmbedpipeError, match=r"29 of y_train|label 27 is|label of row 29") as error:
        ENTRY_POINTS[entry]([*LABELS[:-1], gap])
    assert "leave" in str(error.value)


@pytest.mark.parametrize("entry", ENTRY_POINTS)
@pytest.mark.parametrize("other", [1, 2.5, True, b"hat"], ids=repr)
def test_texts_and_other_labels_cannot_be_mixed(entry, other):
    with pytest.raises(EmbedpipeError, match="mixes .*: give all labels as texts, or all as"):
        ENTRY_POINTS[entry]([*LABELS[:-1], other])


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_booleans_and_numbers_cannot_be_mixed(entry):
    with pytest.raises(EmbedpipeError, match="mixes bool, int"):
        ENTRY_POINTS[entry]([True, 2] * 15)


@pytest.mark.parametrize("gap", GAPS, ids=repr)
def test_only_candidates_need_labels(gap):
    labels = [*LABELS[:-1], gap]
    assert Problem.from_arrays(X, labels, range(29)).oracle.classes.tolist() == ["hat", "shoe"]
    with pytest.raises(LabelError, match="row 29 has no label: leave"):
        Problem.from_arrays(X, labels, range(30))
    numbers = np.array([*[1.0, 2.0] * 14, 1.0, np.nan])
    assert Problem.from_arrays(X, numbers, range(29)).oracle.classes.tolist() == [1.0, 2.0]
    with pytest.raises(LabelError, match="row 29 has no label: leave"):
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


def test_lengths_that_differ_raise_an_error():
    with pytest.raises(LabelError) as error:
        Problem.from_arrays(X, LABELS[1:], range(5))
    assert str(error.value) == "there are 30 rows, but 29 labels: give one for each row."


def test_missing_labels_by_path_raise_an_error():
    for gap in GAPS:
        with pytest.raises(LabelError) as error:
            ep.labels.rows_for({"a.jpg": "hat", "b.jpg": gap}, ["a.jpg", "b.jpg"])
        assert str(error.value) == (
            f"the label of 'b.jpg' is {gap!r}. Leave out items without a label."
        )


@pytest.mark.parametrize("made", [list, np.array, lambda labels: np.array(labels, dtype=object)])
def test_blanks_around_labels_are_removed(made):
    labels = made([" hat", "shoe", "hat ", "shoe\t"] * 7 + ["hat", "shoe"])
    assert ep.LogisticHead().fit(X, labels).classes_.tolist() == ["hat", "shoe"]
    problem = Problem.from_arrays(X, labels, range(20), range(20, 30))
    assert set(problem.test_labels.tolist()) == {"hat", "shoe"}
    plain = ep.select(X, 5, "margin", labelled=range(20), labels=LABELS[:20])
    padded = ep.select(X, 5, "margin", labelled=range(20), labels=labels[:20])
    assert plain.rows.tolist() == padded.rows.tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vectors_must_be_finite(value):
    matrix = X.copy()
    matrix[7, 2] = value
    entries = [
        lambda: Problem.from_arrays(matrix, LABELS, range(20), range(20, 30)),
        lambda: ep.ActiveLoop.from_arrays(matrix, LABELS, update_size=5, initial_size=5),
        lambda: ep.Stream.from_arrays(matrix, LABELS, [1, 2, 3] * 10),
    ]
    for entry in entries:
        with pytest.raises(
            LabelError, match=r"row 7 of (the matrix|X_train) holds NaN or infinity"
        ):
            entry()
    Problem.from_arrays(matrix, LABELS, range(7), range(8, 30))  # row 7 is not used
