"""The base class of backbones, and a tiny backbone for tests."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ..errors import BackboneError
from .preprocess import Preprocess
from .text_tower import TextTower

__all__ = ["Backbone", "Encoder", "ToyBackbone"]


class Encoder(Protocol):
    """A backbone that is ready to run on this machine."""

    provenance: dict[str, str]
    """Runtime, versions and device; other values may give slightly different vectors.

    The key ``runtime`` is required. An encoder may also have the attribute ``streams``: the number
    of threads that may call `encode` at the same time, each with its own batch. The default is 1.
    """

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Return the embeddings of a batch.

        Parameters
        ----------
        pixels
            Shape (b, height, width, 3), uint8, RGB, with b at most the batch size of `open`.

        Returns
        -------
        ndarray of float32, shape (b, dim)
            Each row must depend on its image only.
        """


class Backbone(ABC):
    """A frozen encoder.

    A subclass has `preprocess`, `dim`, `weights_sha256` and either `encode` or `open`. It should
    read weights only in `identity` and `open`.

    Attributes
    ----------
    name
        Name on the command line; by default the registered name.
    library
        Source of the architecture; part of the identity.
    pooling
        Pooling of the features; part of the identity.
    dim
        Length of a vector.
    weights_sha256
        SHA-256 of the weights, in hexadecimal; see `digest_of_file` and `digest_of_weights`.
    precisions
        Possible precisions.
    """

    name: str = ""
    library: str = "extension"
    pooling: str = "model"
    dim: int
    weights_sha256: str
    precisions: Sequence[str] = ("fp32", "bf16")

    @property
    @abstractmethod
    def preprocess(self) -> Preprocess:
        """The preprocessing of an image before it is encoded."""

    @property
    def identity(self) -> dict[str, Any]:
        """The backbone's part of the embedding spec."""
        return {
            "library": self.library,
            "architecture": self.name,
            "pooling": self.pooling,
            "dim": self.dim,
            "weights_sha256": self.weights_sha256,
        }

    def text_tower(self) -> TextTower | None:
        """Return the encoder of texts whose vectors are comparable with those of images, or None.

        Its weights are loaded when they are used.
        """
        return None

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Return the embeddings of a batch; see `Encoder.encode`."""
        raise NotImplementedError(f"{type(self).__name__} has no `encode` and no `open`.")

    def open(self, *, precision: str, runtime: str, batch_size: int) -> Encoder:
        """Load the weights and return an encoder.

        The default encoder calls `encode` of the backbone.

        Parameters
        ----------
        precision
            ``"fp32"`` or ``"bf16"``.
        runtime
            ``"auto"``, ``"torch"``, ``"torch-compile"``, ``"openvino"`` or ``"onnxruntime"``.
        batch_size
            Maximum number of images in one call of `encode`.

        Raises
        ------
        BackboneError
            If the weights are missing, were altered, or do not match the architecture.
        """
        return _PlainEncoder(self)


class _PlainEncoder:
    """Encoder that calls `encode` of a backbone and checks the result."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self.provenance = {"runtime": f"numpy {np.__version__}"}

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        vectors = np.asarray(self._backbone.encode(pixels), np.float32)
        expected = (len(pixels), self._backbone.dim)
        if vectors.shape != expected:
            raise BackboneError(
                f"`encode` of the backbone {self._backbone.name!r} returned an array of shape "
                f"{vectors.shape} for {len(pixels)} images; expected {expected}."
            )
        return vectors


class ToyBackbone(Backbone):
    """Average colours on a 4 x 4 grid: 48 numbers, for fast tests of pipelines only."""

    name, library, pooling = "toy", "embedpipe", "grid"
    dim = 48
    weights_sha256 = hashlib.sha256(b"").hexdigest()
    preprocess = Preprocess((32, 32), 32, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Return the average colour of each cell, (images, 48)."""
        cells = pixels.reshape(len(pixels), 4, 8, 4, 8, 3)  # (b, row, y, column, x, channel)
        means = cells.mean(axis=(2, 4), dtype=np.float64) / 255  # (b, 4, 4, 3)
        return np.asarray(means.reshape(len(pixels), 48))
