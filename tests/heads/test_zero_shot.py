"""The zero-shot prior: predictions from class names, and their blend with labels."""

from __future__ import annotations

import numpy as np
import pytest

from embedpipe.errors import LabelError
from embedpipe.heads import AutoHead, ZeroShotPrior, load_head, save_head

CLASSES = np.array([f"c{number}" for number in range(8)])


def space(seed, text_noise=0.7, n=1600, d=64, offset=-1):
    """Return rows in overlapping classes, their labels, and vectors near the class means.

    As with real towers, the vectors of texts differ from those of images by a common `offset`.
    """
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(len(CLASSES), d)) / np.sqrt(d)
    common = rng.normal(size=d) / np.sqrt(d)
    y = rng.integers(0, len(CLASSES), size=n)
    noise = 0.35 * rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) / np.sqrt(d)
    X = (means[y] + 3 * common + noise).astype(np.float32)
    vectors = means + text_noise * rng.normal(size=means.shape) / np.sqrt(d) + offset * common
    return X, CLASSES[y], vectors


def accuracies(names, *, pool, n, seeds=3):
    """Return the mean accuracy of the labels alone, of the names alone, and of both."""
    found = []
    for seed in range(seeds):
        X, y, vectors = space(seed)
        prior = ZeroShotPrior(CLASSES[names], vectors, scale=60.0)
        options = {"unlabelled": X[n:800]} if pool else {}
        alone = AutoHead().fit(X[:n], y[:n], **options)
        both = AutoHead().fit(X[:n], y[:n], prior=prior, **options)
        found.append(
            [head.score(X[800:], y[800:]) for head in (alone, AutoHead.from_prior(prior), both)]
        )
    return np.mean(found, axis=0)


RIGHT, PERMUTED = np.arange(8), np.roll(np.arange(8), 1)


@pytest.mark.parametrize(
    ("n", "pool"),
    [(12, True), (24, True), (48, True), (200, True), (24, False), (48, False), (200, False)],
)
def test_names_that_help(n, pool):
    alone, names, both = accuracies(RIGHT, pool=pool, n=n)
    assert names > 0.5
    assert both >= max(alone, names) - 0.005


@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize("n", [12, 24, 48, 200])
def test_names_that_mislead(n, pool):
    alone, names, both = accuracies(PERMUTED, pool=pool, n=n)
    assert names < 0.1
    assert both >= alone - 0.005


@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize("n", [4, 8, 10])
def test_few_labels_reject_names_that_mislead(n, pool):
    alone, names, both = accuracies(PERMUTED, pool=pool, n=n, seeds=10)
    assert names < 0.1
    assert both >= alone - 0.005


def test_zero_shot_predictions_are_those_of_the_cosines(tmp_path):
    X, _, vectors = space(0)
    head = AutoHead.from_prior(ZeroShotPrior(CLASSES[::-1], vectors[::-1], scale=30.0))
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    logits = 30.0 * unit @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(head.predict_proba(X), expected, atol=1e-5)
    assert head.classes_.tolist() == CLASSES.tolist()
    assert head.choice_ == "predicts from the names of the classes only: there are no labels"
    save_head(head, tmp_path / "head.safetensors")
    again, _ = load_head(tmp_path / "head.safetensors")
    np.testing.assert_array_equal(again.predict_proba(X), head.predict_proba(X))


def test_a_class_without_a_label_is_predicted():
    X, y, vectors = space(0, text_noise=0.3)
    known = np.flatnonzero(y != "c3")[:60]
    prior = ZeroShotPrior(CLASSES, vectors, scale=60.0)
    head = AutoHead().fit(X[known], y[known], prior=prior, unlabelled=X[800:])
    assert head.classes_.tolist() == CLASSES.tolist()
    missing = y[800:] == "c3"
    assert head.score(X[800:][missing], y[800:][missing]) > 0.9
    assert head.choice_.endswith(f"; the names of the classes help (weight {head.prior_weight_:g})")
    assert head.held_out.probabilities.shape[1] == len(CLASSES)


