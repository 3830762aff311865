"""Frozen encoders: bundled weights, timm, torchvision; and the runtimes that execute them."""

from .base import Backbone, Encoder
from .catalogue import DEFAULT_BACKBONE, backbones, get_backbone
from .preprocess import DecodeError, Preprocess, decode
from .runtimes import RUNTIMES, resolve_precision
from .toy import ToyBackbone

__all__ = [
    "DEFAULT_BACKBONE",
    "RUNTIMES",
    "Backbone",
    "DecodeError",
    "Encoder",
    "Preprocess",
    "ToyBackbone",
    "backbones",
    "decode",
    "get_backbone",
    "resolve_precision",
]
