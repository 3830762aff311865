"""The training loss of heads, ``loss_``."""

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from embedpipe.heads import ForeignHead, get_head, heads


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    codes = np.arange(90) % 3
    X = rng.normal(size=(3, 10))[codes] + rng.normal(size=(90, 10))
    return X.astype(np.float32), np.array(["a", "b", "c"])[codes]


def log_loss(logits, codes, weights):
    logits = logits - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(codes)), codes]
    return float(weights @ losses / weights.sum())


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
def test_logistic_regression_has_the_mean_log_loss(rows, normalize, weighted):
    X, y = rows
    weights = np.linspace(0.1, 3.0, 90) if weighted else np.ones(90)
    head = get_head("logistic", normalize=normalize).fit(X, y, weights if weighted else None)
    scaled = X / np.linalg.norm(X, axis=1, keepdims=True) if normalize else X
    logits = scaled.astype(np.float64) @ head.coef_.T + head.intercept_
    codes = np.searchsorted(head.classes_, y)
    assert head.loss_ == pytest.approx(log_loss(logits, codes, weights), rel=1e-4)


def test_the_loss_excludes_the_penalty(rows):
    X, y = rows
    losses = [get_head("logistic", C=C).fit(X, y).loss_ for C in (1e-9, 1.0, 1e6)]
    assert losses[0] == pytest.approx(np.log(3), rel=1e-4)
    assert losses[0] > losses[1] > losses[2]


def test_ridge_has_the_mean_squared_error(rows):
    X, y = rows
    head = get_head("ridge", normalize=False, alpha=5.0).fit(X, y)
    scores = X.astype(np.float64) @ head.coef_.T + head.intercept_
    targets = (y[:, None] == head.classes_).astype(float)
    assert head.loss_ == pytest.approx(np.mean((scores - targets) ** 2), rel=1e-5)


def test_classes_without_rows_and_single_classes(rows):
    X, y = rows
    head = get_head("logistic").partial_fit(X[:2], y[:2], classes=["a", "b", "c"])
    assert 0.0 < head.loss_ < np.log(2)
    assert get_head("logistic").fit(X[:3], ["a"] * 3).loss_ == 0.0


def test_a_foreign_head_has_the_loss_of_its_estimator(rows):
    X, y = rows
    network = MLPClassifier(hidden_layer_sizes=[4], solver="lbfgs", max_iter=500, random_state=0)
    head = ForeignHead(network).fit(X, y)
    assert head.loss_ == head.estimator_.loss_ > 0.0
    assert get_head("sklearn.naive_bayes:GaussianNB").fit(X, y).loss_ is None


MINIMISE = {
    "auto", "logistic", "ridge", "random_projection_ridge", "mlp", "sgd", "label_propagation",
}  # fmt: skip


@pytest.mark.parametrize("name", list(heads))
def test_every_head_that_minimises_a_loss_has_loss_(rows, name):
    head = get_head(name, **({"epochs": 2} if name == "mlp" else {})).fit(*rows)
    assert isinstance(getattr(head, "loss_", None), float) == (name in MINIMISE)
    assert ("loss_" in type(head).__doc__) == (name in MINIMISE)
