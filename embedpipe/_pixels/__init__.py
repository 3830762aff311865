"""Decoding of image files to 8-bit RGB, for the encoder and for every view of the images.

The rules are in ``docs/decisions/0004-one-pixel-path.md``.
"""

from .decoding import Picture, decoded, is_plain, is_same_by_older_rule
from .derived import DerivedImage, UndecodableError, content_id_of, netpbm
from .opening import FORMATS, MAX_PIXELS, DecodeError, can_read, collect_warnings, remedy
from .rgb import COLOUR_RULE, OLDER_RULES

__all__ = [
    "COLOUR_RULE",
    "FORMATS",
    "MAX_PIXELS",
    "OLDER_RULES",
    "DecodeError",
    "DerivedImage",
    "Picture",
    "UndecodableError",
    "can_read",
    "collect_warnings",
    "content_id_of",
    "decoded",
    "is_plain",
    "is_same_by_older_rule",
    "netpbm",
    "remedy",
]
