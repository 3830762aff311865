"""Backbones registered by users."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from embedpipe import embed, load_dataset
from embedpipe.backbones import Backbone, Preprocess, backbones, get_backbone, register
from embedpipe.errors import BackboneError

WEIGHTS = np.arange(27 * 5, dtype=np.float64).reshape(27, 5)


class Filters(Backbone):
    """Five linear filters."""

    preprocess = Preprocess((3, 3), (3, 3), "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    dim = 5
    weights_sha256 = hashlib.sha256(WEIGHTS.tobytes()).hexdigest()

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        return np.asarray(pixels.reshape(len(pixels), 27) @ WEIGHTS)


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the registrations of a test."""
    monkeypatch.setattr(backbones, "_entries", dict(backbones._entries))


def test_a_registered_class_embeds(tmp_path) -> None:
    register("filters")(Filters)
    digits = load_dataset("digits").subset("test")
    embeddings = embed(digits, backbone="filters", workspace=tmp_path)
    assert embeddings.shape == (397, 5)
    assert embeddings.spec.backbone == {
        "library": "extension",
        "architecture": "filters",
        "pooling": "model",
        "dim": 5,
        "weights_sha256": Filters.weights_sha256,
    }
    assert embed(digits, backbone="filters", workspace=tmp_path).report.reused == 397
    assert backbones.describe()["filters"] == "Five linear filters."
    assert get_backbone("filters").name == "filters"


def test_other_weights_give_another_spec(tmp_path) -> None:
    class Other(Filters):
        weights_sha256 = "0" * 64

    register("filters")(Filters)
    digits = load_dataset("digits").subset("test")
    first = embed(digits, backbone="filters", workspace=tmp_path)
    other = Other()
    other.name = "filters"
    second = embed(digits, backbone=other, workspace=tmp_path)
    assert second.spec.id != first.spec.id
    assert second.report.embedded == 397


def test_vectors_of_a_wrong_shape_are_refused() -> None:
    class Wrong(Filters):
        dim = 6

    register("wrong")(Wrong)
    encoder = get_backbone("wrong").open(precision="fp32", runtime="auto", batch_size=2)
    with pytest.raises(BackboneError) as raised:
        encoder.encode(np.zeros((2, 3, 3, 3), np.uint8))
    assert str(raised.value) == (
        "`encode` of the backbone 'wrong' returned an array of shape (2, 5) for 2 images; "
        "expected (2, 6)."
    )


def test_a_backbone_with_neither_encode_nor_open() -> None:
    class Empty(Backbone):
        preprocess = Filters.preprocess
        dim = 5

    encoder = Empty().open(precision="fp32", runtime="auto", batch_size=2)
    with pytest.raises(NotImplementedError, match=r"^Empty has no `encode` and no `open`\.$"):
        encoder.encode(np.zeros((2, 3, 3, 3), np.uint8))
