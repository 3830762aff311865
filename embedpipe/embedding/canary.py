"""A few made-up images whose vectors tell whether a machine still computes the same thing."""

from __future__ import annotations

import numpy as np

__all__ = ["canary_images"]


def canary_images() -> list[bytes]:
    """Return eight images as PPM files: smooth, coloured, made with integers alone.

    They are the same bytes everywhere, in a format without compression, so that only decoding,
    resizing and encoding can change their vectors.
    """
    y, x = np.mgrid[0:256, 0:320].astype(np.int64)
    images = []
    for k in range(1, 9):
        ring = ((x - 40 * k) ** 2 + (y - 128) ** 2) // (16 * k)
        planes = [x * 255 // 319, (y * (9 - k) * 32 // 255) % 256, 255 - np.minimum(ring, 255)]
        pixels = np.stack(planes[k % 3 :] + planes[: k % 3], axis=-1).astype(np.uint8)  # (h, w, 3)
        images.append(b"P6\n320 256\n255\n" + pixels.tobytes())
    return images
