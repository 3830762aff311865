"""Encoders that average the vectors of several views of an image."""

from __future__ import annotations

import numpy as np

from ..errors import UsageError
from .backbone import Backbone, Encoder
from .preprocess import VIEWS, Preprocess

__all__ = ["check_views", "open_backbone"]


def check_views(preprocess: Preprocess) -> None:
    """Raise an error if the views are unknown, or are all equal."""
    if preprocess.views not in VIEWS:
        raise UsageError(f"unknown views {preprocess.views!r}: use none, flip or crops5.")
    if preprocess.views == "crops5" and preprocess.resize == preprocess.size:
        raise UsageError(
            "--views crops5 needs a backbone that crops: this one resizes the whole image to its "
            "input, so all five crops are equal. Use --views flip."
        )


def open_backbone(
    backbone: Backbone, preprocess: Preprocess, *, precision: str, runtime: str, batch_size: int
) -> Encoder:
    """Return the encoder of `Backbone.open` for images of shape `Preprocess.shape`."""
    encoder = backbone.open(precision=precision, runtime=runtime, batch_size=batch_size)
    return encoder if preprocess.views == "none" else _ViewsEncoder(encoder)


class _ViewsEncoder:
    """Encoder of the mean vector of each image's views: one encoding for each view."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.provenance = encoder.provenance
        self.streams = getattr(encoder, "streams", 1)

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Return the embeddings of a batch of views, (b, v, h, w, 3) uint8."""
        views = [
            self._encoder.encode(np.ascontiguousarray(pixels[:, view]))  # (b, d)
            for view in range(pixels.shape[1])
        ]
        return np.asarray(np.mean(views, axis=0, dtype=np.float64), np.float32)
