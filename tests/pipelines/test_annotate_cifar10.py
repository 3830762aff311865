"""Labelling CIFAR-10, with typed and with simulated answers."""

from __future__ import annotations

import csv
import io
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CLASSES = ("airplane", "bird", "cat")


Run = Callable[..., tuple[str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the pipeline in a folder, and returns its output."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object, typed: str = "") -> tuple[str, str]:
        options = [*map(str, arguments), "--workspace", "w", "--backbone", "toy"]
        program = REPOSITORY / "pipelines" / "annotate_cifar10.py"
        monkeypatch.setattr(sys, "argv", [program.name, *options, "--output", "out"])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
        runpy.run_path(str(program), run_name="__main__")
        captured = capsys.readouterr()
        return captured.out, captured.err

    return call


def make_images(root: Path, train: int, test: int) -> Path:
    """Make images of three classes with different colours, in the folders of CIFAR-10."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("test", test)):
        for code, name in enumerate(CLASSES):
            for number in range(count):
                pixels = rng.normal(60, 25, (32, 32, 3))
                pixels[..., code] += 120
                path = root / split / name / f"{number:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return root


def test_simulated_and_typed_answers(run: Run, tmp_path: Path) -> None:
    images = make_images(tmp_path / "cifar", train=12, test=5)
    options = ["--batch-size", 3, "--rounds", 2, "--initial-size", 6]
    out, _ = run(images, *options, "--simulate")
    rounds = re.findall(
        r"round (\d): (\d+) labels, classes: (\d+),.* ([\d.]+) on the (\d+) test images, .* s\n",
        out,
    )
    assert [(number, labelled, classes) for number, labelled, classes, _, _ in rounds] == [
        ("0", "6", "3"), ("1", "9", "3"), ("2", "12", "3"),
    ]  # fmt: skip
    assert (rounds[-1][3], rounds[-1][4]) == ("1.000", "15")
    with (tmp_path / "out" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    for row in rows:
        assert row["path"].split("/")[:2] == ["train", row["label"]]  # none of the test images
    assert (tmp_path / "out" / "head.safetensors").exists()
    assert not (tmp_path / "w" / "labels.sqlite").exists()

    out, err = run(images, *options, typed="1\n3\nq\n")  # without the simulated labels
    questions = re.findall(r"round 0, (\d) of 6: (.*)\n", err)
    assert [number for number, _ in questions] == ["1", "2", "3"]
    assert all(re.fullmatch(r"train/…/\d{4}\.png", path) for _, path in questions)
    assert "  1 airplane  2 bird  3 cat\n" in err
    assert "\n2 labels: " in out
