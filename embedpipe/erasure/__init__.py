"""Erasing an image from a workspace: its vectors, content ids, paths and copies.

Fragments, scan memories, picks and the label log are rewritten without the image. All other files
are searched for the image. A file that contains the image is removed if the file can be recreated;
otherwise it is listed.
"""

from __future__ import annotations

from .eraser import Erased, forget
from .image_lookup import FoundImage, find_image

__all__ = ["Erased", "FoundImage", "find_image", "forget"]
