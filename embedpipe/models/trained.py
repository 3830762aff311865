"""A model from a file of `train`: a backbone and a head, run by embedpipe."""

from __future__ import annotations

import threading
from collections.abc import Container
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backbones import Encoder, open_backbone
from ..embedding import EmbedOptions
from ..embedding.parts import backbone_of, preprocess_of
from ..errors import UsageError
from .model import BATCH, Model
from .model_file import STORED, ModelFile

__all__ = ["TrainedModel"]

MIN_FILLED = 8
"""Minimum images in an incomplete batch; fewer images are encoded one by one."""


class TrainedModel(Model):
    """A backbone and a head; the backbone is loaded at the first prediction.

    `precision` is by default the precision of the vectors of the training.
    """

    def __init__(
        self,
        file: ModelFile,
        options: EmbedOptions,
        given: Container[str] = (),
        *,
        precision: str | None = None,
    ) -> None:
        if file.metadata.get("embed", {}) is None:
            raise UsageError(
                f"{file.path} was trained on imported vectors, whose backbone is unknown: it "
                "cannot predict images. Use `embedpipe predict` with --vectors."
            )
        if file.spec.parts:
            raise UsageError(
                f"{file.path} was trained on joined vectors of several backbones: only `embedpipe "
                "predict` can use it."
            )
        self.options = file.embed_options(options, given)
        self._file = file
        self.name, self.head, self.spec = str(file.path), file.head, file.spec
        self.precision = precision or self.spec.precision
        self.classes = np.array([str(name) for name in file.head.classes_])
        self.backbone = backbone_of(self.options)
        self.preprocess = preprocess_of(self.options, self.backbone)
        self._encoders: dict[int, Encoder] = {}  # by batch size
        self._lock = threading.Lock()

    def in_precision(self, precision: str) -> TrainedModel:
        """Return the model with vectors in ``"fp32"`` or ``"bf16"``."""
        return TrainedModel(self._file, self.options, STORED, precision=precision)

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Model.probabilities`."""
        found: NDArray[Any] = self.head.predict_proba(self.vectors(pixels))
        return np.asarray(found, np.float32)

    def vectors(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (b, d) vectors of a batch of b images from `decode`."""
        parts = [np.zeros((0, self.spec.dim), np.float32)]
        with self._lock:
            for start in range(0, len(pixels), BATCH):
                batch = pixels[start : start + BATCH]
                size = BATCH if len(batch) >= MIN_FILLED else 1
                parts += [self._encode(each, size) for each in _split(batch, size)]
        return np.concatenate(parts)

    def _encode(self, batch: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
        if size not in self._encoders:
            self._encoders[size] = open_backbone(
                self.backbone,
                self.preprocess,
                precision=self.precision,
                runtime=self.options.runtime,
                batch_size=size,
            )
        return np.asarray(self._encoders[size].encode(batch))


def _split(batch: NDArray[np.uint8], size: int) -> list[NDArray[np.uint8]]:
    return [batch[start : start + size] for start in range(0, len(batch), size)]
