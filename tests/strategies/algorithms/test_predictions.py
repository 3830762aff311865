import numpy as np
import pytest

from embedpipe.errors import SelectionError
from embedpipe.strategies import Pool
from embedpipe.strategies.algorithms import predictions
from embedpipe.strategies.algorithms.predictions import (
    label_columns,
    margin,
    two_largest,
    uncertainty_of,
)


class Head:
    classes_ = np.array(["dress", "hat"])

    def predict_proba(self, vectors):
        return np.full((len(vectors), 2), 0.5)


def test_a_label_without_a_class_has_no_column():
    pool = Pool(np.eye(3), labelled=[0, 1, 2], labels=["hat", "shoe", "dress"], head=Head())
    assert label_columns(pool, 2).tolist() == [1, -1, 0]


def test_columns_without_classes_are_refused():
    pool = Pool(np.eye(3), labelled=[0, 1], labels=[0, 1], probabilities=lambda rows: None)
    with pytest.raises(SelectionError) as caught:
        label_columns(pool, 3)
    assert str(caught.value) == (
        "the predictions have 3 columns, but 2 classes are labelled: "
        "give the pool a fitted `head`, whose `classes_` name the columns."
    )


def test_blocks_change_nothing(monkeypatch):
    monkeypatch.setattr(predictions, "ROWS", 7)
    given = np.random.default_rng(0).dirichlet([1, 1, 1, 1], size=40).astype(np.float32)
    pool = Pool(np.eye(40), probabilities=lambda rows: given[rows])
    rows = np.arange(40)[::-2]
    assert uncertainty_of(pool, margin, rows).tolist() == margin(given[rows]).tolist()
    best, first, second = two_largest(given)
    ordered = np.sort(given, axis=1)
    assert best.tolist() == given.argmax(axis=1).tolist()
    assert first.tolist() == ordered[:, -1].tolist()
    assert second.tolist() == ordered[:, -2].tolist()


def test_a_single_class_has_no_second():
    best, first, second = two_largest(np.ones((2, 1), dtype=np.float32))
    assert (best.tolist(), first.tolist(), second.tolist()) == ([0, 0], [1, 1], [0, 0])


def test_values_of_a_few_predictions():
    pool = Pool(np.eye(3, dtype=np.float32), labelled=[0, 2], labels=["hat", "dress"])
    assert label_columns(pool, 2).tolist() == [1, 0]
    pool = Pool(np.eye(2, dtype=np.float32), probabilities=lambda rows: [[1, 0], [0.5, 0.5]])
    assert uncertainty_of(pool, margin, np.array([1, 0])).tolist() == [1.0, 0.0]
    found = two_largest(np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))
    assert [each.tolist() for each in found] == [[1, 0], [0.75, 0.5], [0.25, 0.5]]
