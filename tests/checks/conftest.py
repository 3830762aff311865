"""Different JPEGs, and copies of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import embedpipe as ep


def draw(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Return a picture with large and small shapes that differs from that of every other seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    for _ in range(6):
        side = int(rng.integers(8, 40))
        at = int(rng.integers(size[0] - side)), int(rng.integers(size[1] - side))
        colour = tuple(rng.integers(0, 256, 3).tolist())
        picture.paste(Image.new("RGB", (side, side), colour), at)
    return picture


COPIES: dict[str, tuple[str, Callable[[Image.Image, Path], None]]] = {
    "train/a/recompressed.jpg": ("train/b/001.jpg", lambda image, to: image.save(to, quality=30)),
    "train/a/smaller.jpg": ("train/a/002.jpg", lambda image, to: image.resize((80, 60)).save(to)),
    "train/a/cut.jpg": ("train/b/003.jpg", lambda image, to: image.crop((8, 0, 160, 114)).save(to)),
    "train/a/lossless.png": ("test/a/004.jpg", lambda image, to: image.save(to)),
}
"""Near duplicates by path: the original, and a function that writes the copy."""


@pytest.fixture(scope="session")
def copies() -> dict[str, str]:
    """The near duplicates in `folder`, and their originals."""
    return {name: source for name, (source, _) in COPIES.items()}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 photos of two classes in two splits, copies, and damaged, blank and tiny files."""
    root = tmp_path_factory.mktemp("shop")
    for number in range(80):
        split, label = ("test" if number % 4 == 0 else "train"), "ab"[number % 2]
        path = root / split / label / f"{number:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(number).save(path, quality=92)
    for name, (source, make) in COPIES.items():
        with Image.open(root / source) as image:
            make(image, root / name)
    original = (root / "train/b/005.jpg").read_bytes()
    (root / "test/a/same.jpg").write_bytes(original)
    Image.new("RGB", (160, 120), (250, 250, 250)).save(root / "train/a/white.jpg")
    draw(500, (50, 200)).resize((12, 48)).save(root / "train/a/tiny.jpg")
    (root / "train/a/broken.jpg").write_bytes(b"not an image")
    (root / "train/a/half.jpg").write_bytes(original[:2000])
    return root


@pytest.fixture(scope="session")
def embeddings(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ep.Embeddings:
    """Embeddings of the photos in `folder` with the toy backbone."""
    return ep.embed(folder, backbone="toy", workspace=tmp_path_factory.mktemp("workspace"))
