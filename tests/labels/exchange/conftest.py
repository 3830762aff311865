"""A dataset that is hard to exchange, and how each format is written."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedpipe.labels.exchange import Labelled, formats

CLASSES = (
    "hat",
    "t-shirt",
    "Größe 38",
    "帽子",
    'so-called "hat"',
    "a, b",
    "and/or",
    ".hidden",
    "_unlabeled",
    "50% off %2F",
    "back\\slash: c",
    "__MACOSX",
)


@pytest.fixture(scope="session")
def items() -> list[Labelled]:
    """Twelve classes, doubled base names, every status."""
    labelled = [
        Labelled("one/img_001.jpg", CLASSES[0], who="ann"),
        Labelled("two/img_001.jpg", CLASSES[1], "label", CLASSES[0], 0.625, "ann", "logistic-20"),
        Labelled("two/three/img_001.jpg", CLASSES[2], prediction=CLASSES[2], score=1.0),
        Labelled("größe 帽/ä ö.png", CLASSES[3]),
        Labelled('q/it\'s "quoted", yes.jpg', CLASSES[4]),
        Labelled("root.JPEG", CLASSES[5]),
        Labelled("p/100%25 %2F.jpg", CLASSES[6]),
        Labelled("p/a:b;c=d&e#f?g+h.jpg", CLASSES[7]),
        Labelled(r"p/caf\xe9.jpg", CLASSES[8]),
        Labelled(".cache/.x.png", CLASSES[9]),
        Labelled("_unlabeled/=1+1.png", CLASSES[10]),
        Labelled("p/ spaces .png", CLASSES[11]),
    ]
    return [
        *labelled,
        Labelled("s/skipped.jpg", status="skip", who="bob"),
        Labelled("s/unsure.jpg", status="unsure", who="bob"),
        Labelled("s/rather.jpg", "hat", status="unsure"),
        Labelled("s/guessed.jpg", prediction="a, b", score=0.25, model="größe 帽"),
        Labelled("s/silent.jpg"),
    ]


@pytest.fixture(scope="session")
def open_image() -> Callable[[str], bytes]:
    """Give each path an image of a colour of its own."""

    def read(path: str) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (4, 3), (sum(path.encode()) % 256, len(path), 7)).save(file, "PNG")
        return file.getvalue()

    return read


Export = Callable[[str, Path, list[Labelled]], Path]


@pytest.fixture(scope="session")
def export(open_image: Callable[[str], bytes]) -> Export:
    """Return a function that writes a format into a folder, with what the format needs."""

    def write(name: str, folder: Path, items: list[Labelled]) -> Path:
        options = {}
        if name == "lightly":
            options["embeddings"] = np.random.default_rng(0).normal(size=(len(items), 3))
        path = folder / f"labels{formats[name].suffix}"
        return formats[name].write(path, items, open_image, **options)

    return write
