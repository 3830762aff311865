"""HEIC and AVIF: upright once, and remedies where an installation lacks a decoder."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from embedpipe._pixels import DecodeError, Picture, decoded, opening
from embedpipe.datasets import layout, load_dataset
from embedpipe.errors import DatasetError

SUFFIXES = {"HEIF": ".heic", "AVIF": ".avif"}
RED, GREEN = (220, 30, 30), (30, 200, 40)
UPRIGHT = {1: "left", 3: "right", 6: "top", 8: "bottom"}
"""Side of the red half of the upright image, by EXIF orientation; stored, it is on the left."""


@pytest.fixture(autouse=True)
def _fresh_caches(monkeypatch):
    pillow_heif.register_heif_opener()  # to write files
    yield
    monkeypatch.undo()
    clear_caches()


def clear_caches():
    for function in (opening.can_read, opening._formats, layout.image_suffixes):
        if hasattr(function, "cache_clear"):
            function.cache_clear()


def halves(kind: str, orientation: int = 1, size=(96, 64), **options) -> bytes:
    """Return an encoded image with a red left half and a green right half."""
    image = Image.new("RGB", size, GREEN)
    image.paste(RED, (0, 0, size[0] // 2, size[1]))
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    image.save(buffer, kind, quality=90, exif=exif.tobytes(), **options)
    return buffer.getvalue()


def keep(picture: Picture) -> Picture:
    """Return a picture whose image is not closed."""
    return replace(picture, rgb=picture.rgb.copy())


def red_side(image: Image.Image) -> str:
    pixels = np.asarray(image).astype(int)  # (h, w, 3)
    height, width = pixels.shape[:2]
    sides = {
        "left": pixels[:, : width // 4],
        "right": pixels[:, -width // 4 :],
        "top": pixels[: height // 4],
        "bottom": pixels[-height // 4 :],
    }
    is_red = {name: side.reshape(-1, 3).mean(axis=0)[0] > 180 for name, side in sides.items()}
    (side,) = [name for name, red in is_red.items() if red]
    return side


@pytest.mark.parametrize("kind", SUFFIXES)
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_images_are_turned_exactly_once(kind: str, orientation: int) -> None:
    picture: Picture = decoded(halves(kind, orientation), keep)
    turned = orientation in (6, 8)
    assert picture.size == ((64, 96) if turned else (96, 64))
    assert picture.rgb.size == picture.size
    assert red_side(picture.rgb) == UPRIGHT[orientation]
    assert (picture.format, picture.mode, picture.remarks) == (kind, "RGB", ())


def test_transparent_heic_is_over_white() -> None:
    image, buffer = Image.new("RGBA", (32, 32), (255, 0, 0, 0)), io.BytesIO()
    image.save(buffer, "HEIF", quality=-1)
    pixels = decoded(buffer.getvalue(), lambda picture: np.asarray(picture.rgb))
    assert (pixels == 255).all()


@pytest.mark.parametrize("kind", SUFFIXES)
def test_damaged_files_fail_with_one_line(kind: str) -> None:
    data = halves(kind, size=(640, 480))
    for broken in (data[: len(data) // 2], data[:40]):
        with pytest.raises(DecodeError) as caught:
            decoded(broken, lambda picture: None)
        reason = str(caught.value)
        assert reason.startswith("it is damaged (")
        assert reason.endswith("Copy it again from the source")
        assert "\n" not in reason


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, kind in enumerate(SUFFIXES):
        (tmp_path / f"phone{SUFFIXES[kind]}").write_bytes(halves(kind, 6))
        (tmp_path / f"IMG_{number}{SUFFIXES[kind].upper()}").write_bytes(halves(kind))
    return tmp_path


def test_they_are_items_of_a_folder_and_an_archive(folder: Path, tmp_path_factory, pack) -> None:
    dataset = load_dataset(folder)
    ids = ["IMG_0.HEIC", "IMG_1.AVIF", "phone.avif", "phone.heic"]
    assert ([item.id for item in dataset.items], dataset.skipped) == (ids, {})
    assert {item.id: image.size for item, image in dataset.images()}["phone.heic"] == (64, 96)
    assert [item.id for item in load_dataset(pack(folder, ".zip")).items] == ids


@pytest.mark.parametrize(
    ("kind", "install"),
    [("HEIF", "pip install 'embedpipe[heif]'"), ("AVIF", "pip install --upgrade pillow")],
)
def test_without_a_decoder_they_are_skipped_with_the_remedy(
    folder: Path, kind: str, install: str, monkeypatch
) -> None:
    clear_caches()
    readable = opening.can_read
    lacking = lambda name: name != kind and readable(name)  # noqa: E731
    monkeypatch.setattr(opening, "can_read", lacking)
    monkeypatch.setattr(layout, "can_read", lacking)
    layout.image_suffixes.cache_clear()
    suffix = SUFFIXES[kind]
    dataset = load_dataset(folder)
    assert (len(dataset), dataset.skipped) == (2, {suffix: 2})
    remedy = f"`{install}` to read it, or convert it to JPEG"
    assert layout.remedy_for(suffix) == remedy
    for item in dataset.items:
        (folder / item.id).unlink()
    with pytest.raises(DatasetError) as caught:
        load_dataset(folder)
    assert str(caught.value).endswith(f"found 2 {suffix}. For {suffix} files: {remedy}.")
    opening._formats.cache_clear()
    monkeypatch.setattr(
        Image, "OPEN", {name: entry for name, entry in Image.OPEN.items() if name != kind}
    )
    with pytest.raises(DecodeError) as unread:
        decoded((folder / f"phone{suffix}").read_bytes(), lambda picture: None)
    assert str(unread.value) == f"it is {opening.NAMES[kind]}: {remedy}"
