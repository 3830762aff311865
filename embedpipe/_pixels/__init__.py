"""Decoding of image files to 8-bit RGB, for the encoder and for every view of the images.

The rules are in ``docs/decisions/0004-one-pixel-path.md``.
"""

from .decoding import Picture, decoded, is_plain, is_same_by_older_rule
from .opening import FORMATS, MAX_PIXELS, DecodeError, collect_warnings
from .rgb import COLOUR_RULE, OLDER_RULES

__all__ = [
    "COLOUR_RULE",
    "FORMATS",
    "MAX_PIXELS",
    "OLDER_RULES",
    "DecodeError",
    "Picture",
    "collect_warnings",
    "decoded",
    "is_plain",
    "is_same_by_older_rule",
]
