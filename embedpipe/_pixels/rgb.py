"""Conversion of opened images of every mode to 8-bit RGB."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image, ImageFile

from .deep import deep_colour, deep_grey, is_deep_colour

__all__ = ["COLOUR_RULE", "OLDER_RULES", "is_same_in_older_rule", "to_rgb"]

COLOUR_RULE = (
    "rgb; alpha over white, tRNS too; above 8 bits the upper 8 of the bits that the values take"
)
"""Name of the colour rule in the spec; a changed rule needs a new name."""

OLDER_RULES = ("rgb; alpha over white; 16-bit by its high byte",)
"""Rules of earlier versions; `is_same_in_older_rule` tests whether they give the same pixels."""

STRIP = 4_000_000
"""Maximum pixels that are converted at once, to limit memory."""


def to_rgb(opened: ImageFile.ImageFile, data: bytes) -> tuple[Image.Image, list[str]]:
    """Return an image as 8-bit RGB, and remarks on assumptions."""
    remarks: list[str] = []
    image: Image.Image = opened
    if opened.mode.startswith("I;16") or opened.mode in ("I", "F"):
        image, remarks = deep_grey(opened)
    elif is_deep_colour(opened):
        image, remarks = deep_colour(opened, data)
    elif opened.format == "PNG" and "transparency" in opened.info:
        image = _with_8_bit_key(opened, data[24])
    if image.mode == "RGB" and "transparency" not in image.info:
        image.load()
        return image, remarks
    if image.mode == "LAB":
        return _in_strips(image, _lab_converter()), remarks
    if image.has_transparency_data or image.mode == "La":  # Pillow's test omits "La"
        if _is_invisible(image):
            remarks.append("it is fully transparent and becomes white")
        return _in_strips(image, _over_white), remarks
    return _in_strips(image, lambda strip: strip.convert("RGB")), remarks


def is_same_in_older_rule(image: ImageFile.ImageFile) -> bool:
    """Return whether older rules give the same pixels as `COLOUR_RULE` for this image."""
    # They do for 8 bits per sample without a transparent colour, and for palettes.
    modes = ("1", "L", "P", "RGB", "LA", "RGBA", "CMYK", "YCbCr")
    return (
        image.mode in modes
        and not is_deep_colour(image)
        and (image.mode == "P" or "transparency" not in image.info)
    )


def _in_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    width, height = image.size
    rows = max(1, STRIP // max(1, width))
    if height <= rows:
        return convert(image)
    result = Image.new("RGB", image.size)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        result.paste(convert(strip), (0, top))
    return result


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _is_invisible(image: Image.Image) -> bool:
    """Return whether there is an alpha channel in which every pixel is transparent."""
    bands = image.getbands()
    return bands[-1] in ("A", "a") and image.getchannel(len(bands) - 1).getextrema() == (0, 0)


def _with_8_bit_key(image: Image.Image, depth: int) -> Image.Image:
    """Convert the transparent colour of a PNG from the depth of its samples to 8 bits."""
    key = image.info["transparency"]
    if image.mode == "1":
        image = image.convert("L")
        image.info["transparency"] = 255 if key else 0
    elif image.mode == "L":
        largest = (1 << depth) - 1
        image.info["transparency"] = (key & largest) * 255 // largest
    elif image.mode == "RGB":
        image.info["transparency"] = tuple(part & 0xFF for part in key)
    return image


def _lab_converter() -> Callable[[Image.Image], Image.Image]:
    from PIL import ImageCms

    transform = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )

    def convert(image: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None
        return converted

    return convert
