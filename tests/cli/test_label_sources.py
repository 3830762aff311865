"""Labels of the commands: the label log first, then the dataset's own labels."""

from __future__ import annotations

import json
import os
import pty
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import embedpipe as ep
from embedpipe.labels import Event, formats
from tests.cli.conftest import Outcome, read_csv
from tests.conftest import make_image
from tests.processes import started

Call = Callable[..., Outcome]
Log = Callable[[Path, Mapping[str, str | None]], None]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Return a function that adds labels to the log; the label None means skipped."""

    def add(folder: Path, labels: Mapping[str, str | None]) -> None:
        name = ep.load_dataset(folder).name
        events = [
            Event("skip", name, path) if label is None else Event("label", name, path, label=label)
            for path, label in labels.items()
        ]
        with ep.LabelLog(tmp_path / "workspace" / "labels.sqlite") as opened:
            opened.append(events)

    return add


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """24 loose photos."""
    folder = tmp_path / "flat"
    folder.mkdir()
    for number in range(24):
        make_image(number).save(folder / f"{number:02d}.jpg", quality=90)
    return folder


def by_parity(numbers: range) -> dict[str, str | None]:
    return {f"{number:02d}.jpg": ("hat", "shoe")[number % 2] for number in numbers}


def chosen(outcome: Outcome) -> set[str]:
    return {pick["id"] for pick in outcome.json()["picks"]}


def test_select_leaves_out_images_that_the_log_has(call: Call, flat: Path, log: Log) -> None:
    everything = {path.name for path in flat.iterdir()}
    assert call("select", flat, "-n", 24, "--json").json()["label_source"] is None
    log(flat, by_parity(range(10)) | {"10.jpg": None, "11.jpg": None})
    outcome = call("select", flat, "-n", 12, "--strategy", "margin", "--json")
    assert chosen(outcome) == {f"{number:02d}.jpg" for number in range(12, 24)}
    assert (outcome.json()["label_source"], outcome.json()["labelled"]) == ("log", 10)
    assert "10 labels from the label log; 2 skipped.\n" in outcome.err
    without = call("select", flat, "-n", 24, "--labels", "none", "--json")
    assert chosen(without) == everything
    assert (without.json()["label_source"], without.json()["labelled"]) == (None, 0)
    assert call("select", flat, "-n", 13, "--quiet").status == 1


def test_accepted_suggestions_are_neither_chosen_nor_labels(
    call: Call, flat: Path, log: Log, tmp_path: Path
) -> None:
    log(flat, by_parity(range(10)))
    name = ep.load_dataset(flat).name
    accepted = [
        Event("accept", name, f"{n}.jpg", label="hat", suggestion="hat", model="m")
        for n in (20, 21, 22)
    ]
    with ep.LabelLog(tmp_path / "workspace" / "labels.sqlite") as opened:
        opened.append([*accepted, Event("unsure", name, "23.jpg")])
    outcome = call("select", flat, "-n", 10, "--json")
    assert chosen(outcome) == {f"{number}.jpg" for number in range(10, 20)}
    assert "10 labels from the label log; 3 accepted; 1 unsure.\n" in outcome.err
    assert call("check", flat, "--backbone", "toy", "--json").json()["labelled"] == 10


def test_a_label_file_and_the_labels_of_the_dataset_replace_the_log(
    call: Call, flat: Path, log: Log, tmp_path: Path
) -> None:
    log(flat, by_parity(range(10)))
    file, manifest = tmp_path / "labels.csv", tmp_path / "list.csv"
    file.write_text("path,label\n20.jpg,hat\n21.jpg,shoe\n")
    result = call("select", flat, "-n", 22, "--labels", file, "--json")
    assert chosen(result).isdisjoint({"20.jpg", "21.jpg"})
    assert (result.json()["label_source"], result.json()["labelled"]) == ("file", 2)
    rows = [f"flat/{number:02d}.jpg,{'hat' if number < 4 else ''}" for number in range(24)]
    manifest.write_text("\n".join(["path,label", *rows]))
    result = call("select", manifest, "-n", 20, "--labels", "dataset", "--json")
    assert chosen(result) == {f"flat/{number:02d}.jpg" for number in range(4, 24)}
    assert (result.json()["label_source"], result.json()["labelled"]) == ("dataset", 4)


def test_run_on_the_labels_of_the_log(call: Call, flat: Path, log: Log) -> None:
    status, message = call("run", flat, "--quiet").error()
    assert (status, message) == (
        1,
        f"embedpipe: the dataset {ep.load_dataset(flat).name!r} has no labels for the simulated "
        "oracle: label images with `embedpipe label`, or sort them into one folder for each class.",
    )
    log(flat, by_parity(range(20)) | {"20.jpg": None})
    options = ["--initial-size", 4, "--batch-size", 4, "--rounds", 9, "--no-baseline", "--json"]
    outcome = call("run", flat, *options)
    result = outcome.json()
    assert (result["label_source"], result["labelled"]) == ("log", 20)
    assert result["rounds"][-1]["labelled"] == 16  # 20 without 2 test images of each class
    assert "The pool has only the labelled images: 20 labels from the label log.\n" in outcome.err


def test_check_prefers_the_labels_of_the_log(
    call: Call, photos: Callable[..., Path], log: Log
) -> None:
    folder = photos(12)

    def checked(*options: str) -> tuple[Any, ...]:
        result = call("check", folder, "--backbone", "toy", "--json", "--quiet", *options).json()
        return result["label_source"], result["labelled"], result["imbalance"]["classes"]

    own = {"class0": 4, "class1": 4, "class2": 4}
    assert checked() == ("dataset", 12, own)
    log(folder, {"class0/0000.jpg": "class1"})
    assert checked() == ("log and dataset", 12, {"class1": 5, "class2": 4, "class0": 3})
    assert checked("--labels", "dataset") == ("dataset", 12, own)
    log(folder, {"class0/0000.jpg": "hat", "class0/0003.jpg": "shoe"})
    assert checked() == ("log", 2, {"hat": 1, "shoe": 1})
    remark = (
        "The label log (hat, shoe) and the dataset's own labels (class0, class1, class2) have no "
        "class in common: only the labels of the log are used.\n"
    )
    assert remark in call("check", folder, "--backbone", "toy").err


def test_train_counts_only_labels_of_readable_images(
    call: Call, flat: Path, log: Log, tmp_path: Path
) -> None:
    (flat / "00.jpg").write_bytes(b"no image")
    rows = [f"{path},{label}" for path, label in by_parity(range(9)).items()]
    file = tmp_path / "labels.csv"
    file.write_text("\n".join(["path,label", *rows]))
    line = ["train", flat, "--output", tmp_path / "model.safetensors", "--json"]
    outcome = call(*line, "--labels", file)
    assert (outcome.json()["label_source"], outcome.json()["labelled"]) == ("file", 8)
    assert "left out labels of unreadable images: 1, such as '00.jpg'.\n" in outcome.err
    log(flat, by_parity(range(9)))
    result = call(*line).json()
    assert (result["label_source"], result["labelled"]) == ("log", 8)


def test_labels_of_deleted_images_can_be_left_out(call: Call, flat: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    rows = [f"{path},{label}" for path, label in by_parity(range(8)).items()]
    file.write_text("\n".join(["path,label", *rows]))
    (flat / "03.jpg").unlink()
    message = (
        "embedpipe: 1 of 8 labelled paths is not in the dataset: '03.jpg'. Paths must be relative "
        "to the dataset's folder, such as '00.jpg'. Remove the rows of deleted images. "
        "--skip-unknown leaves these labels out."
    )
    lines: list[list[Any]] = [
        ["train", flat, "--labels", file, "--output", tmp_path / "model.safetensors"],
        ["select", flat, "--labels", file, "-n", 2],
        ["check", flat, "--labels", file, "--backbone", "toy"],
    ]
    for line in lines:
        assert call(*line, "--quiet").error() == (1, message)
        outcome = call(*line, "--skip-unknown", "--json")
        assert outcome.json()["labelled"] == 7
        assert (
            "left out labels of images that are not in the dataset: 1, such as '03.jpg'.\n"
        ) in outcome.err


def test_accuracy_uses_corrected_labels(
    call: Call, photos: Callable[..., Path], log: Log, tmp_path: Path
) -> None:
    folder, model = photos(12, classes=2), tmp_path / "model.safetensors"
    labels = {f"class{n % 2}/{n:04d}.jpg": f"class{n % 2}" for n in range(8)}
    file = tmp_path / "labels.csv"
    file.write_text("\n".join(["path,label", *(",".join(row) for row in labels.items())]))
    line = ["train", folder, "--labels", file, "--output", model, "--json", "--quiet"]
    assert call(*line).json()["judged"] == 4
    predicted = {
        row["id"]: row["label"]
        for row in call("predict", folder, "--model", model, "--json").json()["predictions"]
    }
    log(folder, {path: predicted[path] for path in predicted if path not in labels})
    assert call(*line).json()["accuracy"] == 1.0
    result = call("predict", folder, "--model", model, "--json").json()
    assert (result["accuracy"], result["judged"]) == (1.0, 4)


def test_training_on_the_labels_of_the_dataset(
    call: Call, photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(12, classes=2)
    split = tmp_path / "split"
    shutil.copytree(folder, split / "train")
    for number in (20, 21):
        path = split / "test" / f"class{number % 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True)
        make_image(number).save(path)
    line = ["train", split, "--labels", "dataset", "--output", tmp_path / "m.safetensors", "--json"]
    result = call(*line).json()
    assert (result["label_source"], result["labelled"]) == ("dataset", 12)
    assert (result["judged"], result["classes"]) == (2, ["class0", "class1"])


@pytest.fixture
def model(call: Call, flat: Path, log: Log, tmp_path: Path) -> Path:
    """A model that was trained on ten labels in the log; two images are skipped."""
    log(flat, by_parity(range(10)) | {"10.jpg": None, "11.jpg": None})
    path = tmp_path / "model.safetensors"
    assert call("train", flat, "--output", path, "--quiet").status == 0
    return path


def limit_of(call: Call, flat: Path, model: Path) -> float:
    """Return a confidence that half of the images without a label have."""
    rows = call("predict", flat, "--model", model, "--json").json()["predictions"]
    return float(sorted(row["confidence"] for row in rows[12:])[6])


def test_predictions_of_sufficient_confidence_in_the_order_of_confidence(
    call: Call, flat: Path, model: Path, tmp_path: Path
) -> None:
    everything = call("predict", flat, "--model", model, "--json").json()
    assert (everything["items"], everything["left_out"]) == (24, 0)
    assert [row["id"] for row in everything["predictions"]] == sorted(
        path.name for path in flat.iterdir()
    )
    limit = limit_of(call, flat, model)
    sure = [row for row in everything["predictions"] if row["confidence"] >= limit]
    line = ["predict", flat, "--model", model, "--min-confidence", limit, "--sort", "confidence"]
    outcome = call(*line, "--json")
    shown = outcome.json()["predictions"]
    assert shown == sorted(sure, key=lambda row: (-row["confidence"], row["id"]))
    assert outcome.json()["left_out"] == 24 - len(sure) > 0
    left_out = f"{24 - len(sure)} images with a confidence below {limit} left out"
    assert f"{left_out}.\n" in outcome.err
    table = tmp_path / "p.csv"
    outcome = call(*line, "--output", table)
    assert outcome.out.startswith(f"{table}: {len(sure)} items, {left_out}, ")
    assert [row["path"] for row in read_csv(table)] == [row["id"] for row in shown]
    assert call("predict", flat, "--model", model, "--sort", "label").error() == (
        2,
        "embedpipe: --sort label: give path or confidence.",
    )


def test_a_wrong_suffix_is_a_usage_error_before_any_work(
    call: Call, flat: Path, tmp_path: Path
) -> None:
    message = "embedpipe: p.xlsx is not a table: its name must end in .csv, .jsonl or .parquet."
    for line in (["predict", flat, "--model", tmp_path / "none"], ["select", flat, "-n", 2]):
        assert call(*line, "--output", "p.xlsx").error() == (2, message)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "x.txt").touch()
    line = ["labels", "export", flat, "--predictions", "m", "--output"]
    assert call(*line, "p.xlsx", "--format", "csv").error() == (
        2,
        "embedpipe: the format csv writes a file that ends in .csv, not p.xlsx.",
    )
    assert call(*line, tmp_path / "tree", "--format", "imagefolder").error() == (
        1,
        f"embedpipe: {tmp_path / 'tree'} already exists. Remove it, or choose another path.",
    )
    assert not (tmp_path / "workspace").exists()


def test_an_export_sorts_the_other_images_by_prediction(
    call: Call, flat: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, tree = limit_of(call, flat, model), tmp_path / "tree"
    rows = call("predict", flat, "--model", model, "--json").json()["predictions"]
    guessed = {row["id"]: row for row in rows[12:] if row["confidence"] >= limit}
    line = ["labels", "export", flat, "--format", "imagefolder", "--output", tree]
    line += ["--predictions", model, "--min-confidence", limit, "--backbone", "toy", "--json"]
    left_out = 12 - len(guessed)
    assert call(*line).json() == {
        "items": 10 + len(guessed),
        "predicted": len(guessed),
        "left_out": left_out,
        "output": str(tree),
    }
    expected = {f"{label}/{name}" for name, label in by_parity(range(10)).items()}
    expected |= {f"{row['label']}/{name}" for name, row in guessed.items()}
    assert {file.relative_to(tree).as_posix() for file in tree.rglob("*.jpg")} == expected
    table = {row["path"]: row for row in read_csv(tree / "sorted_by_prediction.csv")}
    assert {path: (row["label"], row["prediction"]) for path, row in table.items()} == {
        path: ("", row["label"]) for path, row in guessed.items()
    }
    # No reader takes a prediction for a label.
    items = {item.path: item for item in formats["imagefolder"].read(tree)}
    assert {path for path, item in items.items() if item.is_only_predicted} == guessed.keys()
    assert items[next(iter(guessed))].score == next(iter(guessed.values()))["confidence"]
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tree)
    for place in (tree, archive):
        assert set(ep.load_dataset(place).labels()) == {None}
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "elsewhere"))
    imported = call("labels", "import", flat, tree, "--format", "imagefolder", "--json").json()
    assert (imported["items"], imported["entries"]) == (10, 10 + len(guessed))
    assert imported["left_out"][0]["what"] == "with only a prediction"
    (tree / "sorted_by_prediction.csv").unlink()
    assert call("labels", "import", flat, tree, "--format", "imagefolder").error() == (
        1,
        f"embedpipe: {tree / 'sorted_by_prediction.csv'} is missing: it lists the images whose "
        "folder is only a prediction. Restore the file, or export again.",
    )


def test_predictions_of_a_model_in_a_table(
    call: Call, flat: Path, model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.csv"
    line = ["labels", "export", flat, "--format", "csv", "--output", output, "--backbone", "toy"]
    assert call(*line, "--predictions", model, "--json").json()["predicted"] == 12
    rows = {row["path"]: row for row in read_csv(output)}
    assert len(rows) == 24
    assert (rows["12.jpg"]["label"], rows["12.jpg"]["prediction"] in ("hat", "shoe")) == ("", True)
    assert rows["00.jpg"]["label"] == "hat"
    assert rows["10.jpg"]["status"] == "skip"
    assert ep.read_labels(output) == by_parity(range(10))


def test_predictions_are_refused_in_formats_without_them(
    call: Call, flat: Path, model: Path, tmp_path: Path
) -> None:
    line = ["labels", "export", flat, "--output", tmp_path / "tree", "--format"]
    assert call(*line, "huggingface", "--predictions", model).error() == (
        2,
        "embedpipe: --predictions: the format huggingface cannot contain predictions; the formats "
        "csv, imagefolder, jsonl, label-studio, lightly-predictions, parquet can.",
    )
    assert call(*line, "imagefolder", "--min-confidence", 0.5).error() == (
        2,
        "embedpipe: --min-confidence needs --predictions.",
    )


@pytest.fixture
def trips(tmp_path: Path) -> Path:
    """20 loose photos, and a few in folders that are no classes."""
    folder = tmp_path / "photos"
    names = [f"{number:02d}.jpg" for number in range(20)]
    names += [f"{trip}/{number}.jpg" for trip in ("trip_a", "2019", "2020") for number in range(3)]
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        make_image(number).save(folder / name)
    return folder


def test_folders_beside_loose_photos_are_no_classes(
    call: Call, trips: Path, log: Log, tmp_path: Path
) -> None:
    remark = (
        "Folder names (2019, 2020, trip_a) are not read as classes: images beside these folders: "
        "20. --folder-labels yes reads them.\n"
    )
    outcome = call("check", trips, "--backbone", "toy", "--json")
    result = outcome.json()
    assert remark in outcome.err
    assert (result["label_source"], result["labelled"], result["label_errors"]) == (None, 0, [])
    assert result["not_checked"]["label_errors"] == "there are no labels"
    log(trips, by_parity(range(10)))
    trained = call("train", trips, "--output", tmp_path / "m.safetensors", "--json").json()
    assert (trained["accuracy"], trained["labelled"]) == (None, 10)
    assert trained["accuracy_note"].startswith("the dataset has no labels of its own")
    # An answer is remembered.
    line = ["check", trips, "--backbone", "toy", "--json", "--labels", "dataset"]
    assert call(*line, "--folder-labels", "yes").json()["labelled"] == 9
    outcome = call(*line)
    assert (outcome.json()["labelled"], "Folder names" in outcome.err) == (9, False)
    assert call(*line, "--folder-labels", "no").json()["labelled"] == 0
    outcome = call(*line)
    assert (outcome.json()["labelled"], "Folder names" in outcome.err) == (0, False)


def test_commands_that_need_no_classes_do_not_speak_of_folder_names(
    call: Call, trips: Path
) -> None:
    assert "Folder names" not in call("embed", trips).err
    assert "Folder names" not in call("select", trips, "-n", 2).err


def test_the_question_needs_a_terminal(call: Call, trips: Path) -> None:
    question = "Are the folder names 2019, 2020, trip_a the classes of the images?"
    assert call("check", trips, "--folder-labels", "ask").error() == (
        2,
        f"embedpipe: {question} Give --folder-labels yes or no.",
    )
    assert call("check", trips, "--folder-labels", "maybe").error() == (
        2,
        "embedpipe: --folder-labels maybe: give yes, no or ask.",
    )


def test_a_user_is_asked_once_on_a_terminal(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "years"
    for number in range(8):
        path = folder / f"20{18 + number % 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_image(number).save(path)
    words = [sys.executable, "-m", "embedpipe", "check", str(folder), "--backbone", "toy"]
    terminal, typing = pty.openpty()
    question = "Are the folder names 2018, 2019 the classes of the images? [y/N]:"
    for asked in (True, False):
        with started(words, stdin=typing) as program:
            if asked:
                os.write(terminal, b"y\n")
            out, err = program.communicate()
        assert program.returncode == 0, err
        assert (question in err) is asked
        assert "    2  classes: 2018 has 4 items, 2019 4 (ratio 1.0)" in out.splitlines()
    os.close(terminal)
    os.close(typing)
    (memory,) = (tmp_path / "workspace" / "datasets").glob("*/folder_labels.json")
    assert json.loads(memory.read_bytes()) == {"folder_labels": True}
