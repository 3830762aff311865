"""From the bytes of an image file to the pixels a backbone expects."""

from __future__ import annotations

import io
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._pixels import quarter_turned, reason_of, to_rgb

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["DecodeError", "Preprocess", "decode"]


LARGEST = 50_000_000
"""Pixels that an image may have after it is resized and before it is cropped: 150 MB."""


class DecodeError(Exception):
    """An image file that cannot be turned into pixels; the message is the reason."""


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
        """Return what enters the spec: the fields, and the rules that hold for every image."""
        return asdict(self) | {
            "antialias": True,
            "crop": "center",
            "exif": "transpose",
            "colour": "rgb; alpha over white; 16-bit by its high byte",
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


def decode(data: bytes, preprocess: Preprocess) -> tuple[np.ndarray, int, int]:
    """Decode an image file and bring it to the encoder's input size.

    Parameters
    ----------
    data
        The file's bytes, in any format that Pillow reads.
    preprocess
        The target.

    Returns
    -------
    pixels : ndarray of uint8, shape (height, width, 3)
        RGB, resized and cropped, not normalised.
    width, height : int
        Of the image as it is meant to be seen (EXIF orientation applied).

    Raises
    ------
    DecodeError
        With the reason, for anything that is not a whole image.
    """
    from PIL import Image, ImageOps

    if not data:
        raise DecodeError("the file is empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            true_size = image.size
            if preprocess.scaled_decode:
                _shrink_while_decoding(image, preprocess)
            upright = ImageOps.exif_transpose(image)
            turned = quarter_turned(image)
            width, height = true_size[::-1] if turned else true_size
            pixels = _resize_and_crop(to_rgb(upright), preprocess)
    # Pillow's plugins raise nearly anything on malformed input; each is a reason, none is a bug.
    except Exception as error:
        raise DecodeError(reason_of(error)) from error
    return pixels, width, height


def _shrink_while_decoding(image: Image.Image, preprocess: Preprocess) -> None:
    target = preprocess.resize
    longest = target if isinstance(target, int) else max(target)
    image.draft(None, (2 * longest, 2 * longest))  # only JPEG heeds it; never below twice


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
        raise ValueError(f"an image of {width} x {height} pixels is too narrow to be resized")
    if (width, height) != (new_width, new_height):
        method = Image.Resampling[preprocess.interpolation.upper()]
        image = image.resize((new_width, new_height), method)
    crop_height, crop_width = preprocess.size
    top, left = round((new_height - crop_height) / 2), round((new_width - crop_width) / 2)
    cropped = image.crop((left, top, left + crop_width, top + crop_height))
    return np.asarray(cropped, dtype=np.uint8)  # (h, w, 3)
