"""Frozen encoders (bundled, timm, torchvision, open_clip) and the runtimes that execute them.

`get_backbone` returns a backbone by its name. To add a name, register a subclass of `Backbone`
with its preprocessing, the length of its vectors, a digest of its weights, and `encode`::

    import hashlib
    from pathlib import Path

    import numpy as np

    from embedpipe.backbones import Backbone, Preprocess, register

    WEIGHTS = Path(__file__).with_name("filters.npy")  # (27, 64)

    @register("filters")
    class Filters(Backbone):
        \"\"\"64 linear filters over a 3 x 3 thumbnail.\"\"\"
        preprocess = Preprocess((3, 3), (3, 3), "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        dim = 64
        weights_sha256 = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()

        def encode(self, pixels):  # (b, 3, 3, 3) uint8
            return pixels.reshape(len(pixels), 27) / 255 @ np.load(WEIGHTS)

The digest is part of the embedding spec. Implement `open` instead of `encode` to support several
runtimes. Your own weights for a timm architecture need no code:
``--backbone timm:NAME --weights FILE``.
"""

from .backbone import Backbone, Encoder, ToyBackbone
from .cards import CARDS, BackboneCard
from .preprocess import Decoded, DecodeError, Preprocess, decode, decode_each, decode_image
from .registry import DEFAULT_BACKBONE, backbones, get_backbone
from .runtimes import RUNTIMES, resolve_precision, resolve_runtime
from .text_tower import TextTower
from .views import check_views, open_backbone
from .weights import digest_of_file, digest_of_weights

register = backbones.register

__all__ = [
    "CARDS",
    "DEFAULT_BACKBONE",
    "RUNTIMES",
    "Backbone",
    "BackboneCard",
    "DecodeError",
    "Decoded",
    "Encoder",
    "Preprocess",
    "TextTower",
    "ToyBackbone",
    "backbones",
    "check_views",
    "decode",
    "decode_each",
    "decode_image",
    "digest_of_file",
    "digest_of_weights",
    "get_backbone",
    "open_backbone",
    "register",
    "resolve_precision",
    "resolve_runtime",
]
