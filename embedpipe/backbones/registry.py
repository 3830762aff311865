"""The registry of backbones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .._registry import Registry
from ..errors import UnknownNameError, UsageError
from .backbone import Backbone, ToyBackbone
from .networks import EfficientNetLite0, EfficientNetLite2, TimmBackbone, TorchvisionBackbone

__all__ = ["DEFAULT_BACKBONE", "backbones", "get_backbone"]

DEFAULT_BACKBONE = "efficientnet_lite0"

backbones: Registry[Callable[[], Backbone]] = Registry("backbone", "embedpipe.backbones")
"""Classes and functions without arguments that return a `Backbone`, by name."""

backbones.register("efficientnet_lite0")(EfficientNetLite0)
backbones.register("efficientnet_lite2")(EfficientNetLite2)
backbones.register("toy")(ToyBackbone)


def get_backbone(name: str = DEFAULT_BACKBONE, weights: str | Path | None = None) -> Backbone:
    """Return a backbone by name; its weights are loaded later.

    Parameters
    ----------
    name
        A registered name, ``timm:NAME[@revision]`` or ``torchvision:NAME``.
    weights
        A ``.safetensors`` or ``.pth`` file for a timm or torchvision architecture.

    Raises
    ------
    UnknownNameError
        If the name is unknown.
    UsageError
        If the backbone does not allow `weights`.

    Examples
    --------
    >>> get_backbone().name
    'efficientnet_lite0'
    >>> get_backbone("timm:resnet18").name
    'timm:resnet18'
    """
    # The path is absolute, because processes in other folders read the file too.
    file = None if weights is None else Path(weights).expanduser().absolute()
    library, _, model = name.partition(":")
    if library == "timm" and model:
        architecture, _, revision = model.partition("@")
        if file and revision:
            raise UsageError("--weights and a revision cannot be combined: give one of them.")
        return TimmBackbone(architecture, revision or None, file)
    if library == "torchvision" and model:
        return TorchvisionBackbone(model, file)
    if name not in backbones:
        raise UnknownNameError(
            "backbone", name, backbones, "Any timm:NAME or torchvision:NAME is a backbone too."
        )
    if file:
        raise UsageError(
            f"the backbone {name!r} has its own weights: use --weights with timm:NAME or "
            "torchvision:NAME only."
        )
    backbone = backbones[name]()
    backbone.name = backbone.name or name
    return backbone
