"""Image files on which an export is compared with the model."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..datasets import Dataset

__all__ = ["dataset_samples", "made_samples"]

SIZES = ((640, 480), (480, 640), (300, 300), (97, 211), (1200, 500), (64, 64))
"""Widths and heights of made images."""

MADE = 32
"""Number of made images."""

MOST = 200
"""Maximum number of images of a dataset."""

ORIENTATION = 0x0112


def made_samples() -> list[bytes]:
    """Return files of images that are made from fixed random numbers.

    The files differ in size, in the size of details, and in what a reader of images must handle:
    JPEG and PNG, grey, palettes, transparency and EXIF orientations.
    """
    return [_made(number) for number in range(MADE)]


def _made(number: int) -> bytes:
    rng = np.random.default_rng(number)
    width, height = SIZES[number % len(SIZES)]
    image = Image.new("RGB", (width, height), (128, 128, 128))
    for cells in (3, 9, 40):
        part = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(part).resize((width, height), Image.Resampling.BICUBIC)
        image = Image.blend(image, layer, float(rng.uniform(0.2, 0.8)))
    file = io.BytesIO()
    kind = number % 8
    if kind == 4:
        image.putalpha(image.convert("L"))
        image.save(file, "PNG", compress_level=1)
    elif kind == 5:
        image.quantize(64).save(file, "PNG", compress_level=1)
    elif kind == 6:
        image.convert("L").save(file, "JPEG", quality=90)
    else:
        exif = Image.Exif()
        exif[ORIENTATION] = number // 8 * 2 + 1 + kind % 2
        image.save(file, "JPEG", quality=90, exif=exif)
    return file.getvalue()


def dataset_samples(dataset: Dataset, most: int = MOST) -> list[bytes]:
    """Return up to `most` image files of a dataset, evenly spaced, without unreadable files."""
    step = max(1, -(-len(dataset) // most))
    ids = [item.id for item in dataset.items[::step]]
    found = dict(dataset.source.read(ids))
    contents = (found[each] for each in ids)
    return [content for content in contents if isinstance(content, bytes)]


def write_samples(folder: Path, contents: Sequence[bytes]) -> list[Path]:
    """Write image files to a folder."""
    paths = [folder / f"{number}.image" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths
