"""The canary distinguishes runtimes, weights and preprocessing."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from embedpipe.backbones import decode, get_backbone
from embedpipe.cache.store import TOLERANCE, relative_distance
from embedpipe.embedding.filling import canary_images


def pixels(preprocess: object) -> np.ndarray:
    return np.stack([decode(image, preprocess)[0] for image in canary_images()])  # type: ignore[arg-type]


def test_the_canary_images_have_a_fixed_digest() -> None:
    digest = hashlib.sha256(b"".join(canary_images())).hexdigest()
    assert digest == "5c7458cc41222dc9229be3706c2024abf6b9550c4c2080df92ec1c14a532c5d4"


@pytest.mark.parametrize(("precision", "same"), [("fp32", True), ("bf16", False)])
def test_two_runtimes_share_vectors_in_fp32_only(precision: str, same: bool) -> None:
    pytest.importorskip("openvino", exc_type=ImportError)
    backbone = get_backbone()
    images = pixels(backbone.preprocess)
    one, other = (
        backbone.open(precision=precision, runtime=runtime, batch_size=8).encode(images)
        for runtime in ("torch", "openvino")
    )
    drift = relative_distance(one, other)
    assert drift < TOLERANCE[precision] / 4 if same else drift > 3 * TOLERANCE[precision]


def test_changes_exceed_the_tolerance() -> None:
    backbone = get_backbone()
    images = pixels(backbone.preprocess)
    expected = backbone.open(precision="fp32", runtime="torch", batch_size=8).encode(images)
    shifted = np.roll(images, 1, axis=2)
    encoder = backbone.open(precision="fp32", runtime="torch", batch_size=8)
    assert relative_distance(encoder.encode(shifted), expected) > TOLERANCE["fp32"]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in backbone.module.parameters():  # type: ignore[attr-defined]
            parameter.mul_(1 + 0.02 * torch.randn(parameter.shape, generator=generator))
    changed = backbone.open(precision="fp32", runtime="torch", batch_size=8).encode(images)
    assert relative_distance(changed, expected) > 2 * TOLERANCE["bf16"]
