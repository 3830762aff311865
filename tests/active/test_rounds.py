"""Measures on the test rows."""

from __future__ import annotations

import numpy as np
from sklearn.naive_bayes import GaussianNB

from embedpipe.active.rounds import Evaluator, Scores

MATRIX = np.array([[0.0], [1.0], [0.1], [0.9], [0.4]], dtype=np.float32)


def test_scores_by_hand():
    head = GaussianNB(var_smoothing=0.1).fit(MATRIX[:2], ["a", "b"])
    scores = Evaluator(MATRIX, np.array([2, 3, 4]), np.array(["a", "b", "b"])).scores(head)
    assert (round(scores.accuracy, 3), round(scores.balanced_accuracy, 3)) == (0.667, 0.75)


def test_without_a_head_or_test_rows_there_are_no_scores():
    assert Evaluator(MATRIX, np.array([2]), np.array(["a"])).scores(None) == Scores()
    head = GaussianNB(var_smoothing=0.1).fit(MATRIX[:2], ["a", "b"])
    no_rows = np.array([], dtype=np.int64)
    assert Evaluator(MATRIX, no_rows, np.array([], dtype=str)).scores(head) == Scores()