@pytest.mark.parametrize("offset", [-1, 1])
@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize("n", [24, 48])
def test_a_class_without_a_name_is_predicted(n, pool, offset):
    """All texts have similar cosines with all images, which must not outweigh other classes."""
    found, kept = [], CLASSES != "c3"
    for seed in range(3):
        X, y, vectors = space(seed, offset=offset)
        prior = ZeroShotPrior(CLASSES[kept], vectors[kept], scale=60.0)
        options = {"unlabelled": X[n:800]} if pool else {}
        alone = AutoHead().fit(X[:n], y[:n], **options)
        both = AutoHead().fit(X[:n], y[:n], prior=prior, **options)
        unnamed = np.flatnonzero(y == "c3")[100:]
        found.append(
            [
                (head.score(X[800:], y[800:]), head.score(X[unnamed], y[unnamed]))
                for head in (alone, both)
            ]
        )
    (accuracy, recall), (accuracy_of_both, recall_of_both) = np.mean(found, axis=0)
    assert accuracy_of_both >= (accuracy + 0.1 if n == 24 else accuracy - 0.005)
    assert recall_of_both >= recall / 2


def test_renamed_classes():
    prior = ZeroShotPrior(["a", "b", "c"], 2 * np.eye(3), scale=5.0)
    renamed = prior.renamed({"a": "z", "c": None})
    assert renamed.classes.tolist() == ["b", "z"]
    np.testing.assert_array_equal(renamed.weights, [[0, 5, 0], [5, 0, 0]])
    merged = prior.renamed({"a": "b"})
    np.testing.assert_allclose(merged.weights[0], 5 * np.array([1, 1, 0]) / np.sqrt(2))
    assert prior.renamed({"a": None, "b": "c"}) is None


def test_misleading_names_leave_the_head_as_it_is_without_them():
    X, y, vectors = space(0)
    prior = ZeroShotPrior(CLASSES[PERMUTED], vectors, scale=60.0)
    alone = AutoHead().fit(X[:24], y[:24], unlabelled=X[800:])
    both = AutoHead().fit(X[:24], y[:24], unlabelled=X[800:], prior=prior)
    assert both.prior_weight_ == 0.0
    assert both.choice_ == alone.choice_ + "; the names of the classes do not help"
    np.testing.assert_array_equal(both.predict_proba(X), alone.predict_proba(X))


def test_one_labelled_class_and_the_order_of_rows():
    X, y, vectors = space(0)
    prior = ZeroShotPrior(CLASSES, vectors, scale=60.0)
    one = np.flatnonzero(y == "c1")[:3]
    assert len(np.unique(AutoHead().fit(X[one], y[one], prior=prior).predict(X))) == len(CLASSES)
    order = np.random.default_rng(0).permutation(40)
    first, second = (
        AutoHead().fit(X[rows], y[rows], prior=prior, unlabelled=X[800:])
        for rows in (np.arange(40), order)
    )
    np.testing.assert_array_equal(first.coef_, second.coef_)


@pytest.mark.parametrize(
    ("classes", "vectors", "message"),
    [
        (
            ["a", "b"],
            np.zeros((3, 4)),
            "the vectors of 2 classes have the shape (3, 4): give one row for each class.",
        ),
        (["a", "a"], np.ones((2, 4)), "the class 'a' is given twice: give it once."),
        (
            ["a", "b"],
            np.full((2, 4), np.nan),
            "a vector of a class holds NaN or infinity: compute it again.",
        ),
    ],
)
def test_invalid_priors(classes, vectors, message):
    with pytest.raises(LabelError) as error:
        ZeroShotPrior(classes, vectors)
    assert str(error.value) == message


def test_a_prior_of_another_backbone():
    with pytest.raises(LabelError) as error:
        AutoHead().fit(np.eye(4), ["a", "a", "b", "b"], prior=ZeroShotPrior(["a"], np.ones((1, 3))))
    assert str(error.value) == (
        "the vectors of the classes have 3 numbers and the rows 4: compute both with the same "
        "backbone."
    )
