"""Frozen encoders: bundled weights, timm, torchvision; and the runtimes that execute them."""

from .base import Backbone, Encoder
from .catalogue import DEFAULT_BACKBONE, backbones, get_backbone
from .preprocess import Decoded, DecodeError, Preprocess, decode, decode_image
from .runtimes import RUNTIMES, resolve_precision, resolve_runtime
from .toy import ToyBackbone

__all__ = [
    "DEFAULT_BACKBONE",
    "RUNTIMES",
    "Backbone",
    "DecodeError",
    "Decoded",
    "Encoder",
    "Preprocess",
    "ToyBackbone",
    "backbones",
    "decode",
    "decode_image",
    "get_backbone",
    "resolve_precision",
    "resolve_runtime",
]
