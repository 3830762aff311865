"""The base class of backbones that are torch networks."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import BackboneError, UsageError
from .backbone import Backbone, Encoder
from .weights import digest_of_weights

if TYPE_CHECKING:
    import torch

__all__ = ["POOLINGS", "NetworkBackbone", "check_pooling"]

POOLINGS = ("cls", "mean", "cls+mean")
"""Poolings of tokens: the class token, the mean of the patches, or both, one after the other."""


def check_pooling(backbone: str, pooling: str, choices: Sequence[str]) -> None:
    """Refuse a pooling that is not in `choices`."""
    if pooling not in choices:
        known = [choice for choice in choices if choice in POOLINGS]
        raise UsageError(
            f"{backbone!r} does not allow --pooling {pooling}: "
            + (f"use {' or '.join(known)}." if known else "leave it out.")
        )


class NetworkBackbone(Backbone):
    """A torch network from normalised images, (images, 3, height, width), to pooled features.

    Parameters
    ----------
    architecture
        Name of the architecture in its library.
    image_size
        Height and width of the input in pixels, instead of those of the architecture.
    pooling
        One of `POOLINGS`, instead of that of the architecture.
    """

    library: str

    def __init__(
        self, architecture: str, *, image_size: int | None = None, pooling: str | None = None
    ) -> None:
        self.architecture = architecture
        self.image_size, self._asked_pooling = image_size, pooling

    @functools.cached_property
    def network(self) -> torch.nn.Module:
        """The network without its classifier, with its weights, at its own image size."""
        network = self._build()
        network.eval().requires_grad_(False)
        return network

    @abstractmethod
    def _build(self) -> torch.nn.Module: ...

    @functools.cached_property
    def weights_sha256(self) -> str:  # type: ignore[override]  # read from the network
        """The digest of the weights at the network's own image size."""
        return digest_of_weights(self.network)

    @functools.cached_property
    def module(self) -> torch.nn.Module:
        """The network at the image size of the preprocessing, with the pooling."""
        _ = self.weights_sha256  # resizing changes the network
        if self.image_size is not None:
            try:
                return self._pooled(self._resized(self.network, self.image_size))
            except UsageError:  # a ValueError too
                raise
            except (RuntimeError, AssertionError, ValueError) as error:
                raise self._size_error(error) from error
        return self._pooled(self.network)

    def _resized(self, network: torch.nn.Module, size: int) -> torch.nn.Module:
        """Return the network for images of a size; convolutions take any size."""
        return network

    def _pooled(self, network: torch.nn.Module) -> torch.nn.Module:
        """Return the network with the pooling."""
        return network

    @functools.cached_property
    def pooling(self) -> str:  # type: ignore[override]  # read from the network
        """The pooling; that of the architecture is "model"."""
        if self._asked_pooling is None:
            return "model"
        choices = self._poolings()
        check_pooling(self.name, self._asked_pooling, choices)
        return "model" if self._asked_pooling == choices[0] else self._asked_pooling

    def _poolings(self) -> list[str]:
        """Return the possible poolings, that of the architecture first."""
        return ["model"]

    @functools.cached_property
    def dim(self) -> int:  # type: ignore[override]  # read from the network
        """The number of features."""
        import torch

        module = self.module  # built outside of inference mode
        try:
            with torch.inference_mode():
                return int(module(torch.zeros(1, 3, *self.preprocess.size)).shape[1])
        except (RuntimeError, AssertionError) as error:
            if self.image_size is None:
                raise
            raise self._size_error(error) from error

    def _size_error(self, error: Exception) -> BackboneError:
        reason = str(error).strip().split("\n", maxsplit=1)[0] or type(error).__name__
        return BackboneError(
            f"{self.name!r} does not allow --image-size {self.image_size} ({reason}): use another "
            "size, or leave it out."
        )

    @property
    def identity(self) -> dict[str, Any]:
        """The backbone's part of the embedding spec; reads the weights."""
        return {
            "library": self.library,
            "architecture": self.architecture,
            "pooling": self.pooling,
            "dim": self.dim,
            "weights_sha256": self.weights_sha256,
        }

    def open(self, *, precision: str, runtime: str, batch_size: int) -> Encoder:
        """See `Backbone.open`."""
        from .runtimes import open_encoder

        return open_encoder(
            self.module,
            self.preprocess,
            precision=precision,
            runtime=runtime,
            batch_size=batch_size,
        )
