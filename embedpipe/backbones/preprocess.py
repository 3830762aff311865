"""From the bytes of an image file to the pixels a backbone expects."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._pixels import COLOUR_RULE, DecodeError, Picture, decoded

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["DecodeError", "Decoded", "Preprocess", "decode", "decode_image"]


LARGEST = 50_000_000
"""Pixels that an image may have after it is resized and before it is cropped: 150 MB."""


@dataclass(frozen=True)
class Preprocess:
    """Everything between a file's bytes and the encoder's input.

    Attributes
    ----------
    size
        Height and width of the encoder's input, in pixels.
    resize
        What is resized to before cropping, in pixels: the shorter side (an integer, aspect ratio
        kept) or height and width (aspect ratio lost).
    interpolation
        ``"bilinear"``, ``"bicubic"``, ``"lanczos"`` or ``"nearest"``, always antialiased as Pillow
        does.
    mean, std
        Per channel, for pixels scaled to 0..1.
    scaled_decode
        Let the JPEG decoder shrink by 2, 4 or 8 where at least twice the needed size remains.
        Several times faster on large photos; changes pixels slightly.
    """

    size: tuple[int, int]
    resize: int | tuple[int, int]
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scaled_decode: bool = False

    def as_spec(self) -> dict[str, Any]:
        """Return its part of the spec: the fields, and the rules for every image."""
        return asdict(self) | {
            "antialias": True,
            "crop": "center",
            "exif": "transpose",
            "colour": COLOUR_RULE,
            "frame": "first",
        }

    @classmethod
    def from_timm(cls, config: dict[str, Any]) -> Preprocess:
        """Return the evaluation preprocessing of a timm data config.

        Parameters
        ----------
        config
            As given by ``timm.data.resolve_model_data_config``.

        Raises
        ------
        ValueError
            For a crop mode other than ``center`` and ``squash``.
        """
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
            mean=_three(config["mean"]),
            std=_three(config["std"]),
        )


def _three(values: Any) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third


class Decoded(NamedTuple):
    """An image file at the encoder's input size.

    Attributes
    ----------
    pixels
        RGB, resized and cropped, not normalised: shape (height, width, 3), uint8.
    width, height
        Pixels of the image as it is meant to be seen (EXIF orientation applied).
    remarks
        What a person should know about the file, such as a range that was guessed.
    """

    pixels: np.ndarray
    width: int
    height: int
    remarks: tuple[str, ...]


def decode_image(data: bytes, preprocess: Preprocess) -> Decoded:
    """Decode an image file and bring it to the encoder's input size.

    Parameters
    ----------
    data
        The file's bytes: PNG, JPEG, WebP, GIF, BMP, TIFF or PPM.
    preprocess
        The target.

    Raises
    ------
    DecodeError
        With the reason, for anything that is not a whole image.
    """

    def at_input_size(picture: Picture) -> Decoded:
        pixels = _resize_and_crop(picture.rgb, preprocess)
        return Decoded(pixels, *picture.size, picture.remarks)

    shrink = None
    if preprocess.scaled_decode:
        target = preprocess.resize
        shrink = 2 * (target if isinstance(target, int) else max(target))
    return decoded(data, at_input_size, shrink=shrink)


def decode(data: bytes, preprocess: Preprocess) -> tuple[np.ndarray, int, int]:
    """Return the pixels, the width and the height that `decode_image` gives.

    Raises
    ------
    DecodeError
        With the reason, for anything that is not a whole image.
    """
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
            f"it has {width:,} x {height:,} pixels, too narrow to be resized: crop it"
        )
    if (width, height) != (new_width, new_height):
        method = Image.Resampling[preprocess.interpolation.upper()]
        image = image.resize((new_width, new_height), method)
    crop_height, crop_width = preprocess.size
    top, left = round((new_height - crop_height) / 2), round((new_width - crop_width) / 2)
    cropped = image.crop((left, top, left + crop_width, top + crop_height))
    return np.asarray(cropped, dtype=np.uint8)  # (h, w, 3)
