"""Confident learning: the rule by hand, and the results of cleanlab."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from embedpipe.checks import confident_errors, find_label_errors
from embedpipe.checks.label_errors import estimated_joint, label_margins
from embedpipe.heads import LogisticHead, RidgeHead, cross_validated_probabilities

cleanlab_filter = pytest.importorskip("cleanlab.filter")
cleanlab_rank = pytest.importorskip("cleanlab.rank")


def written_out(probabilities, codes):
    """The rule item by item in fractions, and whether rounding had a tie."""
    n, count = probabilities.shape
    everything = range(count)
    members = [[i for i in range(n) if codes[i] == c] for c in everything]
    thresholds = [
        sum(probabilities[i][c] for i in members[c]) / len(members[c]) if members[c] else 2.0
        for c in everything
    ]
    joint = [[0] * count for _ in everything]
    for i in range(n):
        sure = [c for c in everything if probabilities[i][c] >= thresholds[c] - 1e-6]
        best = max(everything, key=lambda c: probabilities[i][c])
        if sure:
            joint[codes[i]][sure[0] if len(sure) == 1 else best] += 1
    by_class, by_rate, tied = set(), set(), False
    for c in everything:
        joint[c][c] = max(joint[c][c], 1)
        exact = [Fraction(x * len(members[c]), sum(joint[c])) for x in joint[c]]
        whole = [int(x) for x in exact]
        ranked = sorted(everything, key=lambda d: (whole[d] - exact[d], d != c, d))
        missing = len(members[c]) - sum(whole)
        if 0 < missing < count:
            last, following = ranked[missing - 1], ranked[missing]
            tied |= whole[last] - exact[last] == whole[following] - exact[following]
        for d in ranked[:missing]:
            whole[d] += 1
        by_class |= set(
            sorted(members[c], key=lambda i: probabilities[i][c])[: len(members[c]) - whole[c]]
        )
        for d in everything:
            if d != c:
                order = sorted(members[c], key=lambda i: probabilities[i][c] - probabilities[i][d])
                by_rate |= set(order[: whole[d]])
    wrong = [
        i in by_class and i in by_rate and probabilities[i].argmax() != codes[i] for i in range(n)
    ]
    return wrong, tied


@st.composite
def judged(draw):
    count = draw(st.integers(2, 6))
    n = draw(st.integers(count, 60))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    sharp = draw(st.sampled_from([0.1, 0.5, 2.0]))
    probabilities = rng.dirichlet(np.full(count, sharp), size=n)
    codes = probabilities.argmax(axis=1)
    noisy = rng.random(n) < 0.3
    codes[noisy] = rng.integers(count, size=noisy.sum())
    codes[:count] = np.arange(count)  # each class has a label
    return probabilities, codes


@given(judged())
def test_the_mask_equals_the_rule(case):
    probabilities, codes = case
    assert confident_errors(probabilities, codes).tolist() == written_out(probabilities, codes)[0]


@settings(max_examples=60, deadline=None)
@given(judged())
def test_the_mask_equals_that_of_cleanlab(case):
    probabilities, codes = case
    assume(not written_out(probabilities, codes)[1])  # cleanlab breaks ties in another way
    with warnings.catch_warnings(action="ignore"):  # that a class has one label
        theirs = cleanlab_filter.find_label_issues(codes, probabilities, filter_by="both", n_jobs=1)
    assert confident_errors(probabilities, codes).tolist() == theirs.tolist()
    scores = cleanlab_rank.get_label_quality_scores(
        codes, probabilities, method="normalized_margin"
    )
    np.testing.assert_allclose((label_margins(probabilities, codes) + 1) / 2, scores, atol=1e-12)


def test_by_hand():
    # Means of the own class: 0.7 for class 0, 0.65 for class 1. Class 0 is confident of items 0,
    # 1 and 5, class 1 of 2, 3 and 4: of the three labels 1, one is of class 0 by this count.
    own = np.array([0.9, 0.8, 0.4, 0.95, 0.9, 0.1])
    codes = np.array([0, 0, 0, 1, 1, 1])
    probabilities = np.column_stack([np.where(codes == 0, own, 1 - own)] * 2)
    probabilities[:, 1] = 1 - probabilities[:, 0]
    assert confident_errors(probabilities, codes).tolist() == [False] * 5 + [True]


def test_counts_and_margins_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.95, 0.05]])
    assert estimated_joint(probabilities, np.array([0, 0, 1, 1, 1])).tolist() == [[2, 0], [1, 2]]
    three = np.array([[0.75, 0.25, 0.0], [0.5, 0.25, 0.25]])
    assert label_margins(three, np.array([0, 2])).tolist() == [0.5, -0.25]


def test_no_item_counts_for_a_class_without_labels():
    probabilities = np.array([[0.1, 0.2, 0.7], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    assert confident_errors(probabilities, np.array([1, 0, 1])).tolist() == [False] * 3
    assert confident_errors(np.zeros((0, 3)), np.zeros(0, np.int64)).tolist() == []


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.data.astype(np.float32), found.target.astype(str)


def test_flipped_labels_of_real_digits_are_found(digits):
    matrix, truth = digits
    rng = np.random.default_rng(0)
    flipped = rng.permutation(truth.size)[:90]
    labels = truth.copy()
    labels[flipped] = (truth[flipped].astype(int) + rng.integers(1, 10, 90)) % 10
    changed = np.flatnonzero(labels != truth)
    found = find_label_errors(matrix, np.arange(truth.size), labels)
    assert found.judged == truth.size
    hits = np.isin(found.rows, changed)
    assert hits.sum() / changed.size > 0.7
    assert hits.mean() > 0.7
    assert (found.suggested[hits] == truth[found.rows[hits]]).mean() > 0.9
    assert (found.given == labels[found.rows]).all()
    margins = found.given_probabilities - found.suggested_probabilities
    assert (np.diff(margins) >= 0).all()

    values, scored = cross_validated_probabilities(LogisticHead(), matrix, labels)
    assert scored.all()
    codes = labels.astype(int)
    theirs = cleanlab_filter.find_label_issues(
        codes,
        values,
        filter_by="both",
        n_jobs=1,
        return_indices_ranked_by="normalized_margin",
        confident_joint=estimated_joint(values, codes),  # theirs is rounded by chance where tied
    )
    assert found.rows.tolist() == theirs.tolist()


def test_many_labels_of_many_classes_are_judged_by_ridge():
    rng = np.random.default_rng(0)
    truth = np.arange(5_100) % 200  # 1,020,000 pairs of label and class
    centres = rng.standard_normal((200, 24))
    matrix = (centres[truth] + 0.6 * rng.standard_normal((5_100, 24))).astype(np.float32)
    labels = truth.copy()
    flipped = rng.permutation(5_100)[:100]
    labels[flipped] = (truth[flipped] + 1) % 200
    found = find_label_errors(matrix, np.arange(5_100), labels)
    by_ridge = find_label_errors(matrix, np.arange(5_100), labels, RidgeHead())
    assert found.rows.tolist() == by_ridge.rows.tolist()
    np.testing.assert_array_equal(found.suggested_probabilities, by_ridge.suggested_probabilities)
    hits = np.isin(found.rows, flipped)
    assert hits.sum() / flipped.size > 0.7
    assert hits.mean() > 0.7


def test_rows_are_those_of_the_matrix(digits):
    matrix, labels = digits
    rows = np.arange(5, 405)
    some = labels[rows].copy()
    some[:10] = "9"
    found = find_label_errors(matrix, rows, some)
    assert found.rows.size
    assert (labels[found.rows] != "9").all()
    assert (found.rows < 15).mean() > 0.7


def test_fewer_than_two_classes_give_no_errors():
    matrix = np.eye(3, dtype=np.float32)
    for labels in ([], ["hat"], ["hat", "hat", "hat"]):
        found = find_label_errors(matrix, np.arange(len(labels)), labels)
        assert (found.rows.size, found.given.size, found.judged) == (0, 0, 0)
    alone = find_label_errors(matrix, np.arange(2), ["hat", "shoe"])
    assert (alone.rows.size, alone.judged) == (0, 0)
