"""The base class of backbones, and the smallest backbone."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np

from ..errors import BackboneError
from .preprocess import Preprocess

__all__ = ["Backbone", "Encoder", "ToyBackbone"]


class Encoder(Protocol):
    """A backbone made ready to run on this machine."""

    provenance: dict[str, str]
    """Runtime, versions, device: they may change low bits. ``runtime`` is required."""

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Return the embeddings of a batch.

        Parameters
        ----------
        pixels
            Shape (b, height, width, 3), uint8, RGB; any b up to the batch size it was opened with.

        Returns
        -------
        ndarray of float32, shape (b, d)
            A row depends on its image alone, not on the rest of the batch.
        """


class Backbone(ABC):
    """A frozen encoder: its identity, its preprocessing, and how to run it.

    A subclass has `preprocess`, `dim`, `weights_sha256` and `encode`. One that chooses a runtime
    has `open` in place of `encode`. An instance costs nothing to make: weights are read when
    `identity` or `open` needs them.

    Attributes
    ----------
    name
        As given on the command line; by default the registered name.
    library
        Distribution or project that the architecture comes from; part of the identity.
    pooling
        How features become one vector; part of the identity.
    dim
        Length of a vector.
    weights_sha256
        SHA-256 of the weights, in hexadecimal; see `digest_of_file` and `digest_of_weights`.
    """

    name: str = ""
    library: str = "extension"
    pooling: str = "model"
    dim: int
    weights_sha256: str

    @property
    @abstractmethod
    def preprocess(self) -> Preprocess:
        """The preprocessing of an image before it is encoded."""

    @property
    def identity(self) -> dict[str, Any]:
        """The parts of the embedding spec besides preprocessing and precision.

        Keys ``library``, ``architecture``, ``pooling``, ``dim`` and ``weights_sha256``: the digest
        of the weights as loaded, since the names that hubs give to weights are mutable.
        """
        return {
            "library": self.library,
            "architecture": self.name,
            "pooling": self.pooling,
            "dim": self.dim,
            "weights_sha256": self.weights_sha256,
        }

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Return the embeddings of a batch; see `Encoder.encode`."""
        raise NotImplementedError(f"{type(self).__name__} has no `encode` and no `open`.")

    def open(self, *, precision: str, runtime: str, batch_size: int) -> Encoder:
        """Load the weights and make them ready to run.

        Parameters
        ----------
        precision
            ``"fp32"`` or ``"bf16"``; `encode` alone is the same in both.
        runtime
            ``"auto"``, ``"torch"`` or ``"openvino"``; `encode` alone is the same in all.
        batch_size
            The most images that one call of `encode` will bring.

        Raises
        ------
        BackboneError
            If the weights are missing, altered or do not fit.
        """
        return _PlainEncoder(self)


class _PlainEncoder:
    """Runs a backbone's own `encode`, with its result checked."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self.provenance = {"runtime": f"numpy {np.__version__}"}

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        vectors = np.asarray(self._backbone.encode(pixels), np.float32)
        expected = (len(pixels), self._backbone.dim)
        if vectors.shape != expected:
            raise BackboneError(
                f"`encode` of the backbone {self._backbone.name!r} gives an array of shape "
                f"{vectors.shape} for {len(pixels)} images; expected {expected}."
            )
        return vectors


class ToyBackbone(Backbone):
    """Average colours on a 4 x 4 grid: 48 numbers, no weights, for tests.

    Embeds thousands of images a second and needs neither torch nor a download, so that pipelines
    around embedpipe can be tested quickly. Never use it to choose images.
    """

    name, library, pooling = "toy", "embedpipe", "grid"
    dim = 48
    weights_sha256 = hashlib.sha256(b"").hexdigest()
    preprocess = Preprocess((32, 32), 32, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Return the average colour of each cell, (b, 48)."""
        cells = pixels.reshape(len(pixels), 4, 8, 4, 8, 3)  # (b, row, y, column, x, channel)
        means = cells.mean(axis=(2, 4), dtype=np.float64) / 255  # (b, 4, 4, 3)
        return np.asarray(means.reshape(len(pixels), 48))
