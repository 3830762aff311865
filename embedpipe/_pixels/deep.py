"""Conversion of images whose samples have more than 8 bits to 8 bits.

Some files state the number of bits that their values use. For other files, the smallest usual
number that fits the largest value is assumed, because cameras write 12 bits into 16-bit files. The
result is the upper 8 of these bits.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from .opening import DecodeError, open_image

__all__ = ["deep_colour", "deep_grey", "is_deep_colour"]

BITS = (8, 10, 12, 14, 16, 24, 32)
"""Usual numbers of bits of a sample."""

_WHITES = (1, 255, 1023, 4095, 16383, 65535)
"""Usual values of white in images of floats."""

STRIP = 4_000_000
"""Maximum pixels that are converted at once."""

Values = NDArray[Any]
"""Array of uint16, uint32, int32 or float32."""

Tags = Mapping[int, Any]

_MAX_SAMPLE, _S_MIN, _S_MAX, _WHITE_LEVEL = 281, 340, 341, 50717
_BITS_PER_SAMPLE, _PHOTOMETRIC, _PLANES, _SAMPLE_FORMAT = 258, 262, 284, 339
_MIN_IS_WHITE, _SIGNED = 0, 2


@dataclass(frozen=True)
class _Scale:
    """The range from black to white: integers of `bits` bits; if `bits` is 0, `low` to `high`."""

    bits: int = 0
    low: float = 0.0
    high: float = 0.0

    def bytes_of(self, values: Values) -> NDArray[np.uint8]:
        """Return values as 8 bits."""
        if self.bits:
            return np.asarray(values >> (self.bits - 8), np.uint8)
        span = self.high - self.low
        finite = np.where(np.isfinite(values), values, self.low).astype(np.float64)
        scaled = (finite - self.low) * (255 / span if span > 0 else 0)
        return np.clip(scaled, 0, 255).round().astype(np.uint8)


def deep_grey(image: ImageFile.ImageFile) -> tuple[Image.Image, list[str]]:
    """Return a grey image of 12, 16 or 32 bits as 8-bit grey, and remarks."""
    # A PNG with a transparent value is returned with an alpha channel.
    tags = getattr(image, "tag_v2", {})
    stated, signed = _stated_bits(image, tags), _first(tags.get(_SAMPLE_FORMAT)) == _SIGNED
    key = image.info.get("transparency") if image.format == "PNG" else None
    full = _first(tags.get(_BITS_PER_SAMPLE, 16)) - signed  # one bit is the sign
    if image.mode == "F":
        scale, remarks = _float_scale(image, tags)
    else:
        # A transparent value may be outside of the range of the other values.
        opaque = (v if key is None else v[v != key] for v in _strips(image, signed))
        low, high, _ = _extremes(opaque)
        if low < 0:
            scale, remarks = _Scale(low=low, high=high), [_stretched(low, high)]
        else:
            scale, remarks = _bit_scale(int(high), stated, full)
    inverted = _first(tags.get(_PHOTOMETRIC)) == _MIN_IS_WHITE
    grey = Image.new("L" if key is None else "LA", image.size)
    top = 0
    for values in _strips(image, signed):
        strip = scale.bytes_of(values)
        if inverted:
            strip = 255 - strip
        layers = [Image.fromarray(strip)]
        if key is not None:
            layers.append(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
        grey.paste(layers[0] if key is None else Image.merge("LA", layers), (0, top))
        top += len(strip)
    return grey, remarks


def is_deep_colour(image: ImageFile.ImageFile) -> bool:
    """Return whether an image has 16-bit colour, whose low bytes Pillow drops."""
    raw = [_raw_mode(tile) for tile in image.tile]
    return any(mode.startswith(("RGB;16", "RGBA;16", "RGBX;16", "LA;16")) for mode in raw)


def deep_colour(image: ImageFile.ImageFile, data: bytes) -> tuple[Image.Image, list[str]]:
    """Return an image with 16-bit colour as 8-bit RGB or RGBA, and remarks."""
    # Pillow keeps the high byte of each sample. If the low byte is needed, the file is decoded
    # again with the bytes of each sample swapped.
    tags = getattr(image, "tag_v2", {})
    stated = _stated_bits(image, tags)
    key = image.info.pop("transparency", None)  # three numbers of 16 bits, in a PNG
    low_bytes = _opener_of_low_bytes(image, data)
    image.load()
    brightest = max(high for _, high in _extrema(image)[:3])
    if brightest >> 6 and stated in (None, 16) and key is None:
        return image, []  # 15 or 16 bits are used
    if tags.get(_PLANES) == 2:
        raise DecodeError(
            "it has 16-bit samples in separate planes and uses few of the bits. "
            "Save it with interleaved samples or with 8 bits"
        )
    low = low_bytes()
    colours, has_alpha = 3, image.mode == "RGBA"
    largest = np.zeros(4 if has_alpha else 3, np.int64)
    for values in _sample_strips(image, low):
        opaque = values if key is None else values[(values != key).any(axis=2)]
        largest = np.maximum(largest, opaque.reshape(-1, largest.size).max(axis=0, initial=0))
    scale, remarks = _bit_scale(int(largest[:colours].max()), stated, 16)
    # The alpha channel of 12-bit data may have 12 bits or all 16.
    alpha_scale = _bit_scale(int(largest[-1]), None, 16)[0] if scale.bits < 16 else scale
    result = Image.new("RGBA" if has_alpha or key is not None else "RGB", image.size)
    top = 0
    for values in _sample_strips(image, low):
        layers = [scale.bytes_of(values[..., :colours])]
        if has_alpha:
            layers.append(alpha_scale.bytes_of(values[..., colours:]))
        elif key is not None:
            clear = (values == key).all(axis=2)
            layers.append(np.where(clear, 0, 255).astype(np.uint8)[..., None])
        result.paste(Image.fromarray(np.concatenate(layers, axis=2)), (0, top))
        top += len(values)
    return result, remarks


def _bit_scale(largest: int, stated: int | None, full: int) -> tuple[_Scale, list[str]]:
    """Return the scale of values from 0 to `largest` in samples of `full` bits, and remarks."""
    if stated is not None and largest < 1 << stated:
        return _Scale(bits=stated), []
    bits = next(bits for bits in sorted({*BITS, full}) if largest < 1 << bits)
    if bits >= full or largest == 0:
        return _Scale(bits=bits), []
    return _Scale(bits=bits), [
        f"its values go up to {largest:,} in samples of {full} bits: they are read as {bits} bits"
    ]


def _stated_bits(image: ImageFile.ImageFile, tags: Tags) -> int | None:
    """Return the number of bits stated by the file, or None."""
    if image.format == "PPM":
        # Pillow scales samples to 16 bits unless its decoder is "raw".
        return None if image.tile and image.tile[0][0] == "raw" else 16
    depth: int | None = _first(tags.get(_BITS_PER_SAMPLE))
    if depth in BITS and depth not in (16, 32):
        return depth
    for tag in (_MAX_SAMPLE, _S_MAX, _WHITE_LEVEL):
        top = _first(tags.get(tag))
        # Many programs write the largest possible value for every image.
        if isinstance(top, int) and 255 <= top < (1 << (depth or 16)) - 1:
            return next(bits for bits in BITS if top < 1 << bits)
    return None


def _float_scale(image: Image.Image, tags: Tags) -> tuple[_Scale, list[str]]:
    """Return the scale of floats, and remarks."""
    # The scale is the stated range, or else 0 to the smallest usual white that fits. If no usual
    # white fits, it is the range of the values.
    low, high, finite = _extremes(_strips(image, signed=False))
    remarks = [] if finite else ["it has values that are not finite; they become black"]
    stated = _first(tags.get(_S_MIN)), _first(tags.get(_S_MAX))
    if all(isinstance(value, (int, float)) for value in stated) and stated[0] < stated[1]:
        return _Scale(low=stated[0], high=stated[1]), remarks
    white = next((white for white in _WHITES if high <= white), None)
    if low >= 0 and white is not None:
        guess = (
            f"its range is not stated, and its values go up to {high:g}: {white:,} becomes white"
        )
        return _Scale(high=white), remarks if white == 1 else [*remarks, guess]
    return _Scale(low=low, high=high), [*remarks, _stretched(low, high)]


def _stretched(low: float, high: float) -> str:
    return f"its range is not stated: {low:g} becomes black and {high:g} white"


def _strips(image: Image.Image, signed: bool) -> Iterator[Values]:
    """Yield the samples as arrays of some rows: (rows, width)."""
    width, height = image.size
    rows = max(1, STRIP // max(1, width))
    image.load()
    for top in range(0, height, rows):
        values = np.asarray(image.crop((0, top, width, min(top + rows, height))))
        if values.dtype == np.int32 and not signed:
            yield values.view(np.uint32)
        elif values.dtype.kind in "iu" and not signed:
            yield values.astype(np.uint32)
        else:
            yield values


def _extremes(strips: Iterator[Values]) -> tuple[float, float, bool]:
    """Return the smallest and the largest finite value, and whether all values are finite."""
    low, high, all_finite = np.inf, -np.inf, True
    for values in strips:
        finite = np.isfinite(values)
        if not finite.all():
            all_finite, values = False, values[finite]  # noqa: PLW2901
        if values.size:
            low, high = min(low, values.min()), max(high, values.max())
    return (low, high, all_finite) if low <= high else (0.0, 0.0, all_finite)


def _sample_strips(high: Image.Image, low: Image.Image) -> Iterator[Values]:
    """Yield samples combined from high and low bytes: arrays (rows, width, channels)."""
    width, height = high.size
    rows = max(1, STRIP // max(1, width))
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        upper, lower = (np.asarray(image.crop(box), np.uint16) for image in (high, low))
        yield (upper << 8) | lower


def _extrema(image: Image.Image) -> list[tuple[int, int]]:
    return [image.getchannel(band).getextrema() for band in image.getbands()]  # type: ignore[misc]


def _opener_of_low_bytes(image: ImageFile.ImageFile, data: bytes) -> Callable[[], Image.Image]:
    """Return a function that decodes the low byte of each sample of the file."""
    if any(_raw_mode(tile).startswith("LA;16") for tile in image.tile):
        return lambda: _low_bytes_of_grey_alpha(data)

    def low_bytes() -> Image.Image:
        again = open_image(data)
        again.tile = [_with_swapped_bytes(tile) for tile in again.tile]
        again.info.pop("transparency", None)
        again.load()
        return again

    return low_bytes


_OTHER = {"B": "L", "L": "B", "N": "B" if np.little_endian else "L"}
"""The opposite of each byte order of 16-bit samples: big, little and native."""


def _with_swapped_bytes(tile: ImageFile._Tile) -> ImageFile._Tile:
    raw = _raw_mode(tile)
    other = raw[:-1] + _OTHER[raw[-1]]
    args = (other, *tile.args[1:]) if isinstance(tile.args, tuple) else other
    return tile._replace(args=args)


def _low_bytes_of_grey_alpha(data: bytes) -> Image.Image:
    """Return the low bytes of a PNG with 16-bit grey and alpha, as RGBA."""
    # Under a header of 8-bit RGBA, green is the low byte of grey, and alpha the low byte of alpha.
    header = data[12:24] + bytes([8, 6]) + data[26:29]
    patched = data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]
    image = Image.open(io.BytesIO(patched), formats=["PNG"])
    grey, alpha = image.getchannel("G"), image.getchannel("A")
    return Image.merge("RGBA", [grey, grey, grey, alpha])


def _raw_mode(tile: ImageFile._Tile) -> str:
    first = tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0]
    return first if isinstance(first, str) else ""


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and value else value
