"""What spoils an image, at five severities; the levels are those of Hendrycks & Dietterich."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._registry import Registry

__all__ = ["RECIPE", "SEVERITIES", "Pixels", "corruption_kinds"]

Pixels = NDArray[np.uint8]
"""(height, width, 3), RGB."""

Noise = Callable[[], np.random.Generator]
"""Gives the image's own source of randomness, from its start at each call."""

SEVERITIES = (1, 2, 3, 4, 5)

RECIPE = 1
"""Raised whenever a kind gives other pixels than before."""

corruption_kinds: Registry[Callable[[Pixels, int, Noise], bytes]] = Registry("corruption")
"""Every kind: a function from pixels, severity and randomness to the bytes of an image file.

A kind of one's own, registered, is known to `corrupted` in the same program.

Examples
--------
>>> list(corruption_kinds)
['gaussian_noise', 'blur', 'brightness', 'contrast', 'jpeg']
"""


@corruption_kinds.register("gaussian_noise")
def gaussian_noise(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """Grain: a normal deviate added to each value, of 8 % of the range to 38 %.

    Every severity scales the same draw, so that they differ in nothing else.
    """
    deviation = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1] * 255
    return _png(pixels + deviation * noise().standard_normal(pixels.shape))


@corruption_kinds.register("blur")
def blur(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """Gaussian blur, of a deviation of 1/224 of the shorter side to 6/224.

    It is at least 0.4 to 1 pixel: their levels for images of 32 pixels, of which 1/224 is nothing.
    """
    from PIL import Image, ImageFilter

    share = (1, 2, 3, 4, 6)[severity - 1] / 224
    least = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1]
    radius = max(share * min(pixels.shape[:2]), least)
    return _png(np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius))))


@corruption_kinds.register("brightness")
def brightness(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """Brighter: the value of HSV raised by 10 % of the range to 50 %, hue and saturation kept."""
    added = (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1] * 255
    value = pixels.max(axis=2, keepdims=True).astype(np.float64)  # (height, width, 1)
    raised = np.minimum(value + added, 255)
    black = value == 0  # has no hue: it becomes grey
    return _png(np.where(black, raised, pixels * raised / np.where(black, 1, value)))


@corruption_kinds.register("contrast")
def contrast(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """Flatter: the distance of each value to its channel's mean shrunk to 40 % down to 5 %."""
    kept = (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]
    # A sum of 8-bit values is exact in float64, whatever the order.
    mean = pixels.mean(axis=(0, 1), dtype=np.float64)  # (3,)
    return _png((pixels - mean) * kept + mean)


@corruption_kinds.register("jpeg")
def jpeg(pixels: Pixels, severity: int, noise: Noise) -> bytes:
    """Compressed: the bytes of a JPEG of quality 25 down to 7."""
    quality = (25, 18, 15, 10, 7)[severity - 1]
    return _encoded(pixels, "JPEG", quality=quality)


def _png(values: NDArray[Any]) -> bytes:
    """Return the nearest 8-bit image as a PNG.

    It is not compressed, as nobody keeps it: that is quicker, and the bytes do not depend on which
    compressor is installed.
    """
    rounded = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return _encoded(rounded, "PNG", compress_level=0)


def _encoded(pixels: Pixels, form: str, **options: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()
