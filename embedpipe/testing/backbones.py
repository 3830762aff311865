"""The contract of backbones."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..backbones import Backbone, Encoder, get_backbone
from ._suite import CheckReport, Suite

__all__ = ["backbone_checks", "check_backbone"]

backbone_checks = Suite("backbone")
"""The checks of `check_backbone`; each takes the name of a backbone."""


def check_backbone(name: str) -> CheckReport:
    """Check the contract of a backbone in fp32; raise `ContractError` if a check fails.

    Examples
    --------
    >>> print(check_backbone("toy"))
    7 checks passed
    """
    return backbone_checks.run(name)


def _pixels(name: str, count: int) -> NDArray[np.uint8]:
    """Return `count` random images of the input size of the backbone, all different."""
    height, width = get_backbone(name).preprocess.size
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@lru_cache(maxsize=1)
def _encoder(name: str) -> Encoder:
    return get_backbone(name).open(precision="fp32", runtime="auto", batch_size=8)


def _encode(name: str, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _encoder(name).encode(pixels)


@backbone_checks
def name_equals_the_registered_name(name: str) -> None:
    backbone = get_backbone(name)
    assert isinstance(backbone, Backbone), "the registered object is not a `Backbone`"
    assert backbone.name == name


@backbone_checks
def identity_has_all_keys_and_is_stable(name: str) -> None:
    identity = get_backbone(name).identity
    parts = {"library", "architecture", "pooling", "dim", "weights_sha256"}
    assert set(identity) == parts, f"the identity must have the keys {sorted(parts)}"
    digest = str(identity["weights_sha256"])
    assert len(digest) == 64, "weights_sha256 must be 64 hexadecimal digits"
    assert int(digest, 16) >= 0
    assert get_backbone(name).identity == identity, "the identity changes between calls"


@backbone_checks
def encoder_has_a_runtime(name: str) -> None:
    assert _encoder(name).provenance["runtime"], "provenance must have the key `runtime`"


@backbone_checks
def vectors_are_finite_float32_and_distinct(name: str) -> None:
    vectors = _encode(name, _pixels(name, 3))
    assert vectors.shape == (3, get_backbone(name).identity["dim"])
    assert vectors.dtype == np.float32, "vectors must be float32"
    assert np.isfinite(vectors).all(), "a vector holds NaN or infinity"
    assert len(np.unique(vectors, axis=0)) == 3, "different images have the same vector"


@backbone_checks
def same_images_have_the_same_vectors(name: str) -> None:
    pixels = _pixels(name, 3)
    np.testing.assert_array_equal(_encode(name, pixels), _encode(name, pixels))


@backbone_checks
def vector_depends_only_on_its_image(name: str) -> None:
    pixels = _pixels(name, 8)
    together = _encode(name, pixels)
    alone = np.concatenate([_encode(name, pixels[at : at + 1]) for at in range(8)])
    scale = np.abs(together).max()
    np.testing.assert_allclose(alone, together, atol=1e-4 * scale)


@backbone_checks
def pixels_are_not_changed(name: str) -> None:
    pixels = _pixels(name, 3)
    before = pixels.copy()
    _encode(name, pixels)
    np.testing.assert_array_equal(pixels, before)
