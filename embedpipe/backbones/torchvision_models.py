"""Backbones of torchvision."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BackboneError, UnknownNameError
from .networks import NetworkBackbone
from .preprocess import Preprocess
from .weights import load_weights

if TYPE_CHECKING:
    import torch

__all__ = ["TorchvisionBackbone"]


class TorchvisionBackbone(NetworkBackbone):
    """Any torchvision classification model; the features are the inputs of its last layer."""

    library = "torchvision"

    def __init__(
        self,
        architecture: str,
        weights: Path | None = None,
        *,
        image_size: int | None = None,
        pooling: str | None = None,
    ) -> None:
        super().__init__(architecture, image_size=image_size, pooling=pooling)
        self.name = f"torchvision:{architecture}"
        self.weights = weights

    @functools.cached_property
    def _default_weights(self) -> Any:
        from torchvision import models

        known = models.list_models(module=models)
        if self.architecture not in known:
            raise UnknownNameError("torchvision model", self.architecture, known)
        return models.get_model_weights(self.architecture).DEFAULT

    def _build(self) -> torch.nn.Module:
        from torchvision import models

        pretrained = self._default_weights
        try:
            module = models.get_model(
                self.architecture, weights=pretrained if self.weights is None else None
            )
        except OSError as error:
            raise BackboneError(
                f"the weights of {self.name!r} cannot be loaded ({error}). Check the network, or "
                "give a file with --weights."
            ) from error
        extractor = _without_classifier(module)
        if self.weights is not None:
            load_weights(extractor, self.weights)
        return extractor

    @functools.cached_property
    def preprocess(self) -> Preprocess:
        """The preprocessing of the default weights."""
        preset = self._default_weights.transforms()
        own = preset.crop_size[0]
        size = self.image_size or own
        return Preprocess(
            size=(size, size),
            resize=preset.resize_size[0] * size // own,
            interpolation=preset.interpolation.value,
            mean=tuple(preset.mean),
            std=tuple(preset.std),
        )


def _without_classifier(module: torch.nn.Module) -> torch.nn.Module:
    import torch

    for name in ("fc", "classifier", "heads", "head"):  # the names that torchvision uses
        layer = getattr(module, name, None)
        if isinstance(layer, torch.nn.Linear):
            setattr(module, name, torch.nn.Identity())
            return module
        if isinstance(layer, torch.nn.Sequential) and len(layer) > 0:
            linear = [i for i, part in enumerate(layer) if isinstance(part, torch.nn.Linear)]
            if linear and linear[-1] == len(layer) - 1:
                layer[linear[-1]] = torch.nn.Identity()
                return module
    raise BackboneError(
        f"{type(module).__name__} has no linear last layer, so its features are unknown. Use a "
        "timm model instead."
    )
