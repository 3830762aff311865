"""Erasing an image from a workspace: every file that holds its vector, its digest or its path.

Files are found by their content, not by their names. First the known places are rewritten. Then
every other file of the workspace is searched; one that still holds the image is removed if it can
be made again, and named otherwise.
"""

from __future__ import annotations

from .eraser import Erased, forget
from .image_lookup import FoundImage, find_image

__all__ = ["Erased", "FoundImage", "find_image", "forget"]
