"""The command ``check``: its JSON, its text, and its errors in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import embedpipe as ep
from embedpipe.cli.main import app
from embedpipe.labels import Event


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs the command with a workspace of its own."""
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "workspace"))

    def run(*arguments: object) -> tuple[int, str, str]:
        words = ["check", *map(str, arguments), "--backbone", "toy"]
        result = CliRunner().invoke(app, words)
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture
def shop(photos: Callable[..., Path]) -> Path:
    """30 photos of three classes, with a copy, a blank image and a damaged file."""
    folder = photos(30)
    (folder / "class0" / "same.jpg").write_bytes((folder / "class0" / "0000.jpg").read_bytes())
    Image.new("RGB", (40, 32), "white").save(folder / "class1" / "white.jpg")
    (folder / "class2" / "broken.jpg").write_bytes(b"no image")
    return folder


def test_json_output(call: Callable[..., tuple[int, str, str]], shop: Path) -> None:
    status, out, _ = call(shop, "--json", "--quiet")
    assert (status, out.count("\n")) == (0, 1)
    result = json.loads(out)
    assert {"duplicates", "outliers", "label_errors", "failed"} <= set(result)
    assert result["items"] == 32
    assert result["duplicates"] == [
        {"items": ["class0/0000.jpg", "class0/same.jpg"], "labels": ["class0"]}
    ]
    assert [entry["id"] for entry in result["blank"]] == ["class1/white.jpg"]
    assert result["failed"] == [
        {
            "id": "class2/broken.jpg",
            "path": str(shop / "class2/broken.jpg"),
            "stage": "decode",
            "error": "it is not an image in a supported format",
        }
    ]
    assert result["imbalance"]["classes"] == {"class0": 11, "class1": 11, "class2": 10}
    assert result["not_checked"] == {"leakage": "the dataset has fewer than two splits"}
    assert result["remarks"] == []


def test_remarks_on_files_are_repeated_in_each_run(
    call: Callable[..., tuple[int, str, str]], shop: Path
) -> None:
    deep = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    for number in range(6):
        Image.fromarray(np.roll(deep, number)).save(shop / "class0" / f"deep{number}.tif")
    remark = "its values go up to 4,095 in samples of 16 bits: they are read as 12 bits"
    for _ in range(2):
        result = json.loads(call(shop, "--json", "--quiet")[1])
        assert result["remarks"] == [
            {"path": f"class0/deep{number}.tif", "remark": remark} for number in range(6)
        ]
    status, out, err = call(shop)
    lines = out.splitlines()
    start = lines.index("    6  remarks on readable images")
    assert lines[start + 1] == f"         class0/deep0.tif: {remark}"
    assert lines[start + 6] == "         … and 1 more"
    assert (status, "Warning" in err) == (0, False)
    again = json.loads(call(shop, "--json", "--quiet")[1])
    del result["seconds"], again["seconds"]
    assert again == result


def test_text_output(call: Callable[..., tuple[int, str, str]], shop: Path, tmp_path: Path) -> None:
    page = tmp_path / "checks.html"
    status, out, err = call(shop, "--report", page)
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "    1  groups of files with the same bytes"
    assert lines[1] == "         class0/0000.jpg  class0/same.jpg"
    assert "    1  blank images" in lines
    assert "         class1/white.jpg: 40 x 32" in lines
    assert "         class2/broken.jpg: it is not an image in a supported format" in lines
    assert (
        "    –  groups of copies in more than one split: not checked, the dataset has fewer than "
        "two splits"
    ) in lines
    assert "    3  classes: class0 has 11 items, class2 10 (ratio 1.1)" in lines
    assert lines[-1] == f"report: {page}"
    assert "class1/white.jpg" in page.read_text()
    assert "`class2/broken.jpg` is not an image in a supported format." in err


def test_labels_of_a_file_and_no_pixels(
    call: Callable[..., tuple[int, str, str]], shop: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.csv"
    rows = [f"class{n % 3}/{n:04d}.jpg,{'xy'[n % 2]}" for n in range(20)]
    labels.write_text("\n".join(["path,label", *rows]))
    status, out, _ = call(shop, "--labels", labels, "--no-pixels", "--json", "--quiet")
    assert status == 0
    result = json.loads(out)
    assert result["imbalance"]["classes"] == {"x": 10, "y": 10}
    assert result["blank"] == []
    assert result["not_checked"]["blank"] == "the images were not read"


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ("xxxx", "    –  likely wrong labels: not checked, there is only one class"),
        (
            "xyz",
            "    –  likely wrong labels: not checked, each of the 3 classes has only one distinct "
            "image; two are needed",
        ),
        (
            "xyxyz",
            "likely wrong labels (4 of 5 checked; 1 without a second image of their class)",
        ),
    ],
)
def test_unchecked_labels_are_not_counted(
    call: Callable[..., tuple[int, str, str]], shop: Path, tmp_path: Path, names: str, line: str
) -> None:
    labels = tmp_path / "labels.csv"
    rows = [f"class{n % 3}/{n:04d}.jpg,{name}" for n, name in enumerate(names)]
    labels.write_text("\n".join(["path,label", *rows]))
    status, out, _ = call(shop, "--labels", labels, "--no-pixels")
    assert status == 0
    assert any(each.endswith(line) for each in out.splitlines())


def test_labels_of_the_log_if_the_dataset_has_none(
    call: Callable[..., tuple[int, str, str]], shop: Path, tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for file in shop.rglob("*.jpg"):
        file.rename(flat / f"{file.parent.name}-{file.name}")
    result = json.loads(call(flat, "--json", "--quiet")[1])
    assert result["not_checked"]["label_errors"] == "there are no labels"
    labels = {"class0-0000.jpg": "hat", "class0-same.jpg": "shoe", "class1-white.jpg": "hat"}
    with ep.LabelLog(tmp_path / "workspace" / "labels.sqlite") as log:
        name = ep.load_dataset(str(flat)).name
        log.append([Event("label", name, path, label=label) for path, label in labels.items()])
    result = json.loads(call(flat, "--json", "--quiet")[1])
    assert "label_errors" not in result["not_checked"]
    assert result["imbalance"]["classes"] == {"hat": 2, "shoe": 1}
    assert result["duplicates"] == [
        {"items": ["class0-0000.jpg", "class0-same.jpg"], "labels": ["hat", "shoe"]}
    ]


def test_wrong_options_are_an_error_in_one_line(
    call: Callable[..., tuple[int, str, str]], shop: Path, tmp_path: Path
) -> None:
    assert call(shop, "--index", "flat") == (
        2,
        "",
        "embedpipe: unknown kind of index 'flat': give exact, ivf or hnsw.\n",
    )
    missing = tmp_path / "none.csv"
    assert call(shop, "--labels", missing) == (
        1,
        "",
        f"embedpipe: there is no label file at {missing}.\n",
    )
