"""Thumbnails: size, orientation, and None for damaged images."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from embedpipe.reports import make_thumbnail
from embedpipe.reports.thumbnails import media_type
from tests.conftest import make_image


def encoded(image, kind="PNG", **options):
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(thumbnail):
    return Image.open(BytesIO(thumbnail))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_a_photo_becomes_a_small_jpeg(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 600, 3), dtype=np.uint8)
    thumbnail = decoded(make_thumbnail(encoded(Image.fromarray(pixels), kind), size=80))
    assert (thumbnail.format, thumbnail.mode, thumbnail.size) == ("JPEG", "RGB", (80, 40))


def test_a_tiny_image_keeps_its_pixels():
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    thumbnail = decoded(make_thumbnail(encoded(Image.fromarray(pixels))))
    assert thumbnail.format == "PNG"
    np.testing.assert_array_equal(np.asarray(thumbnail)[:, :, 0], pixels)


def test_the_orientation_of_the_camera_is_applied():
    image = Image.new("RGB", (200, 100), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise
    thumbnail = decoded(make_thumbnail(encoded(image, "JPEG", exif=exif), size=50))
    assert thumbnail.size == (25, 50)


def test_transparency_is_white():
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert decoded(make_thumbnail(encoded(image))).getpixel((0, 0)) == (255, 255, 255)


def test_a_palette_with_a_transparent_colour():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((3, 3), 1)
    thumbnail = decoded(make_thumbnail(encoded(image, transparency=0)))
    assert thumbnail.getpixel((0, 0)) == (255, 255, 255)
    assert thumbnail.getpixel((3, 3)) == (200, 100, 50)


def test_16_bit_grey_is_converted_as_for_the_encoder():
    values = np.linspace(1000, 3000, 64).astype(np.uint16).reshape(8, 8)
    pixels = np.asarray(decoded(make_thumbnail(encoded(Image.fromarray(values)))))
    np.testing.assert_array_equal(pixels[:, :, 0], values >> 4)  # of 12 bits


@pytest.mark.parametrize("data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_bytes_that_are_not_an_image(data):
    assert make_thumbnail(data) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_an_image_with_missing_bytes(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(pixels), kind)
    for length in range(0, len(data) - 200, max(1, len(data) // 40)):
        thumbnail = make_thumbnail(data[:length])
        assert thumbnail is None or decoded(thumbnail).size == (64, 64)
    assert make_thumbnail(data[: len(data) // 2]) is None


def test_the_same_image_gives_the_same_bytes():
    pixels = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(pixels))
    assert make_thumbnail(data) == make_thumbnail(data)


def test_media_types_follow_the_first_bytes():
    assert (media_type(b"GIF89a..."), media_type(b"BM......")) == ("image/gif", None)


def test_a_webp_thumbnail_is_smaller_than_a_jpeg():
    content = encoded(make_image(3, (400, 300)), "JPEG")
    webp, jpeg = (make_thumbnail(content, 96, kind) for kind in ("WEBP", "JPEG"))
    assert decoded(webp).format == "WEBP"
    assert decoded(webp).size == decoded(jpeg).size == (96, 72)
    assert len(webp) < len(jpeg)
    difference = np.asarray(decoded(webp), float) - np.asarray(decoded(jpeg), float)
    assert np.abs(difference).mean() < 6
