"""Preprocessing: from the bytes of an image file to the pixels for a backbone."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._pixels import COLOUR_RULE, DecodeError, Picture, decoded

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["DecodeError", "Decoded", "Preprocess", "decode", "decode_image", "three"]


LARGEST = 50_000_000
"""Maximum pixels of a resized image before it is cropped (150 MB of memory)."""


@dataclass(frozen=True)
class Preprocess:
    """The preprocessing of an image before it is encoded.

    Attributes
    ----------
    size
        Height and width of the encoder's input, in pixels.
    resize
        Size before cropping, in pixels. An integer is the shorter side, and the aspect ratio is
        kept. A pair is height and width.
    interpolation
        ``"bilinear"``, ``"bicubic"``, ``"lanczos"`` or ``"nearest"``, antialiased by Pillow.
    mean, std
        Mean and standard deviation of each channel, for pixels scaled to the range 0 to 1.
    scaled_decode
        Whether large JPEGs are decoded at 1/2, 1/4 or 1/8 of their size, but at least twice the
        needed size. This is faster and gives slightly different pixels.
    """

    size: tuple[int, int]
    resize: int | tuple[int, int]
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scaled_decode: bool = False

    def as_spec(self) -> dict[str, Any]:
        """Return the preprocessing's part of the embedding spec."""
        return asdict(self) | {
            "antialias": True,
            "crop": "center",
            "exif": "transpose",
            "colour": COLOUR_RULE,
            "frame": "first",
        }

    @classmethod
    def from_timm(cls, config: dict[str, Any]) -> Preprocess:
        """Return the preprocessing of a timm config; raise ValueError for an unknown crop mode."""
        _, height, width = config["input_size"]
        scaled = (math.floor(height / config["crop_pct"]), math.floor(width / config["crop_pct"]))
        mode = config["crop_mode"]
        if mode not in ("center", "squash"):
            raise ValueError(f"crop mode {mode!r} is not supported, only 'center' and 'squash'")
        keep_ratio = mode == "center" and scaled[0] == scaled[1]
        return cls(
            size=(height, width),
            resize=scaled[0] if keep_ratio else scaled,
            interpolation=config["interpolation"],
            mean=three(config["mean"]),
            std=three(config["std"]),
        )


def three(values: Any) -> tuple[float, float, float]:
    """Return three numbers, one for each channel."""
    first, second, third = (float(value) for value in values)
    return first, second, third


class Decoded(NamedTuple):
    """RGB pixels at the encoder's input size, and size and remarks of the original image."""

    pixels: np.ndarray
    width: int
    height: int
    remarks: tuple[str, ...]


def decode_image(data: bytes, preprocess: Preprocess) -> Decoded:
    """Decode an image file to the encoder's input size; raise DecodeError if it is invalid."""

    def at_input_size(picture: Picture) -> Decoded:
        pixels = _resize_and_crop(picture.rgb, preprocess)
        return Decoded(pixels, *picture.size, picture.remarks)

    shrink = None
    if preprocess.scaled_decode:
        target = preprocess.resize
        shrink = 2 * (target if isinstance(target, int) else max(target))
    return decoded(data, at_input_size, shrink=shrink)


def decode(data: bytes, preprocess: Preprocess) -> tuple[np.ndarray, int, int]:
    """Return the pixels, the width and the height of `decode_image`."""
    return decode_image(data, preprocess)[:3]


def _resize_and_crop(image: Image.Image, preprocess: Preprocess) -> np.ndarray:
    from PIL import Image

    width, height = image.size
    if isinstance(preprocess.resize, int):
        short = preprocess.resize
        if width <= height:
            new_width, new_height = short, int(short * height / width)
        else:
            new_width, new_height = int(short * width / height), short
    else:
        new_height, new_width = preprocess.resize
    if new_width * new_height > LARGEST:
        raise DecodeError(
            f"it has {width:,} x {height:,} pixels, too narrow for resizing. Crop the image"
        )
    if (width, height) != (new_width, new_height):
        method = Image.Resampling[preprocess.interpolation.upper()]
        image = image.resize((new_width, new_height), method)
    crop_height, crop_width = preprocess.size
    top, left = round((new_height - crop_height) / 2), round((new_width - crop_width) / 2)
    cropped = image.crop((left, top, left + crop_width, top + crop_height))
    return np.asarray(cropped, dtype=np.uint8)  # (h, w, 3)
