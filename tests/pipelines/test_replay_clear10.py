"""The study of replay on CLEAR: on a tree of images, on its shipped vectors, and on digits."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import processes

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def run(folder: Path, *arguments: object) -> str:
    program = REPOSITORY / "pipelines" / "replay_clear10.py"
    line = [sys.executable, str(program), *map(str, arguments), "--workspace", str(folder / "w")]
    done = processes.run(line, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree in the new layout: three buckets of two classes whose colours drift."""
    import torch

    root = tmp_path_factory.mktemp("clear") / "CLEAR10"
    rng = np.random.default_rng(0)
    for half, count in (("train", 8), ("test", 4)):
        metadata: dict[str, dict[str, str]] = {}
        features: dict[str, dict[str, str]] = {}
        for bucket in ("1", "2", "3"):
            for code, name in enumerate(("bus", "dress")):
                listed, vectors = {}, {}
                for number in range(count):
                    key = f"{half}{bucket}{code}{number}"
                    path = root / half / "labeled_images" / bucket / name / f"{key}.jpg"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    colour = np.array([180 * code, 40 * int(bucket), 90]) + np.zeros((12, 12, 3))
                    noisy = np.clip(colour + rng.normal(0, 30, colour.shape), 0, 255)
                    Image.fromarray(noisy.astype(np.uint8)).save(path)
                    listed[key] = {"IMG_PATH": str(path.relative_to(root / half))}
                    vectors[key] = torch.tensor([float(code), int(bucket) / 9, rng.normal()])
                place = f"labeled_metadata/{bucket}/{name}.json"
                write(root / half / place, json.dumps(listed))
                metadata.setdefault(bucket, {})[name] = place
                vector_file = root / half / "features" / "moco_b0" / bucket / f"{name}.pth"
                vector_file.parent.mkdir(parents=True, exist_ok=True)
                torch.save(vectors, vector_file)
                place = str(vector_file.relative_to(root / half))
                features.setdefault(bucket, {})[name] = place
        write(root / half / "labeled_metadata.json", json.dumps(metadata))
        write(root / half / "class_names.txt", "bus\ndress\n")
        write(root / half / "features" / "moco_b0" / "features.json", json.dumps(features))
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.slow
def test_clear_images_and_features(tree: Path, tmp_path: Path) -> None:
    options = ["--seeds", 2, "--policies", "random", "el2n", "--workers", 0, "--retain", 0.25]
    printed = run(tmp_path, tree, "--backbone", "toy", "--output", "images.html", *options)
    assert re.search(r"^ *el2n, 25 % +[12] of 2 +[\d.]+ ", printed, re.MULTILINE)
    assert re.search(r"^ *joint +[12] of 2 +–", printed, re.MULTILINE)
    assert "<title>" in (tmp_path / "images.html").read_text(encoding="utf-8")
    printed = run(tmp_path, tree, "--features", "--output", "features.html", *options)
    assert printed.startswith("clear10-features; logistic; 2 seeds\n")
    streamed = run(tmp_path, tree, "--features", "--protocol", "streaming", *options)
    assert "clear_next_domain" in streamed


def test_digits_as_a_stream(tmp_path: Path) -> None:
    printed = run(
        tmp_path, "digits", "--stream", "order", "--experiences", 4, "--seeds", 2, "--backbone",
        "toy", "--policies", "random", "margin", "--retain", 0.05, "--heads", "logistic", "slda",
    )  # fmt: skip
    assert printed.startswith("digits-order4; logistic; 2 seeds\n")
    assert "digits-order4; slda; 2 seeds\n" in printed
    assert (tmp_path / "replay.html").exists()
