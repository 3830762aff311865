"""Conversion of every kind of pixel to 8-bit RGB."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import numpy as np
import pytest
from files import GREY, GREY_ALPHA, RGB, RGBA, png, saved, tiff
from PIL import Image

from embedpipe._pixels import DecodeError, decoded, is_plain

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (9, 7, 3)).astype(np.uint8)
COLOUR[0, 0] = 255
WIDE = COLOUR.astype(np.uint16)
FINE = RNG.integers(0, 256, COLOUR.shape).astype(np.uint16)
G8, G16 = COLOUR[..., 0], WIDE[..., 0]
OPAQUE = np.full((9, 7, 1), 65535, np.uint16)


def seen(data: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
    return decoded(data, lambda picture: (np.asarray(picture.rgb), picture.remarks))


def in_bits(samples: np.ndarray, bits: int) -> np.ndarray:
    """Return 8-bit samples as the upper 8 of `bits`, over other low bits."""
    fine = FINE if samples.ndim == 3 else FINE[..., 0]
    return (samples.astype(np.uint16) << (bits - 8)) | (fine >> (16 - bits))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize(
    "encode",
    [
        lambda bits: (png(in_bits(G8, bits), GREY), G8),
        lambda bits: (png(in_bits(COLOUR, bits), RGB), COLOUR),
        lambda bits: (png(np.dstack([in_bits(G8, bits), OPAQUE]), GREY_ALPHA), G8),
        lambda bits: (png(np.dstack([in_bits(COLOUR, bits), OPAQUE]), RGBA), COLOUR),
        lambda bits: (
            png(np.dstack([in_bits(G8, bits), np.full_like(OPAQUE, (1 << bits) - 1)]), GREY_ALPHA),
            G8,
        ),
        lambda bits: (tiff(in_bits(G8, bits)), G8),
        lambda bits: (tiff(in_bits(G8, bits), order=">", deflate=True), G8),
        lambda bits: (tiff(in_bits(G8, bits), order=">", planar=True), G8),
        lambda bits: (tiff(in_bits(G8, bits), photometric=0), 255 - G8),
        lambda bits: (tiff(in_bits(G8, bits).astype(np.uint32)), G8),
        lambda bits: (tiff(in_bits(COLOUR, bits)), COLOUR),
        lambda bits: (tiff(in_bits(COLOUR, bits), order=">"), COLOUR),
        lambda bits: (tiff(in_bits(COLOUR, bits), order=">", deflate=True), COLOUR),
    ],
    ids=[
        "png", "png-rgb", "png-la", "png-rgba", "png-la-deep-alpha", "tiff", "tiff-mm-deflate",
        "tiff-mm-plane", "tiff-inverted", "tiff-32", "tiff-rgb", "tiff-rgb-mm", "tiff-rgb-deflate",
    ],
)  # fmt: skip
def test_deep_samples_keep_the_upper_8_of_their_bits(
    encode: Callable[[int], tuple[bytes, np.ndarray]], bits: int
) -> None:
    data, expected = encode(bits)
    pixels, remarks = seen(data)
    assert np.array_equal(pixels, np.broadcast_to(expected.reshape(9, 7, -1), (9, 7, 3)))
    if bits < 16:
        assert [remark.rpartition(": ")[2] for remark in remarks] == [
            f"they are read as {bits} bits"
        ]


def test_assumed_bits_are_remarks() -> None:
    assert seen(tiff(G16 << 4))[1] == (
        "its values go up to 4,080 in samples of 16 bits: they are read as 12 bits",
    )
    assert seen(png(G16, GREY))[1] == (
        "its values go up to 255 in samples of 16 bits: they are read as 8 bits",
    )
    assert seen(tiff(G16 << 8))[1] == ()
    assert seen(tiff(np.zeros((4, 4), np.uint16)))[1] == ()


def test_a_stated_range_is_used() -> None:
    dark = G16 << 1  # up to 510 of 4,095
    for tag, code in ((281, "H"), (341, "H"), (50717, "I")):
        pixels, remarks = seen(tiff(dark, tags={tag: (code, 4095)}))
        assert np.array_equal(pixels[..., 1], dark >> 4)
        assert remarks == ()
    # Many programs write the largest possible value as the range.
    assert seen(tiff(G16 << 4, tags={281: ("H", 65535)}))[0].max() == 255
    # A PGM states its range, so a dark image stays dark.
    pixels, remarks = seen(b"P5 2 1 4095\n" + np.array([2048, 15], ">u2").tobytes())
    assert (pixels[0, :, 0].tolist(), remarks) == ([128, 0], ())


def test_signed_and_floating_samples() -> None:
    assert np.array_equal(seen(tiff(G8.astype(np.int16) << 7))[0][..., 0], G8)
    pixels, remarks = seen(tiff(np.array([[-1000, 0, 3000]], np.int16)))
    assert pixels[0, :, 0].tolist() == [0, 64, 255]
    assert remarks == ("its range is not stated: -1000 becomes black and 3000 white",)
    unit = (G8 / 255).astype(np.float32)
    for data, expected in (
        (tiff(unit), G8),
        (tiff(unit, order=">"), G8),
        (tiff(unit, photometric=0), 255 - G8),
    ):
        assert np.array_equal(seen(data)[0][..., 0], expected)
        assert seen(data)[1] == ()
    pixels, remarks = seen(tiff(np.array([[10, 200, 100]], np.float32)))
    assert (pixels[0, :, 0].tolist(), len(remarks)) == ([10, 200, 100], 1)
    stated = tiff(np.array([[20, 240]], np.float32), tags={340: ("f", 0.0), 341: ("f", 400.0)})
    assert (seen(stated)[0][0, :, 0].tolist(), seen(stated)[1]) == ([13, 153], ())
    pixels, remarks = seen(tiff(np.array([[np.nan, np.inf, 1.0]], np.float32)))
    assert pixels[0, :, 0].tolist() == [0, 0, 255]
    assert remarks == ("it has values that are not finite; they become black",)


def test_planes_of_16_bits() -> None:
    for order in "<>":
        for deflate in (False, True):
            data = tiff(in_bits(COLOUR, 16), order=order, deflate=deflate, planar=True)
            assert np.array_equal(seen(data)[0], COLOUR)
    with pytest.raises(DecodeError, match="it has 16-bit samples in separate planes"):
        seen(tiff(in_bits(COLOUR, 12), planar=True))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_png(depth: int) -> None:
    largest = (1 << depth) - 1
    values = np.arange(16).reshape(4, 4) * largest // 15
    for key in {0, largest // 3, largest} & set(values.ravel().tolist()):
        shown = values * 255 // largest if depth <= 8 else values >> 8
        pixels, _ = seen(png(values, GREY, depth, (key,)))
        assert np.array_equal(pixels[..., 2], np.where(values == key, 255, shown))


@pytest.mark.parametrize("depth", [8, 16])
def test_the_transparent_colour_of_a_png(depth: int) -> None:
    values = np.full((4, 4, 3), (10, 20, 30), np.uint16)
    values[0, 0] = (10, 20, 31)
    values[3, 3] = (1 << depth) - 1
    pixels, _ = seen(png(values, RGB, depth, (10, 20, 30)))
    assert (pixels[1:3] == 255).all()
    assert pixels[0, 0].tolist() == ([10, 20, 31] if depth == 8 else [0, 0, 0])


def test_a_transparent_value_does_not_widen_the_range() -> None:
    deep = G16 << 4
    deep[2, 2] = 65535
    pixels, remarks = seen(png(deep, GREY, 16, (65535,)))
    expected = G8.copy()
    expected[2, 2] = 255
    assert np.array_equal(pixels[..., 0], expected)
    assert remarks == ("its values go up to 4,080 in samples of 16 bits: they are read as 12 bits",)
    colours = WIDE << 4
    colours[2, 2] = 65535
    pixels, remarks = seen(png(colours, RGB, 16, (65535,) * 3))
    assert pixels[2, 2].tolist() == [255, 255, 255]
    assert np.array_equal(pixels[3:], COLOUR[3:])
    assert len(remarks) == 1


@pytest.mark.parametrize("orientation", [0, 9, 6, 8])
def test_only_valid_orientations_turn_an_image(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(COLOUR), "PNG", exif=exif)
    size, pixels = decoded(data, lambda picture: (picture.size, np.asarray(picture.rgb)))
    turns = {6: -1, 8: 1}.get(orientation, 0)
    assert size == ((9, 7) if turns else (7, 9))
    assert np.array_equal(pixels, np.rot90(COLOUR, turns))


def test_alpha_of_every_mode_is_over_white() -> None:
    half = np.full((4, 4), 128, np.uint8)
    grey = np.full((4, 4), 50, np.uint8)
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([50, 50, 50, 9, 9, 9])
    over, premultiplied = [152] * 3, [177] * 3
    for data, expected in (
        (tiff(np.dstack([grey, half]), photometric=1, extra=2), over),
        (tiff(np.dstack([grey, half]), photometric=1, extra=1), premultiplied),
        (tiff(np.dstack([grey] * 3 + [half]), extra=2), over),
        (tiff(np.dstack([grey] * 3 + [half]), extra=1), premultiplied),
        (saved(palette, "PNG", transparency=b"\x80\xff"), over),
        (saved(Image.new("RGBA", (4, 4), (50, 50, 50, 128)), "WEBP", lossless=True), over),
        (saved(Image.new("LA", (4, 4), (50, 128)), "PNG"), over),
    ):
        assert seen(data)[0][2, 2].tolist() == expected
    pixels, remarks = seen(saved(Image.new("RGBA", (4, 4), (1, 2, 3, 0)), "PNG"))
    assert (pixels == 255).all()
    assert remarks == ("it is fully transparent and becomes white",)


def test_lab_inks_and_inverted_greys() -> None:
    lab = seen(saved(Image.new("LAB", (4, 4), (200, 128, 128)), "TIFF"))[0][0, 0]
    assert np.abs(lab.astype(int) - 194).max() <= 1
    cyan = Image.new("CMYK", (4, 4), (255, 0, 0, 0))
    assert seen(saved(cyan, "TIFF"))[0][0, 0].tolist() == [0, 255, 255]
    assert np.array_equal(seen(tiff(G8, photometric=0))[0][..., 0], 255 - G8)


KINDS = {
    "12 bits": tiff(in_bits(G8, 12)),
    "12 bits of colour": png(in_bits(COLOUR, 12), RGB),
    "transparent grey": png(in_bits(G8, 16), GREY, 16, (int(in_bits(G8, 16)[3, 3]),)),
    "transparent colour": png(COLOUR, RGB, 8, tuple(COLOUR[4, 4].tolist())),
    "float": tiff((G8 / 300).astype(np.float32)),
    "inverted": tiff(in_bits(G8, 12), photometric=0),
    "premultiplied": tiff(np.dstack([G8 // 2, np.full_like(G8, 128)]), photometric=1, extra=1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_all_views_show_the_same_pixels(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from embedpipe.backbones import Preprocess, decode
    from embedpipe.checks.image_stats import SHRUNKEN, SIDE, _Stats, _stats_of_file
    from embedpipe.datasets.corruptions import _pixels
    from embedpipe.labelling import terminal
    from embedpipe.reports import make_thumbnail

    data = KINDS[kind]
    expected, _, _ = decode(data, Preprocess((9, 7), (9, 7), "nearest", (0,) * 3, (1,) * 3))
    assert expected.std() > 20
    thumbnail = make_thumbnail(data)
    assert thumbnail is not None
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(thumbnail))), expected)
    assert np.array_equal(_pixels(data), expected)
    monkeypatch.setattr(terminal, "MIN_SIDE", 9)
    text = terminal.inline_image(data, "iterm2")
    assert text is not None
    shown = base64.b64decode(text.split(":")[1].rstrip("\a"))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown))), expected)
    look = _stats_of_file("a", data)
    assert isinstance(look, _Stats)
    small = Image.fromarray(expected).resize((SHRUNKEN,) * 2, Image.Resampling.BOX).convert("L")
    assert np.array_equal(look.grey, small.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    assert not is_plain(data)  # or the page would send the file


def test_plain_files() -> None:
    image = Image.fromarray(COLOUR)
    for kind in ("JPEG", "PNG", "WEBP", "GIF"):
        assert is_plain(saved(image, kind))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert is_plain(saved(image, "JPEG", exif=exif))
    assert not is_plain(saved(image, "PNG", exif=exif))
    assert not is_plain(saved(image, "JPEG", icc_profile=b"a profile"))
    assert not is_plain(saved(image.convert("CMYK"), "JPEG"))
    frames = [Image.new("L", (4, 4), level) for level in (0, 255)]
    assert not is_plain(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))


def test_large_images_are_converted_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [seen(data)[0] for data in KINDS.values()]
    monkeypatch.setattr("embedpipe._pixels.rgb.STRIP", 14)
    monkeypatch.setattr("embedpipe._pixels.deep.STRIP", 14)
    for pixels, data in zip(whole, KINDS.values(), strict=True):
        assert np.array_equal(seen(data)[0], pixels)
