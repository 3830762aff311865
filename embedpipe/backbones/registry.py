"""The registry of backbones."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._registry import Registry
from ..errors import UnknownNameError, UsageError
from .backbone import Backbone, ToyBackbone
from .cards import CARDS, BackboneCard
from .onnx_files import OnnxBackbone
from .openclip import OpenClipBackbone
from .packaged import EfficientNetLite0, EfficientNetLite2
from .timm_models import TimmBackbone
from .torchvision_models import TorchvisionBackbone

__all__ = ["DEFAULT_BACKBONE", "backbones", "get_backbone"]

DEFAULT_BACKBONE = "efficientnet_lite0"

backbones: Registry[Callable[..., Backbone]] = Registry("backbone", "embedpipe.backbones")
"""Classes and functions that return a `Backbone`, by name.

They are called without arguments, or with those of `weights`, `image_size` and `pooling` that the
user gives and that they take.
"""


def get_backbone(
    name: str = DEFAULT_BACKBONE,
    weights: str | Path | None = None,
    *,
    image_size: int | None = None,
    pooling: str | None = None,
) -> Backbone:
    """Return a backbone by name; its weights are loaded later.

    Parameters
    ----------
    name
        A registered name, ``timm:NAME[@revision]``, ``openclip:NAME[@weights]``,
        ``torchvision:NAME`` or ``onnx:FILE[@output]``.
    weights
        A ``.safetensors`` or ``.pth`` file for a network of timm, open_clip or torchvision.
    image_size
        Height and width of the input in pixels, instead of those of the backbone. The position
        embeddings of transformers are resized.
    pooling
        ``"cls"``, ``"mean"`` or ``"cls+mean"``, for transformers of timm.

    Raises
    ------
    UnknownNameError
        If the name is unknown.
    UsageError
        If the backbone does not allow an option.

    Examples
    --------
    >>> get_backbone().name
    'efficientnet_lite0'
    >>> get_backbone("timm:resnet18").name
    'timm:resnet18'
    """
    if image_size is not None and image_size < 1:
        raise UsageError(f"the image size must be at least 1 pixel; got {image_size}.")
    given = {"image_size": image_size, "pooling": pooling}
    # The path is absolute, because processes in other folders read the file too.
    file = None if weights is None else Path(weights).expanduser().absolute()
    library, _, model = name.partition(":")
    if model and library in ("timm", "openclip", "torchvision"):
        return _of_library(library, model, file, given)
    if model and library == "onnx":
        if file:
            raise _not_allowed(name, "weights")
        # The path may contain "@".
        path, _, output = model.rpartition("@")
        if not path or Path(model).expanduser().is_file():
            path, output = model, ""
        return OnnxBackbone(Path(path).expanduser().absolute(), output or None, **given)  # type: ignore[arg-type]
    if name not in backbones:
        raise UnknownNameError(
            "backbone",
            name,
            backbones,
            "Any timm:NAME, openclip:NAME, torchvision:NAME or onnx:FILE is a backbone too.",
        )
    options = {key: each for key, each in (given | {"weights": file}).items() if each is not None}
    factory = backbones[name]
    for option in options:
        if option not in inspect.signature(factory).parameters:
            raise _not_allowed(name, option)
    backbone = factory(**options)
    backbone.name = backbone.name or name
    return backbone


def _of_library(library: str, model: str, file: Path | None, options: dict[str, Any]) -> Backbone:
    """Return a backbone of a library by the name of its network."""
    if library == "torchvision":
        return TorchvisionBackbone(model, file, **options)
    # The name of a folder may contain "@".
    name, _, version = (model, "", "") if model.startswith("local-dir:") else model.partition("@")
    if library == "openclip":
        return OpenClipBackbone(name, version or None, file, **options)
    if file and version:
        raise UsageError("--weights and a revision cannot be combined: give one of them.")
    return TimmBackbone(name, version or None, file, **options)


def _not_allowed(name: str, option: str) -> UsageError:
    if option == "weights":
        return UsageError(
            f"the backbone {name!r} has its own weights: use --weights with timm:NAME, "
            "openclip:NAME or torchvision:NAME only."
        )
    return UsageError(
        f"the backbone {name!r} does not allow --{option.replace('_', '-')}: leave it out."
    )


def _of_card(
    card: BackboneCard,
    *,
    weights: Path | None = None,
    image_size: int | None = None,
    pooling: str | None = None,
) -> Backbone:
    """Return the backbone of a card, with the card's image size and pooling by default."""
    own_pooling = None if card.pooling == "model" else card.pooling
    options = {"image_size": image_size or card.image_size, "pooling": pooling or own_pooling}
    library, _, model = card.source.partition(":")
    backbone = _of_library(library, model, weights, options)
    backbone.name = card.name
    return backbone


def _factory(card: BackboneCard) -> Callable[..., Backbone]:
    packaged = {kind.name: kind for kind in (EfficientNetLite0, EfficientNetLite2)}
    factory = functools.partial(packaged.get(card.name) or functools.partial(_of_card, card))
    factory.__doc__ = card.summary  # of `embedpipe list backbones`
    return factory


for each in CARDS.values():
    backbones.register(each.name)(_factory(each))
backbones.register("toy")(ToyBackbone)
