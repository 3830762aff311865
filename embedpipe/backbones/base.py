"""What a backbone is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np

from .preprocess import Preprocess

__all__ = ["Backbone", "Encoder"]


class Encoder(Protocol):
    """A backbone made ready to run on this machine."""

    provenance: dict[str, str]
    """What may change low bits: runtime, versions, device."""

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
    """A frozen encoder: what it is, what it expects, and how to run it.

    A subclass costs nothing to make; weights are read when `identity` or `open` needs them.

    Attributes
    ----------
    name
        As given on the command line.
    """

    name: str

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What determines the vectors besides pixels and precision.

        Keys ``library``, ``architecture``, ``pooling``, ``dim`` and ``weights_sha256``: the digest
        of the weights as loaded, since the names that hubs give to weights are mutable.
        """

    @property
    @abstractmethod
    def preprocess(self) -> Preprocess:
        """What an image goes through before it is encoded."""

    @abstractmethod
    def open(self, *, precision: str, runtime: str, batch_size: int) -> Encoder:
        """Load the weights and make them ready to run.

        Parameters
        ----------
        precision
            ``"fp32"`` or ``"bf16"``.
        runtime
            ``"auto"``, ``"torch"`` or ``"openvino"``.
        batch_size
            The most images that one call of `encode` will bring.

        Raises
        ------
        BackboneError
            If the weights are missing, altered or do not fit.
        """
