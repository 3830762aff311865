"""The affine layers of heads, from which exports are made, against `predict_proba`."""

from __future__ import annotations

import numpy as np
import pytest

import embedpipe as ep
from embedpipe.heads import Layers, softmax

AFFINE = (
    "auto", "logistic", "logistic(normalize=False)", "ridge", "nearest_mean", "slda",
    "mlp(hidden=8)", "mlp(hidden=8, normalize=False)", "sgd", "sgd(hidden=5)", "label_propagation",
    "random_projection_ridge(features=50)",
)  # fmt: skip
OTHERS = ("knn", "fecam", "mlp(hidden=4, stochastic_pred=true)")


def computed(layers: Layers, rows: np.ndarray) -> np.ndarray:
    """Return the probabilities of the layers, computed in float64."""
    if layers.normalize:
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(norms > 0, norms, 1)
    for place, (weights, intercepts) in enumerate(layers.affine):
        rows = (np.maximum(rows, 0) if place else rows) @ weights + intercepts
    return softmax(rows / layers.temperature)


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.array(["a", "b", "c"])[np.arange(90) % 3]
    rows = rng.normal(size=(90, 12)) + 1.5 * np.eye(12)[np.arange(90) % 3]
    return rows.astype(np.float32), labels


@pytest.mark.parametrize("name", AFFINE)
def test_the_layers_give_the_probabilities_of_the_head(name: str) -> None:
    rows, labels = data()
    head = ep.get_head(name).fit(rows[:80], labels[:80])
    layers = head.layers()
    test = np.concatenate([rows[80:], np.zeros((1, 12), np.float32)])
    found = computed(layers, test.astype(np.float64))
    np.testing.assert_allclose(found, head.predict_proba(test), atol=2e-5)


def test_every_head_is_tested() -> None:
    names = {name.partition("(")[0] for name in (*AFFINE, *OTHERS)}
    assert set(ep.heads.heads) == names


@pytest.mark.parametrize("name", OTHERS)
def test_other_heads_have_no_layers(name: str) -> None:
    rows, labels = data()
    assert ep.get_head(name).fit(rows, labels).layers() is None


def test_a_class_without_rows_and_a_single_class() -> None:
    rows, labels = data()
    head = ep.get_head("ridge")
    head.partial_fit(rows, labels, classes=["a", "b", "c", "d"])
    found = computed(head.layers(), rows.astype(np.float64))
    np.testing.assert_allclose(found, head.predict_proba(rows), atol=2e-5)
    assert found[:, 3].max() == 0
    alone = ep.get_head("logistic").fit(rows, ["a"] * 90)
    assert computed(alone.layers(), rows.astype(np.float64)).tolist() == [[1.0]] * 90
