"""A backbone without a network, for tests of whatever surrounds the backbone."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from .base import Backbone
from .preprocess import Preprocess

__all__ = ["ToyBackbone"]


class ToyBackbone(Backbone):
    """Average colours on a 4 x 4 grid: 48 numbers, no weights, for tests.

    Embeds thousands of images a second and needs neither torch nor a download, so that pipelines
    around embedpipe can be tested quickly. Never use it to choose images.
    """

    name = "toy"

    @property
    def identity(self) -> dict[str, Any]:
        """See `Backbone.identity`; there are no weights, so their digest is that of nothing."""
        return {
            "library": "embedpipe",
            "architecture": "toy",
            "pooling": "grid",
            "dim": 48,
            "weights_sha256": hashlib.sha256(b"").hexdigest(),
        }

    @property
    def preprocess(self) -> Preprocess:
        """Images of 32 x 32 pixels."""
        return Preprocess((32, 32), 32, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def open(self, *, precision: str, runtime: str, batch_size: int) -> _ToyEncoder:
        """Return the encoder; every precision and runtime is the same one."""
        return _ToyEncoder()


class _ToyEncoder:
    def __init__(self) -> None:
        self.provenance = {"runtime": f"numpy {np.__version__}"}

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        cells = pixels.reshape(len(pixels), 4, 8, 4, 8, 3)  # (b, row, y, column, x, channel)
        means = cells.mean(axis=(2, 4), dtype=np.float64) / 255  # (b, 4, 4, 3)
        return np.asarray(means.reshape(len(pixels), 48), np.float32)
