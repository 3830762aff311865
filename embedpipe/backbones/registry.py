"""Backbones by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .._registry import Registry
from ..errors import UnknownNameError, UsageError
from .backbone import Backbone, ToyBackbone
from .networks import BundledBackbone, TimmBackbone, TorchvisionBackbone

__all__ = ["DEFAULT_BACKBONE", "backbones", "get_backbone"]

DEFAULT_BACKBONE = "efficientnet_lite0"

backbones: Registry[Callable[[], Backbone]] = Registry("backbone", "embedpipe.backbones")
"""Every named backbone: a class or function without arguments that gives a `Backbone`."""

backbones.register("efficientnet_lite0")(BundledBackbone)
backbones.register("toy")(ToyBackbone)


def get_backbone(name: str = DEFAULT_BACKBONE, weights: str | Path | None = None) -> Backbone:
    """Return a backbone by name; nothing is loaded yet.

    Parameters
    ----------
    name
        A registered name, ``timm:NAME[@revision]`` or ``torchvision:NAME``.
    weights
        A ``.safetensors`` or ``.pth`` file to load into a timm or torchvision architecture.

    Raises
    ------
    UnknownNameError
        For a name that is none of these.
    UsageError
        For `weights` with a backbone that has its own.

    Examples
    --------
    >>> get_backbone().name
    'efficientnet_lite0'
    >>> get_backbone("timm:resnet18").name
    'timm:resnet18'
    """
    # Absolute: it is also read by processes that work in another folder.
    file = None if weights is None else Path(weights).expanduser().absolute()
    library, _, model = name.partition(":")
    if library == "timm" and model:
        architecture, _, revision = model.partition("@")
        if file and revision:
            raise UsageError("--weights and a revision exclude each other: give one of them.")
        return TimmBackbone(architecture, revision or None, file)
    if library == "torchvision" and model:
        return TorchvisionBackbone(model, file)
    if name not in backbones:
        raise UnknownNameError(
            "backbone", name, backbones, "Any timm:NAME or torchvision:NAME is a backbone too."
        )
    if file:
        raise UsageError(
            f"the backbone {name!r} has its own weights: give --weights with timm:NAME or "
            "torchvision:NAME."
        )
    backbone = backbones[name]()
    backbone.name = backbone.name or name
    return backbone
