"""A new colour rule: only images with other pixels are embedded again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import embedpipe as ep
from embedpipe._pixels import COLOUR_RULE, OLDER_RULES
from embedpipe.cache.store import _with_digest


def embed(folder: Path, workspace: Path) -> ep.Embeddings:
    return ep.embed(folder, backbone="toy", workspace=workspace)


@pytest.fixture
def mixed(photos: Callable[..., Path]) -> Path:
    """12 photos, a transparent palette, a 12-bit grey, and a photo with a transparent colour."""
    folder = photos(12)
    palette = Image.new("P", (40, 40), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.save(folder / "palette.png", transparency=b"\x80\xff")
    Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64)).save(folder / "deep.tif")
    Image.new("RGB", (40, 40), (9, 8, 7)).save(folder / "key.png", transparency=(9, 8, 7))
    return folder


@pytest.fixture
def older(mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a workspace of the earlier version."""

    def high_byte(image: Image.Image, _: bytes) -> tuple[Image.Image, list[str]]:
        if image.mode.startswith("I;16"):
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        image = image.convert("RGBA") if image.mode == "P" else image.convert("RGB")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"), []

    workspace = tmp_path / "older"
    with monkeypatch.context() as patched:
        patched.setattr("embedpipe.backbones.preprocess.COLOUR_RULE", OLDER_RULES[0])
        patched.setattr("embedpipe._pixels.decoding.to_rgb", high_byte)
        assert embed(mixed, workspace).report.embedded == 15
    return workspace


def test_only_images_with_other_pixels_are_embedded_again(
    mixed: Path, older: Path, tmp_path: Path
) -> None:
    files = {path: path.read_bytes() for path in older.rglob("cache/**/*") if path.is_file()}
    found = embed(mixed, older)
    assert (found.report.embedded, found.report.reused, found.report.failed) == (2, 13, 0)
    assert found.spec.preprocess["colour"] == COLOUR_RULE
    fresh = embed(mixed, tmp_path / "fresh")
    assert np.array_equal(found.matrix, fresh.matrix)
    assert found.spec.id == fresh.spec.id
    assert all(path.read_bytes() == content for path, content in files.items())
    assert embed(mixed, older).report.embedded == 0


def test_the_canary_is_copied_with_the_vectors(mixed: Path, older: Path) -> None:
    (before,) = older.glob("cache/*/canary.json")
    found = embed(mixed, older)
    assert (older / "cache" / found.spec.id / "canary.json").read_bytes() == before.read_bytes()


def test_no_vector_is_copied_if_the_canary_differs(mixed: Path, older: Path) -> None:
    """All vectors of a spec must be compared with the same canary."""
    (canary,) = older.glob("cache/*/canary.json")
    known = json.loads(canary.read_text())["content"]
    known["vectors"] = (np.array(known["vectors"]) * 1.0001).tolist()
    spec_id = embed(mixed, older.with_name("fresh")).spec.id
    own = older / "cache" / spec_id / "canary.json"
    own.parent.mkdir()
    own.write_bytes(_with_digest(known))
    assert embed(mixed, older).report.embedded == 15


def test_changed_files_are_embedded(mixed: Path, older: Path) -> None:
    Image.new("RGB", (40, 40), "blue").save(mixed / "class0" / "0000.jpg")
    assert embed(mixed, older).report.embedded == 3
