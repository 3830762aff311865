"""From the bytes of an image file to 8-bit RGB: one way, for the encoder and for people.

The encoder, the labelling page, thumbnails, checks, the terminal and corruptions all call
`decoded`. The rules are in ``docs/decisions/0004-one-pixel-path.md``.
"""

from .decoding import Picture, decoded, is_plain, is_unaffected
from .opening import FORMATS, MAX_PIXELS, DecodeError
from .rgb import COLOUR_RULE, OLDER_RULES

__all__ = [
    "COLOUR_RULE",
    "FORMATS",
    "MAX_PIXELS",
    "OLDER_RULES",
    "DecodeError",
    "Picture",
    "decoded",
    "is_plain",
    "is_unaffected",
]
