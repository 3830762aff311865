"""Committees of heads on resampled labels."""

from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from embedpipe.errors import SelectionError
from embedpipe.heads import LogisticHead
from embedpipe.strategies import Pool, QueryByCommittee
from embedpipe.strategies.algorithms.posterior import mutual_information, vote_entropy
from embedpipe.strategies.query_by_committee import stratified_bootstrap


def test_the_bootstrap_keeps_the_size_of_each_class():
    labels = np.array(["b", "a", "b", "c", "b", "a"])
    rng = np.random.default_rng(0)
    drawn = [stratified_bootstrap(labels, rng) for _ in range(2000)]
    for at in drawn:
        assert sorted(labels[at]) == sorted(labels)
    counts = np.bincount(np.concatenate(drawn), minlength=6) / 2000
    np.testing.assert_allclose(counts, 1, atol=0.07)  # each row once on average
    assert counts[3] == 1  # the only c
    both = np.mean([np.isin([1, 5], at).all() for at in drawn])
    assert both == pytest.approx(0.5, abs=0.05)  # of aa, a5, 5a, 55


class Scripted(ClassifierMixin, BaseEstimator):
    """Of two classes, the first is likely to the right of the mean of the training data."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.middle_ = X.mean(axis=0)
        return self

    def predict_proba(self, X):
        p = 1 / (1 + np.exp(-(X[:, 0] - self.middle_[0])))
        return np.column_stack([p, 1 - p])


@pytest.mark.parametrize(
    ("disagreement", "measure"), [("kl", mutual_information), ("vote_entropy", vote_entropy)]
)
def test_scores_are_those_of_members_fitted_by_hand(disagreement, measure):
    matrix = np.linspace(-3, 3, 30, dtype=np.float32)[:, None]
    labelled, labels = np.array([0, 8, 15, 21, 29]), np.array([0, 0, 1, 1, 1])
    head = Scripted().fit(matrix[labelled], labels)
    pool = Pool(matrix, labelled=labelled, labels=labels, head=head)
    strategy = QueryByCommittee(members=5, disagreement=disagreement)
    selection = strategy.select(pool, 25, np.random.default_rng(7))
    rng = np.random.default_rng(7)
    samples = []
    for _ in range(5):
        at = stratified_bootstrap(labels, rng)
        samples.append(Scripted().fit(matrix[labelled][at], labels[at]).predict_proba(matrix))
    samples = np.array(samples, dtype=np.float32)[:, pool.unlabelled]
    scores = measure(samples)
    order = np.argsort(-scores, kind="stable")
    assert selection.rows.tolist() == pool.unlabelled[order].tolist()
    np.testing.assert_allclose(selection.scores, scores[order], rtol=1e-5, atol=1e-7)
    agree = (samples.argmax(axis=2) == 0).mean(axis=0)
    expected = np.maximum(agree, 1 - agree)[order]
    np.testing.assert_allclose(selection.diagnostics["votes"], expected, rtol=1e-6)
    assert selection.diagnostics["votes"].dtype == np.float32


def test_without_disagreement_the_lowest_rows_are_picked(make_pool, matrix):
    pool = make_pool(matrix, labelled=[5, 6, 7], labels=["a", "b", "c"])  # nothing to resample
    selection = QueryByCommittee().select(pool, 4, np.random.default_rng(0))
    assert selection.rows.tolist() == [0, 1, 2, 3]
    assert selection.scores.tolist() == [0] * 4
    assert selection.diagnostics["votes"].tolist() == [1] * 4


class Watched(LogisticHead):
    seen: ClassVar[list] = []

    def fit(self, X, y):
        Watched.seen.append(self.get_params())
        return super().fit(X, y)


@pytest.mark.parametrize("C", ["auto", 5.0])
def test_members_reuse_the_regularisation_of_the_head(matrix, C):
    labels = np.arange(20) % 3
    head = Watched(C=C, tol=1e-3).fit(matrix[:20], labels)
    pool = Pool(matrix, labelled=np.arange(20), labels=labels, head=head)
    Watched.seen = []
    QueryByCommittee(members=3).select(pool, 2, np.random.default_rng(0))
    expected = {**head.get_params(), "C": head.C_}
    assert Watched.seen == [expected] * 3
    assert head.C == C


class Seeded(Scripted):
    seeds: ClassVar[list] = []

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y):
        Seeded.seeds.append(self.random_state)
        return super().fit(X, y)


def test_members_get_different_seeds(matrix):
    labels = np.arange(10) % 2
    head = Seeded().fit(matrix[:10], labels)
    pool = Pool(matrix, labelled=np.arange(10), labels=labels, head=head)
    found = []
    for seed in (0, 0, 1):
        Seeded.seeds = []
        QueryByCommittee(members=4).select(pool, 2, np.random.default_rng(seed))
        found.append(Seeded.seeds)
    assert found[0] == found[1] != found[2]
    assert len(set(found[0])) == 4
    assert all(isinstance(seed, int) for seed in found[0])


@pytest.mark.parametrize(
    "head", [LogisticRegression(max_iter=200), RandomForestClassifier(10, random_state=0)]
)
def test_scikit_learn_classifiers_work(head, matrix):
    labels = np.array(["a", "b", "c"])[np.arange(18) % 3]
    rows = []
    for _ in range(2):
        fitted = head.fit(matrix[:18], labels)
        pool = Pool(matrix, labelled=np.arange(18), labels=labels, head=fitted)
        rows.append(QueryByCommittee(members=4).select(pool, 9, np.random.default_rng(0)).rows)
    assert rows[0].tolist() == rows[1].tolist()


class Forgetful(Scripted):
    """Knows its classes in another order, and only two of them."""

    def fit(self, X, y):
        super().fit(X, y)
        self.classes_ = self.classes_[[2, 0]]
        return self


def test_columns_are_put_where_the_classes_of_the_pool_are(matrix):
    labels = np.array(["a", "b", "c"])[np.arange(9) % 3]
    head = LogisticHead(C=1.0).fit(matrix[:9], labels)
    pool = Pool(matrix, labelled=np.arange(9), labels=labels, head=head)
    committee = [Forgetful().fit(matrix[:9], labels), head]
    strategy = QueryByCommittee(members=2, disagreement="kl")
    found = strategy._scores_and_votes(pool, committee)
    rest = matrix[9:]
    theirs = committee[0].predict_proba(rest)  # c, then a
    sample = np.column_stack([theirs[:, 1], np.zeros(51), theirs[:, 0]])
    expected = mutual_information(np.array([sample, head.predict_proba(rest)], dtype=np.float32))
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5)


def test_labels_without_a_class_of_the_head_are_refused(matrix):
    head = LogisticHead(C=1.0).fit(matrix[:4], ["a", "b", "a", "b"])
    pool = Pool(matrix, labelled=np.arange(4), labels=["a", "b", "z", "b"], head=head)
    with pytest.raises(SelectionError) as caught:
        QueryByCommittee().select(pool, 2, np.random.default_rng(0))
    assert str(caught.value) == (
        "the head has no class 'z', which the labels contain: fit it to the labels of the pool."
    )


def test_a_head_that_cannot_be_cloned_is_refused(matrix):
    class Plain:
        classes_ = np.array([0, 1])

        def predict_proba(self, vectors):
            return np.full((len(vectors), 2), 0.5)

    pool = Pool(matrix, labelled=[0, 1], labels=[0, 1], head=Plain())
    with pytest.raises(SelectionError) as caught:
        QueryByCommittee().select(pool, 2, np.random.default_rng(0))
    assert str(caught.value) == (
        "strategy 'query_by_committee' needs a head that can be cloned; Plain has no `get_params`. "
        "Use a scikit-learn classifier."
    )


class Broken(Scripted):
    def predict_proba(self, X):
        p = super().predict_proba(X)
        p[X[:, 0] == 7] = np.nan
        return p


def test_predictions_that_are_not_finite_are_refused():
    matrix = np.arange(12, dtype=np.float32)[:, None]
    head = Broken().fit(matrix[:4], [0, 0, 1, 1])
    pool = Pool(matrix, labelled=np.arange(4), labels=[0, 0, 1, 1], head=head)
    with pytest.raises(SelectionError) as caught:
        QueryByCommittee().select(pool, 2, np.random.default_rng(0))
    assert str(caught.value) == (
        "the predictions for row 7 hold NaN or infinity: use another head than Broken."
    )


def test_steps_of_a_pipeline_get_seeds_too(matrix):
    head = make_pipeline(StandardScaler(), RandomForestClassifier(5))
    labels = ["a", "b"] * 10
    pool = Pool(matrix, labelled=range(20), labels=labels, head=head.fit(matrix[:20], labels))
    chosen = [QueryByCommittee().select(pool, 5, np.random.default_rng(0)) for _ in range(2)]
    assert chosen[0].rows.tolist() == chosen[1].rows.tolist()
    assert chosen[0].diagnostics["votes"].tolist() == chosen[1].diagnostics["votes"].tolist()
