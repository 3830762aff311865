"""The commands `train` and `predict`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome, read_csv


def test_train_and_predict(
    call: Callable[..., Outcome], photos: Callable[..., Path], labels: Path, tmp_path: Path
) -> None:
    folder, head, output = photos(12), tmp_path / "head.safetensors", tmp_path / "all.csv"
    trained = call("train", folder, "--labels", labels, "--output", head, "--json").json()
    assert next(iter(trained)) == "accuracy"
    assert (trained["labelled"], trained["classes"]) == (6, ["a", "b", "c"])
    assert trained["output"] == str(head)
    low, high = trained["expected_accuracy_ci"]
    assert 0 < low < trained["expected_accuracy"] < high < 1
    assert trained["choice"].startswith("learned from the unlabelled images too")
    text = call("train", folder, "--labels", labels, "--output", head, "--quiet").out
    assert text.splitlines()[-2] == f"the model {trained['choice']}"
    assert text.splitlines()[-1] == (
        f"expected accuracy {100 * trained['expected_accuracy']:.0f} % "
        f"({100 * low:.0f} to {100 * high:.0f} %) on the images without a label"
    )
    result = call("predict", folder, "--model", head, "--output", output, "--json").json()
    assert list(result) == [
        "accuracy", "items", "left_out", "output", "judged", "accuracy_note", "zero_shot",
    ]  # fmt: skip
    rows = read_csv(output)
    assert len(rows) == 12
    for row in rows:
        shares = {name: float(row[f"probability_{name}"]) for name in "abc"}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert row["label"] == max(shares, key=lambda name: shares[name])
        assert float(row["confidence"]) == max(shares.values())


def test_predict_prints_predictions_of_image_files(
    call: Callable[..., Outcome], photos: Callable[..., Path], labels: Path, tmp_path: Path
) -> None:
    folder, head = photos(12), tmp_path / "head.safetensors"
    assert call("train", folder, "--labels", labels, "--output", head).status == 0
    one = folder / "class0" / "0003.jpg"
    many = sorted((folder / "class0").glob("*.jpg"))
    result = call("predict", one, "--model", head, "--json", "--quiet").json()
    (prediction,) = result["predictions"]
    assert (prediction["id"], prediction["path"]) == ("0003.jpg", str(one))
    assert prediction["label"] == "a"  # it is one of the labelled images
    assert (result["accuracy"], result["items"], result["output"]) == (None, 1, None)
    lines = call("predict", *many, "--model", head, "--quiet").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [path.name for path in many]
    share = f"{prediction['confidence']:.4f}"
    assert lines[1].split("\t") == ["0003.jpg", "a", share]
    call("predict", *many, "--model", head, "--output", tmp_path / "some.csv", "--quiet")
    assert [row["path"] for row in read_csv(tmp_path / "some.csv")] == [p.name for p in many]
    assert call("predict", one, folder / "no.jpg", "--model", head).error() == (
        1,
        f"embedpipe: No file at `{folder / 'no.jpg'}`.",
    )


def test_a_single_damaged_file_is_named_by_its_path(
    call: Callable[..., Outcome], photos: Callable[..., Path], labels: Path, tmp_path: Path
) -> None:
    folder, head = photos(12), tmp_path / "head.safetensors"
    assert call("train", folder, "--labels", labels, "--output", head).status == 0
    damaged = folder / "class0" / "damaged.jpg"
    damaged.write_bytes(b"no image")
    assert call("predict", damaged, "--model", head, "--quiet").error() == (
        1,
        f"embedpipe: `{damaged}` is not an image in a supported format.",
    )
    other = damaged.with_name("other.jpg")
    other.write_bytes(b"")
    assert call("predict", damaged, other, "--model", head, "--quiet").error() == (
        1,
        "embedpipe: none of the 2 images could be embedded. `damaged.jpg` is not an image in a "
        "supported format.",
    )


def test_images_are_given_by_a_pattern_or_on_standard_input(
    call: Callable[..., Outcome], photos: Callable[..., Path], labels: Path, tmp_path: Path
) -> None:
    folder, head = photos(12), tmp_path / "head.safetensors"
    assert call("train", folder, "--labels", labels, "--output", head).status == 0
    found = call("predict", folder / "**" / "00*[02].jpg", "--model", head, "--json", "-q").json()
    assert [each["id"] for each in found["predictions"]] == [
        "class0/0000.jpg", "class1/0010.jpg", "class2/0002.jpg",
    ]  # fmt: skip
    for word, message in (
        (str(folder / "*.gif"), f"no file matches '{folder / '*.gif'}'."),
        ("-", "standard input has no path: expected the path of an image per line."),
    ):
        assert call("predict", word, "--model", head, "-q").error() == (2, f"embedpipe: {message}")
