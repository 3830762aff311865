"""Backbones of timm."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BackboneError, UnknownNameError, UsageError
from .hub import hub_file
from .networks import POOLINGS, NetworkBackbone
from .preprocess import Preprocess
from .weights import load_weights

if TYPE_CHECKING:
    import torch

__all__ = ["TimmBackbone", "check_patches", "resize_network"]

WEIGHTS = ("model.safetensors", "pytorch_model.bin")


class TimmBackbone(NetworkBackbone):
    """Any timm model, with an optional revision on the hub and an optional file of weights."""

    library = "timm"

    def __init__(
        self,
        architecture: str,
        revision: str | None = None,
        weights: Path | None = None,
        *,
        image_size: int | None = None,
        pooling: str | None = None,
    ) -> None:
        super().__init__(architecture, image_size=image_size, pooling=pooling)
        self.name = f"timm:{architecture}" + (f"@{revision}" if revision else "")
        self.revision, self.weights = revision, weights

    def _build(self) -> torch.nn.Module:
        import timm

        if not timm.is_model(self.architecture.partition(".")[0]):
            raise UnknownNameError("timm model", self.architecture, timm.list_models())
        if self.weights is not None:
            module = self._create(pretrained=False)
            load_weights(module, self.weights)
            return module
        return self._pretrained()

    def _pretrained(self) -> torch.nn.Module:
        import timm

        config: Any = timm.get_pretrained_cfg(self.architecture)
        if config is None or not config.has_weights:
            raise BackboneError(f"{self.name!r} has no public weights: give a file with --weights.")
        file: dict[str, Any] = {}
        if config.hf_hub_id and not config.custom_load:
            hub_id = str(config.hf_hub_id)
            if hub_id == "timm/":
                hub_id += (
                    f"{config.architecture}.{config.tag}" if config.tag else config.architecture
                )
            names = [config.hf_hub_filename] if config.hf_hub_filename else WEIGHTS
            path = hub_file(hub_id, names, self.revision, self.name)
            file["pretrained_cfg_overlay"] = {"file": str(path)}
        elif self.revision is not None:
            raise BackboneError(f"{self.architecture!r} is not on the hub: leave out the revision.")
        try:
            return self._create(pretrained=True, **file)
        # timm raises many kinds of exceptions.
        except Exception as error:
            reason = str(error).strip().split("\n", maxsplit=1)[0]
            raise BackboneError(
                f"the weights of {self.name!r} cannot be loaded ({reason}). Check the network, or "
                "give a file with --weights."
            ) from error

    def _create(self, **options: Any) -> torch.nn.Module:
        import timm

        module: torch.nn.Module = timm.create_model(self.architecture, num_classes=0, **options)
        return module

    def _resized(self, network: torch.nn.Module, size: int) -> torch.nn.Module:
        resize_network(network, size, self.name)
        return network

    def _poolings(self) -> list[str]:
        network: Any = self.network
        pool = getattr(network, "global_pool", getattr(network, "head", None))
        pool = getattr(pool, "global_pool", pool)
        names = {"token": "cls", "avg": "mean"}
        own = names.get(pool if isinstance(pool, str) else getattr(pool, "pool_type", ""), "model")
        if not hasattr(network, "num_prefix_tokens"):
            return [own]
        choices = ("mean",) if getattr(network, "cls_token", None) is None else POOLINGS
        return [own, *(each for each in choices if each != own)]

    def _pooled(self, network: torch.nn.Module) -> torch.nn.Module:
        return network if self.pooling == "model" else _pooled_tokens(network, self.pooling)

    @functools.cached_property
    def preprocess(self) -> Preprocess:
        """The preprocessing of the model's configuration."""
        return self._preprocess_of(self.network, self.image_size)

    def _preprocess_of(self, network: torch.nn.Module, size: int | None = None) -> Preprocess:
        import timm.data

        resolve: Any = timm.data.resolve_model_data_config  # type: ignore[attr-defined]
        config = resolve(network)
        if size is not None:
            config["input_size"] = (3, size, size)
        try:
            return Preprocess.from_timm(config)
        except ValueError as error:
            raise BackboneError(f"{self.name!r} cannot be used: {error}.") from error


def resize_network(network: Any, size: int, backbone: str) -> None:
    """Change the position embeddings of a timm network, by timm, to those of an image size."""
    check_patches(size, getattr(network, "patch_embed", None), backbone)
    if hasattr(network, "set_input_size"):
        network.set_input_size(img_size=(size, size))


def check_patches(size: int, patches: Any, backbone: str) -> None:
    """Refuse an image size that is not a multiple of ``patches.patch_size``."""
    height, _ = getattr(patches, "patch_size", (1, 1))
    if size % height:
        near = [str(each) for each in (size - size % height, size - size % height + height) if each]
        raise UsageError(
            f"--image-size {size} is not a multiple of {height}, the patch size of {backbone!r}: "
            f"use {' or '.join(near)}."
        )


def _pooled_tokens(network: Any, pooling: str) -> torch.nn.Module:
    """Return a network of tokens with another pooling."""
    import torch

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.norm = getattr(network, "fc_norm", torch.nn.Identity())

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tokens = self.network.forward_features(images)  # (b, tokens, d)
            parts = []
            if pooling in ("cls", "cls+mean"):
                parts.append(tokens[:, 0])
            if pooling in ("mean", "cls+mean"):
                parts.append(tokens[:, network.num_prefix_tokens :].mean(dim=1))
            return torch.cat([self.norm(part) for part in parts], dim=1)  # (b, d) or (b, 2 d)

    return Pooled().eval()
