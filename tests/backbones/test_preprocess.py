"""Preprocessing of every kind of image file."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from embedpipe.backbones import DecodeError, Preprocess, decode

HALF = (0.5, 0.5, 0.5)
PLAIN = Preprocess((8, 8), 8, "bilinear", HALF, HALF)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def flat(mode: str, colour: object) -> Image.Image:
    return Image.new(mode, (8, 8), colour)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_every_format_has_the_saved_colour(kind: str) -> None:
    pixels, width, height = decode(encoded(flat("RGB", (200, 40, 90)), kind), PLAIN)
    assert (width, height) == (8, 8)
    assert pixels.shape == (8, 8, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - (200, 40, 90)).max() <= 3


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: encoded(flat("L", 70), "PNG"), (70, 70, 70)),
        (lambda: encoded(flat("1", 1), "PNG"), (255, 255, 255)),
        (lambda: encoded(flat("RGB", (0, 128, 255)).quantize(4), "PNG"), (0, 128, 255)),
        (lambda: encoded(flat("RGBA", (10, 20, 30, 255)), "PNG"), (10, 20, 30)),
        (lambda: encoded(flat("RGBA", (10, 20, 30, 0)), "PNG"), (255, 255, 255)),
        (lambda: encoded(flat("LA", (100, 0)), "PNG"), (255, 255, 255)),
        (lambda: encoded(flat("CMYK", (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
        (lambda: encoded(flat("I;16", 40000), "PNG"), (156, 156, 156)),
        (lambda: encoded(flat("I;16", 65535), "TIFF"), (255, 255, 255)),
    ],
    ids=["grey", "bilevel", "palette", "opaque", "transparent", "grey-alpha", "cmyk", "16", "16t"],
)
def test_every_pixel_mode_becomes_rgb(
    make: Callable[[], bytes], expected: tuple[int, int, int]
) -> None:
    pixels, _, _ = decode(make(), PLAIN)
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_a_cmyk_jpeg_is_not_inverted() -> None:
    pixels, _, _ = decode(encoded(flat("CMYK", (0, 255, 255, 0)), "JPEG", quality=95), PLAIN)
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 6


def test_transparency_of_a_palette_is_white() -> None:
    image = flat("P", 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    pixels, _, _ = decode(encoded(image, "PNG", transparency=0), PLAIN)
    assert (pixels == 255).all()


def test_the_first_frame_of_an_animation_is_used() -> None:
    frames = [flat("RGB", (255, 0, 0)), flat("RGB", (0, 0, 255))]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(data, PLAIN)[0][0, 0] == (255, 0, 0)).all()


def test_exif_orientation_turns_pixels_and_size() -> None:
    image = Image.new("RGB", (16, 8), "black")
    image.paste("white", (0, 0, 8, 8))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise
    whole = Preprocess((16, 8), (16, 8), "nearest", HALF, HALF)
    pixels, width, height = decode(encoded(image, "PNG", exif=exif), whole)
    assert (width, height) == (8, 16)
    assert (pixels[:7] == 255).all()
    assert (pixels[9:] == 0).all()


def test_scaled_decoding_keeps_the_true_size_and_nearly_the_pixels() -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((800, 600), 2)
    data = encoded(image, "JPEG", quality=95)
    small = Preprocess((64, 64), 64, "bicubic", HALF, HALF)
    scaled = Preprocess((64, 64), 64, "bicubic", HALF, HALF, scaled_decode=True)
    plain_pixels, *plain_size = decode(data, small)
    pixels, *size = decode(data, scaled)
    assert size == plain_size == [800, 600]
    difference = np.abs(pixels.astype(int) - plain_pixels.astype(int))
    assert 0 < difference.max() < 12


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty. Copy it again from the source"),
        (b"GIF89a", "it is not an image in a supported format"),
        (b"hello, I am a text", "it is not an image in a supported format"),
        (
            encoded(Image.new("RGB", (8, 8)), "EPS"),
            "it is PostScript, an unsupported format. Convert it to PNG or JPEG",
        ),
    ],
)
def test_other_files_are_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(data, PLAIN)
    assert str(caught.value) == reason


def test_colours_are_part_of_the_spec() -> None:
    assert PLAIN.as_spec()["colour"] == (
        "rgb; alpha over white, tRNS too; above 8 bits the upper 8 of the bits that the values take"
    )


def test_a_truncated_jpeg_is_refused() -> None:
    data = encoded(Image.effect_noise((64, 64), 60).convert("RGB"), "JPEG")
    with pytest.raises(DecodeError, match=r"^it is damaged \(file ends early\)\. Copy it again"):
        decode(data[: len(data) // 2], PLAIN)


@pytest.mark.parametrize("size", [(500, 375), (333, 500), (256, 256), (31, 47), (1000, 257)])
@pytest.mark.parametrize(("interpolation", "crop_pct"), [("bicubic", 0.875), ("bilinear", 0.95)])
def test_pixels_equal_those_of_timm(
    size: tuple[int, int], interpolation: str, crop_pct: float
) -> None:
    from timm.data import create_transform

    config = {
        "input_size": (3, 224, 224),
        "interpolation": interpolation,
        "crop_pct": crop_pct,
        "crop_mode": "center",
        "mean": HALF,
        "std": HALF,
    }
    rng = np.random.default_rng(1)
    image = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))
    expected = create_transform(**config, is_training=False)(image).permute(1, 2, 0).numpy()
    pixels, _, _ = decode(encoded(image, "PNG"), Preprocess.from_timm(config))
    assert np.abs((pixels / 255 - 0.5) / 0.5 - expected).max() < 1e-6


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "nearest"])
@pytest.mark.parametrize(
    ("size", "resize"),
    [((224, 224), 256), ((240, 224), 256), ((224, 224), 224), ((24, 24), (30, 40)), ((48, 40), 32)],
)
def test_the_crop_equals_that_of_the_whole_resized_image(
    interpolation: str, size: tuple[int, int], resize: int | tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    preprocess = Preprocess(size, resize, interpolation, HALF, HALF)
    shapes = [(400, 533), (533, 400), (400, 400), (300, 601), (300, 599), (700, 131), (32, 32)]
    shapes += [(224, 224), (256, 301), (301, 256), *rng.integers(20, 900, (12, 2)).tolist()]
    for width, height in shapes:
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
        if isinstance(resize, tuple):
            new = resize[::-1]
        else:
            new = tuple(int(resize * side / min(width, height)) for side in (width, height))
        method = Image.Resampling[interpolation.upper()]
        left, top = round((new[0] - size[1]) / 2), round((new[1] - size[0]) / 2)
        whole = image.resize(new, method).crop((left, top, left + size[1], top + size[0]))
        pixels, _, _ = decode(encoded(image, "PPM"), preprocess)
        np.testing.assert_array_equal(pixels, np.asarray(whole), err_msg=f"{width} x {height}")
