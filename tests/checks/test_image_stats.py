"""Image statistics: upright sizes, blank and tiny images, failures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from embedpipe.checks.file_groups import misnamed_rows
from embedpipe.checks.image_stats import (
    SIDE,
    FileProperties,
    ImageStats,
    blank_rows,
    image_stats,
    tiny_rows,
    tiny_side,
)
from embedpipe.datasets import Source
from tests.pixels.files import RGB, png


class Files(Source):
    """A source of bytes in memory that reads backwards and records each access."""

    def __init__(self, files):
        self.files, self.asked = files, []

    @property
    def location(self):
        return "memory"

    def stamp(self, id):  # noqa: A002
        return None

    def read(self, ids):
        for name in reversed(ids):
            self.asked.append(name)
            content = self.files[name]
            yield name, content


def encoded(image, kind="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def looked(files):
    source = Files(files)
    return image_stats(source, list(files), np.arange(len(files))), source


def gradient(width, height):
    across = np.linspace(0, 255, width)[None, :].repeat(height, axis=0)
    return Image.fromarray(across.astype(np.uint8)).convert("RGB")


def test_sizes_are_those_of_upright_images():
    turned = Image.Exif()
    turned[0x0112] = 6
    found, _ = looked(
        {
            "large": encoded(gradient(1600, 900)),
            "turned": encoded(gradient(1600, 900), exif=turned),
            "png": encoded(gradient(30, 50), "PNG"),
        }
    )
    assert found.sizes.tolist() == [[1600, 900], [900, 1600], [30, 50]]
    assert found.seen.all()
    assert found.failures == ()


def test_the_grey_copy_is_upright_and_right():
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned clockwise: left becomes up
    files = {
        "plain": encoded(gradient(480, 240), "PNG"),
        "jpeg": encoded(gradient(480, 240), quality=95),
        "turned": encoded(gradient(480, 240), quality=95, exif=turned),
    }
    found, _ = looked(files)
    plain, jpeg, other = found.greys.astype(float)
    expected = np.linspace(0, 255, 480).reshape(SIDE, -1).mean(axis=1)
    assert np.abs(plain - expected).max() < 6  # bilinear: the ends are pulled inwards
    assert np.abs(plain - jpeg).max() <= 3
    assert np.abs(other - plain.T).max() <= 4


def test_each_content_is_read_once_and_failures_are_reported():
    image = encoded(gradient(100, 100))
    files = {
        "a": b"no image",
        "b": image,
        "c": image,
        "d": PermissionError(13, "Permission denied"),
        "e": image[: len(image) // 2],
    }
    source = Files(files)
    calls = []
    found = image_stats(
        source, list(files), np.array([0, 1, 1, 3, 4]), lambda *now: calls.append(now)
    )
    assert sorted(source.asked) == ["a", "b", "d", "e"]
    assert found.seen.tolist() == [False, True, True, False, False]
    assert (found.greys[1] == found.greys[2]).all()
    assert found.sizes.tolist() == [[0, 0], [100, 100], [100, 100], [0, 0], [0, 0]]
    assert [(f.path, f.stage, f.error) for f in found.failures[:2]] == [
        ("a", "decode", "it is not an image in a supported format"),
        ("d", "read", "it cannot be read (Permission denied)"),
    ]
    assert found.failures[2].path == "e"
    assert found.failures[2].error == (
        "it is damaged (file ends early). Copy it again from the source"
    )
    assert calls[-1] == ("look", 4, 4)


@pytest.mark.parametrize(
    ("image", "blank"),
    [
        (Image.new("RGB", (300, 200), (255, 255, 255)), True),
        (Image.new("L", (64, 64), 7), True),
        (gradient(100, 100), False),
        (
            Image.merge("RGB", [gradient(90, 90).getchannel(0), *[Image.new("L", (90, 90))] * 2]),
            False,
        ),
    ],
)
def test_blank_is_one_colour(image, blank):
    found, _ = looked({"image": encoded(image, quality=60)})
    assert blank_rows(found).tolist() == ([0] if blank else [])


def test_noise_on_one_colour_is_blank_and_small_print_is_not():
    rng = np.random.default_rng(0)
    noisy = np.clip(rng.normal(30, 3, (480, 640, 3)), 0, 255).astype(np.uint8)
    page = np.full((480, 640), 255, np.uint8)
    page[100:130, 100:400:4] = 0
    found, _ = looked(
        {"noisy": encoded(Image.fromarray(noisy)), "page": encoded(Image.fromarray(page))}
    )
    assert blank_rows(found).tolist() == [0]


def with_sides(*sides):
    n = len(sides)
    sizes = np.array([[side, 2 * side] for side in sides], np.int32)
    seen = np.array([side > 0 for side in sides])
    return ImageStats(
        seen,
        sizes,
        np.zeros(n, np.float32),
        np.zeros((n, SIDE, SIDE), np.uint8),
        FileProperties.unread(n),
        (),
    )


def test_tiny_depends_on_the_median_side():
    assert [tiny_side(np.array(sides)) for sides in ([8], [50], [64], [200, 300, 5000])] == [
        4.0, 25.0, 32.0, 37.5,
    ]  # fmt: skip
    rows, side = tiny_rows(with_sides(400, 0, 49, 400, 50, 400))
    assert (rows.tolist(), side) == ([2], 50.0)
    rows, side = tiny_rows(with_sides(0, 0))
    assert (rows.tolist(), side) == ([], None)
    assert tiny_rows(with_sides(8, 8, 8))[0].tolist() == []


def test_properties_come_from_the_content_of_the_files():
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = np.arange(4096, dtype=np.uint16).reshape(64, 64) << 4
    files = {
        "cmyk.jpg": encoded(gradient(60, 50).convert("CMYK")),
        "deep.png": encoded(Image.fromarray(deep), "PNG"),
        "palette.gif": encoded(gradient(60, 50).convert("P"), "GIF"),
        "turned.jpg": encoded(gradient(60, 50), exif=turned),
        "really-png.jpg": encoded(gradient(60, 50), "PNG"),
        "page.pgm": encoded(gradient(60, 50).convert("L"), "PPM"),
        "text.jpg": b"not an image",
        "two.jpg": encoded(
            gradient(60, 50), "MPO", save_all=True, append_images=[gradient(60, 50)]
        ),
    }
    found = looked(files)[0].files
    assert found.formats.tolist() == ["JPEG", "PNG", "GIF", "JPEG", "PNG", "PPM", "", "JPEG"]
    assert found.modes.tolist() == ["CMYK", "I;16", "P", "RGB", "RGB", "L", "", "RGB"]
    assert found.orientations.tolist() == [1, 1, 1, 6, 1, 1, 0, 1]
    sizes = [len(content) for content in files.values()]
    sizes[6] = 0  # the text
    assert found.n_bytes.tolist() == sizes
    assert misnamed_rows(files, found).tolist() == [4]


def test_16_bit_colour_is_named():
    rng = np.random.default_rng(0)
    found = looked({"deep": png(rng.integers(0, 1 << 16, (40, 40, 3), dtype=np.uint16), RGB)})[0]
    assert found.files.modes.tolist() == ["RGB;16"]
