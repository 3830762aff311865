"""Preprocessing: from the bytes of an image file to the pixels for a backbone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from .._pixels import COLOUR_RULE, DecodeError, Picture, decoded

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "VIEWS",
    "DecodeError",
    "Decoded",
    "Preprocess",
    "decode",
    "decode_each",
    "decode_image",
    "three",
]

VIEWS = {"none": 1, "flip": 2, "crops5": 5}
"""Number of views of an image, by the value of `Preprocess.views`."""


LARGEST = 50_000_000
"""Maximum pixels of a resized image before it is cropped (150 MB of memory)."""

Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""

_REACH = {"bilinear": 1, "bicubic": 2, "lanczos": 3}
"""Pixels on each side of a point that an interpolation reads."""


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
    views
        Views of an image whose vectors are averaged: ``"none"`` (the centre crop alone),
        ``"flip"`` (the centre crop and its mirror image) or ``"crops5"`` (the four corner crops
        and the centre crop of the resized image).
    """

    size: tuple[int, int]
    resize: int | tuple[int, int]
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scaled_decode: bool = False
    views: str = "none"

    def as_spec(self) -> dict[str, Any]:
        """Return the preprocessing's part of the embedding spec."""
        spec = asdict(self) | {
            "antialias": True,
            "crop": "center",
            "exif": "transpose",
            "colour": COLOUR_RULE,
            "frame": "first",
        }
        if self.views == "none":  # specs from before the views keep their ids
            del spec["views"]
        return spec

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the pixels of an image: (h, w, 3), or (v, h, w, 3) for v views."""
        views = () if self.views == "none" else (VIEWS[self.views],)
        return (*views, *self.size, 3)

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
    """RGB pixels of shape `Preprocess.shape`, and size and remarks of the original image."""

    pixels: np.ndarray
    width: int
    height: int
    remarks: tuple[str, ...]


def decode_image(data: bytes, preprocess: Preprocess) -> Decoded:
    """Decode an image file to the encoder's input size; raise DecodeError if it is invalid."""
    (result,) = decode_each(data, [preprocess])
    if isinstance(result, DecodeError):
        raise result
    return result


def decode_each(data: bytes, preprocesses: Sequence[Preprocess]) -> list[Decoded | DecodeError]:
    """Decode an image file once, and return the result or the error of each preprocessing.

    With ``scaled_decode``, it is decoded once for each reduced size.
    """
    results: dict[int, Decoded | DecodeError] = {}
    for shrink in dict.fromkeys(map(_shrink, preprocesses)):
        positions = [at for at, each in enumerate(preprocesses) if _shrink(each) == shrink]

        def prepared(picture: Picture, positions: Sequence[int] = positions) -> list[Any]:
            return _prepared(picture, [preprocesses[at] for at in positions])

        try:
            found = decoded(data, prepared, shrink=shrink)
        except DecodeError as error:
            found = [error] * len(positions)
        results |= zip(positions, found, strict=True)
    return [results[at] for at in range(len(preprocesses))]


def decode(data: bytes, preprocess: Preprocess) -> tuple[np.ndarray, int, int]:
    """Return the pixels, the width and the height of `decode_image`."""
    return decode_image(data, preprocess)[:3]


def _shrink(preprocess: Preprocess) -> int | None:
    """Return the least side of an image after a reduced decoding; None for a full decoding."""
    if not preprocess.scaled_decode:
        return None
    target = preprocess.resize
    return 2 * (target if isinstance(target, int) else max(target))


def _prepared(picture: Picture, preprocesses: Sequence[Preprocess]) -> list[Decoded | DecodeError]:
    """Return the pixels of each preprocessing; equal ones are computed once."""
    known: dict[tuple[Any, ...], Decoded | DecodeError] = {}
    results = []
    for each in preprocesses:
        key = each.size, each.resize, each.interpolation, each.views
        if key not in known:
            try:
                pixels = _views(picture.rgb, each)
                known[key] = Decoded(pixels, *picture.size, picture.remarks)
            except DecodeError as error:
                known[key] = error
        results.append(known[key])
    return results


