"""With one or two labels per class, confidence is near accuracy."""

import itertools

import numpy as np
import pytest
from sklearn.datasets import load_digits

import embedpipe as ep
from embedpipe.heads._held_out import (
    capped_temperature,
    fit_temperature,
    temperature_for_confidence,
)

HEADS = (
    "slda",
    "slda(shrinkage=0.1)",
    "fecam",
    "knn",
    "label_propagation",
    "logistic",
    "nearest_mean",
    "random_projection_ridge(features=500)",
    "ridge",
)

SEEDS = range(3)


@pytest.fixture(scope="module")
def collections():
    """Return rows and labels: pixels, and normal distributions in many dimensions."""
    pixels, digits = load_digits(return_X_y=True)
    rng = np.random.default_rng(7)
    classes = rng.integers(8, size=800)
    centres = rng.standard_normal((8, 400)) * 0.25
    gaussians = np.maximum(centres[classes] + rng.standard_normal((800, 400)) + 0.3, 0)
    return {
        "pixels": (pixels.astype(np.float32), digits),
        "gaussians": (gaussians.astype(np.float32), classes),
    }


def drawn(labels, counts, seed):
    """Return rows with `counts[k % len(counts)]` labels of class k."""
    rng = np.random.default_rng(seed)
    every = [rng.permutation(np.flatnonzero(labels == k)) for k in np.unique(labels)]
    return np.concatenate([rows[: counts[k % len(counts)]] for k, rows in enumerate(every)])


def accuracy_and_confidence(head, X, y, rows, weights=None):
    """Return accuracy and mean confidence on the other rows."""
    options = {} if weights is None else {"sample_weight": weights}
    fitted = ep.get_head(head).fit(X[rows], y[rows], **options)
    rest = np.setdiff1d(np.arange(len(y)), rows)
    probabilities = fitted.predict_proba(X[rest])
    right = fitted.classes_[probabilities.argmax(axis=1)] == y[rest]
    return right.mean(), probabilities.max(axis=1).mean()


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["pixels", "gaussians"])
@pytest.mark.parametrize("counts", [(1,), (2,), (3,), (1, 3)], ids=["1", "2", "3", "1 or 3"])
def test_confidence_is_near_accuracy(head, name, counts, collections):
    X, y = collections[name]
    found = [accuracy_and_confidence(head, X, y, drawn(y, counts, seed)) for seed in SEEDS]
    accuracy, confidence = np.mean(found, axis=0)
    assert accuracy > 1.5 / len(np.unique(y))
    assert confidence - accuracy < 0.2, (accuracy, confidence)


@pytest.mark.parametrize("head", ["slda", "nearest_mean", "ridge", "fecam", "knn"])
def test_weights_do_not_make_a_row_certain(head, collections):
    X, y = collections["pixels"]
    rows = drawn(y, (1,), 0)
    accuracy, confidence = accuracy_and_confidence(head, X, y, rows, np.full(rows.size, 7.0))
    assert confidence - accuracy < 0.2
    plain = accuracy_and_confidence(head, X, y, rows)
    np.testing.assert_allclose([accuracy, confidence], plain, atol=0.1)


@pytest.mark.parametrize("counts", [(1,), (1, 3)])
@pytest.mark.parametrize("head", ["slda", "nearest_mean", "ridge", "fecam", "knn"])
def test_the_order_of_a_stream_does_not_change_the_temperature(head, counts, collections):
    X, y = collections["gaussians"]
    rows = drawn(y, counts, 1)
    whole = ep.get_head(head).fit(X[rows], y[rows])
    for order in (rows[::-1], np.random.default_rng(2).permutation(rows)):
        streamed = ep.get_head(head)
        for part in np.array_split(order, 5):
            streamed.partial_fit(X[part], y[part])
        assert streamed.temperature_ == pytest.approx(whole.temperature_, rel=1e-9)
        np.testing.assert_allclose(
            streamed.predict_proba(X[:50]), whole.predict_proba(X[:50]), atol=1e-5
        )


def test_slda_of_single_labels_is_the_nearest_mean(collections):
    X, y = collections["gaussians"]
    rows = drawn(y, (1,), 3)
    heads = [ep.get_head(head).fit(X[rows], y[rows]) for head in ("slda", "nearest_mean")]
    np.testing.assert_allclose(*(head.predict_proba(X) for head in heads), atol=1e-5)
    # By hand: logits are -|x - mean|²; T is 0.12 of the mean gap of two means.
    unit = X.astype(np.float64) / np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True)
    means = unit[rows]
    gaps = [np.square(a - b).sum() for a, b in itertools.product(means, means)]
    logits = -np.square(unit[:, None] - means).sum(axis=2) / (0.12 * np.mean(gaps))
    right = np.exp(logits - logits.max(axis=1, keepdims=True))
    right /= right.sum(axis=1, keepdims=True)
    order = np.argsort(y[rows])
    np.testing.assert_allclose(heads[0].predict_proba(X), right[:, order], atol=1e-5)


def test_a_single_label_among_many_changes_little(collections):
    X, y = collections["pixels"]
    many = np.flatnonzero(y < 9)[:900]
    one = np.flatnonzero(y == 9)[:1]
    rows = np.concatenate([many, one])
    accuracy, confidence = accuracy_and_confidence("slda", X, y, rows)
    without = ep.get_head("slda").fit(X[many], y[many]).predict_proba(X).max(axis=1).mean()
    assert accuracy > 0.7  # class 9 has one label
    assert abs(confidence - without) < 0.05


def test_the_only_row_of_a_class_counts_as_wrong():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((12, 4)) * 5
    codes = logits.argmax(axis=1)
    codes[:2] = (codes[:2] + 1) % 4  # 10 of 12 are right
    weights = np.full(12, 2.0)
    plain = fit_temperature(logits, codes, weights)
    assert capped_temperature(logits, codes, weights, 24.0) == plain
    cautious = capped_temperature(logits, codes, weights, 40.0)
    scaled = np.exp((logits - logits.max(axis=1, keepdims=True)) / cautious)
    confidence = (1 / scaled.sum(axis=1)).mean()
    assert confidence == pytest.approx((20 + 1) / (40 + 2), abs=1e-6)
    assert cautious > plain


@pytest.mark.parametrize("confidence", [0.3, 0.6, 0.95])
def test_the_temperature_gives_the_wanted_confidence(confidence):
    logits = np.random.default_rng(1).standard_normal((30, 5)) * 3
    weights = np.random.default_rng(2).random(30)
    temperature = temperature_for_confidence(logits, weights, confidence)
    shares = np.exp(logits / temperature)
    largest = shares.max(axis=1) / shares.sum(axis=1)
    assert weights @ largest / weights.sum() == pytest.approx(confidence, abs=1e-6)
