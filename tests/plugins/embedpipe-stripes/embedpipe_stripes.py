"""A dataset: drawn images of stripes that run across or down."""

import io

import numpy as np
from PIL import Image

from embedpipe.datasets import Item


def stripes(request):
    """Forty drawn images of stripes, two classes."""
    for number in range(40):
        label, split = ("across", "down")[number % 2], ("train", "test")[number % 5 == 4]
        pixels = np.full((32, 32), 20 + 5 * number, dtype=np.uint8)
        (pixels if label == "across" else pixels.T)[::4] = 0
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        yield Item(f"{label}/{number:02}.png", label=label, split=split), file.getvalue()
