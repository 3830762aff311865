"""Erasing an image from a workspace: its vectors, content ids, paths and copies.

Known files are rewritten without the image. All other files are searched by content: files that
can be recreated are removed, and the others are listed.
"""

from __future__ import annotations

from .eraser import Erased, forget
from .image_lookup import FoundImage, find_image

__all__ = ["Erased", "FoundImage", "find_image", "forget"]
