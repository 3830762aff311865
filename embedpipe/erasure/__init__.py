"""Erasing an image from a workspace: its vectors, content ids, paths and copies.

Fragments, scan memories, picks and the label log are rewritten without the image. All other files
are searched for it. A file that contains it is removed if it can be recreated, or else listed.
"""

from __future__ import annotations

from .eraser import Erased, forget
from .image_lookup import FoundImage, find_image

__all__ = ["Erased", "FoundImage", "find_image", "forget"]
