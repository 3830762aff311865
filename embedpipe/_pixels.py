"""Pixels as every part of the package sees them that embeds or changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["quarter_turned", "reason_of", "to_rgb"]


def to_rgb(image: Image.Image) -> Image.Image:
    """Return 8-bit RGB: transparency on white, the high byte of 16 bits.

    Raises
    ------
    ValueError
        If its pixels have 32 bits.
    """
    from PIL import Image

    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255 instead of scaling.
        high_byte = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return Image.fromarray(high_byte).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of 32 bits (mode {image.mode}) have no agreed range; use 8 or 16")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def quarter_turned(image: Image.Image) -> bool:
    """Return whether its EXIF orientation makes a wide image a high one."""
    return image.getexif().get(0x0112) in (5, 6, 7, 8)


def reason_of(error: Exception) -> str:
    """Return on one line why Pillow could not decode an image."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image in a known format"
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:500]