def _views(image: Image.Image, preprocess: Preprocess) -> np.ndarray:
    """Return the pixels of the views of an image, of shape `Preprocess.shape`."""
    new_size = _new_size(image, preprocess)
    height, width = preprocess.size
    below, beside = new_size[1] - height, new_size[0] - width
    centre = round(beside / 2), round(below / 2)
    if preprocess.views == "crops5":
        resized = _resized(image, new_size, preprocess)
        places = [(0, 0), (beside, 0), (0, below), (beside, below), centre]  # left, top
        crops = [resized.crop((x, y, x + width, y + height)) for x, y in places]
        return np.stack([np.asarray(each, dtype=np.uint8) for each in crops])
    left, top = centre
    crop = (left, top, left + width, top + height)
    pixels = np.asarray(_resized_crop(image, new_size, crop, preprocess), dtype=np.uint8)
    return pixels if preprocess.views == "none" else np.stack([pixels, pixels[:, ::-1]])


def _new_size(image: Image.Image, preprocess: Preprocess) -> tuple[int, int]:
    """Return the width and height of the resized image."""
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
    return new_width, new_height


def _resized(image: Image.Image, new_size: tuple[int, int], preprocess: Preprocess) -> Image.Image:
    return image if image.size == new_size else image.resize(new_size, _method(preprocess))


def _method(preprocess: Preprocess) -> Image.Resampling:
    from PIL import Image

    return Image.Resampling[preprocess.interpolation.upper()]


def _resized_crop(
    image: Image.Image, new_size: tuple[int, int], crop: Box, preprocess: Preprocess
) -> Image.Image:
    """Return a crop of the resized image, equal to the bit, and compute less than the whole.

    Pillow resizes along x, then along y. Version 13 changes the order for images more than twice as
    high as wide, and if the height shrinks more than the width. It holds the edges of a box in
    single precision: only along an axis with exact edges can a box leave out pixels of the result.
    """
    (width, height), (new_width, new_height) = image.size, new_size
    left, top, right, bottom = crop
    exact_x = _is_exact(width, new_width, left, right)
    exact_y = _is_exact(height, new_height, top, bottom)
    reach = _REACH.get(preprocess.interpolation)
    x_first = isinstance(preprocess.resize, int) and height <= 2 * width
    if not x_first or reach is None or not (exact_x or exact_y):
        return _resized(image, new_size, preprocess).crop(crop)
    method = _method(preprocess)
    size = right - left, bottom - top
    x0, x1 = left * width / new_width, right * width / new_width
    y0, y1 = top * height / new_height, bottom * height / new_height
    if not exact_x:
        columns = _resized(image, (new_width, height), preprocess).crop((left, 0, right, height))
        return columns.resize(size, method, (0, y0, size[0], y1))
    margin = reach * max(height / new_height, 1) + 1
    first, last = max(0, int(y0 - margin)), min(height, int(y1 + margin) + 1)
    if last - first > 0.75 * height:  # copying the rows takes longer than resizing all
        first, last = 0, height
    rows = image.crop((0, first, width, last)) if last - first < height else image
    columns = rows.resize((size[0], last - first), method, (x0, 0, x1, last - first))
    if exact_y:
        return columns.resize(size, method, (0, y0 - first, size[0], y1 - first))
    columns = columns.crop((0, -first, size[0], height - first))  # the other rows are not used
    return columns.resize((size[0], new_height), method).crop((0, top, size[0], bottom))


def _is_exact(old: int, new: int, start: int, stop: int) -> bool:
    """Return whether Pillow holds the edges of the pixels start to stop of an axis exactly."""
    if (start, stop) == (0, new):
        return True
    fits = 0 <= start < stop <= new and old < 65536
    return fits and old * 256 % new == 0  # at most 24 bits
