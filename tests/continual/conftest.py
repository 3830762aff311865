from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embedpipe as ep
from embedpipe.continual import Stream
from embedpipe.embedding import Embeddings


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Embeddings:
    workspace = tmp_path_factory.mktemp("digits")
    return ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=workspace)


@pytest.fixture(scope="session")
def drifting() -> Callable[..., Stream]:
    """Return a function that makes four experiences of three drifting classes."""

    def make(seed: int = 0, **options: Any) -> Stream:
        rng = np.random.default_rng([7, seed])
        labels = rng.integers(3, size=240)
        buckets = np.repeat(np.arange(4), 60)
        centres = rng.standard_normal((3, 6)) * 1.5 + np.zeros((4, 1, 6))
        centres = centres + rng.standard_normal((4, 3, 6)) * 0.8  # (4, 3, 6)
        matrix = centres[buckets, labels] + rng.standard_normal((240, 6))
        names = np.array(["hat", "shoe", "sock"])[labels]
        return Stream.from_arrays(matrix, names, buckets, seed=seed, name="drift", **options)

    return make


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes images and a manifest of bucket, label and split."""

    def make(rows: list[tuple[str, str, str]]) -> Path:
        from PIL import Image

        lines = ["path,label,split,bucket"]
        for number, (bucket, label, split) in enumerate(rows):
            rng = np.random.default_rng(number)
            picture = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
            picture.save(tmp_path / f"{number}.png")
            lines.append(f"{number}.png,{label},{split},{bucket}")
        (tmp_path / "items.csv").write_text("\n".join(lines))
        return tmp_path / "items.csv"

    return make
