"""From a folder of one's own photos to a classifier, by way of Label Studio."""

from __future__ import annotations

import csv
import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import embedpipe as ep
from embedpipe.labelling import LabellingSession
from embedpipe.labels import LabelLog

REPOSITORY = Path(__file__).resolve().parent.parent.parent
COLOURS = {"cup": (200, 40, 40), "key, car": (40, 200, 40), "größe 帽": (40, 40, 200)}


Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the pipeline in a folder, and returns its output."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> str:
        options = ["photos", "--workspace", "w", "--backbone", "toy", "--coreset", "9"]
        options += ["--coral", "6", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", ["webcam.py", *options])
        runpy.run_path(str(REPOSITORY / "pipelines" / "webcam.py"), run_name="__main__")
        return capsys.readouterr().out

    return call


def make_photos(root: Path, count: int) -> dict[str, str]:
    """Write photos of three things, each folder with the same names; return what each is of."""
    rng = np.random.default_rng(0)
    truth = {}
    for number in range(count):
        name = list(COLOURS)[number % 3]
        pixels = np.array(COLOURS[name]) + rng.normal(0, 40, (24, 32, 3))
        path = root / ("monday", "tuesday")[number % 2] / f"webcam {number // 2:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=95)
        truth[path.relative_to(root).as_posix()] = name
    return truth


def labelled_in_label_studio(tasks: Path, truth: dict[str, str], skipped: str) -> Path:
    """Return what Label Studio exports after somebody labelled the tasks there, all but one."""
    exported: list[dict[str, Any]] = []
    for number, task in enumerate(json.loads(tasks.read_text(encoding="utf-8")), start=1):
        path = task["data"]["path"]
        result = {
            "id": f"r{number}", "type": "choices", "from_name": "choice", "to_name": "image",
            "origin": "manual", "value": {"choices": [truth[path]]},
        }  # fmt: skip
        annotation = {
            "id": number, "completed_by": 1, "was_cancelled": path == skipped,
            "result": [] if path == skipped else [result], "lead_time": 2.5,
            "created_at": "2026-05-01T07:30:00.000000Z", "ground_truth": False,
            "prediction": task.get("predictions", [{}])[0],
        }  # fmt: skip
        exported.append({
            "id": number, "annotations": [annotation], "drafts": [], "predictions": [],
            "data": task["data"], "meta": {}, "project": 1, "cancelled_annotations": 0,
        })  # fmt: skip
    file = tasks.parent.with_suffix(".export.json")
    file.write_text(json.dumps(exported), encoding="utf-8")
    return file


def paths_of(tasks: Path) -> list[str]:
    return [task["data"]["path"] for task in json.loads(tasks.read_text(encoding="utf-8"))]


def test_from_photos_to_predictions(run: Run, tmp_path: Path) -> None:
    truth = make_photos(tmp_path / "photos", 36)
    first = tmp_path / "webcam" / "1-coreset" / "tasks.json"
    assert run() == (
        "label 9 of 9 photos, in Label Studio or on the page\n"
        "Label Studio: run this script again with --classes and the class names.\n"
        f"The page: embedpipe label photos --workspace {tmp_path / 'w'} --initial coreset "
        "--strategy coral\n"
        "Label 9 photos on the page, and run this script again.\n"
    )
    assert not first.exists()
    printed = run("--classes", *COLOURS)
    assert printed.startswith(
        "label 9 of 9 photos, in Label Studio or on the page\nLabel Studio: make"
    )
    assert "import webcam/1-coreset/tasks.json" in printed
    assert f"DOCUMENT_ROOT={tmp_path}\n" in printed
    config = ElementTree.parse(first.with_name("config.xml"))
    assert [node.get("value") for node in config.iter("Choice")] == list(COLOURS)
    image = json.loads(first.read_text(encoding="utf-8"))[0]["data"]["image"]
    assert image.startswith("/data/local-files/?d=photos/")
    embeddings = ep.embed(tmp_path / "photos", backbone="toy", workspace=tmp_path / "w")
    chosen = ep.select(embeddings, n=9, strategy="coreset").rows
    assert set(paths_of(first)) == {embeddings.items[row].id for row in chosen}
    assert all("predictions" not in task for task in json.loads(first.read_text()))

    before = first.read_bytes()
    assert run() == printed  # the second run chooses the same photos
    assert first.read_bytes() == before

    skipped = paths_of(first)[4]
    export = labelled_in_label_studio(first, truth, skipped)
    printed = run("--labels", export)
    assert printed.startswith(
        f"9 labels imported from {export}\nlabel 6 of 6 photos, in Label Studio or on the page\n"
    )
    second = tmp_path / "webcam" / "2-coral" / "tasks.json"
    known = {path: truth[path] for path in paths_of(first) if path != skipped}
    declined = [row for row, item in enumerate(embeddings.items) if item.id == skipped]
    chosen = ep.select(embeddings, n=6, strategy="coral", labels=known, declined=declined).rows
    assert set(paths_of(second)) == {embeddings.items[row].id for row in chosen}
    for task in json.loads(second.read_text(encoding="utf-8")):
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == "auto-8"
        assert prediction["result"][0]["value"]["choices"][0] in COLOURS
    assert run("--labels", export).startswith(f"0 labels imported from {export}\nlabel 6 ")

    # One of the six is labelled elsewhere meanwhile: it is in the same log.
    elsewhere = paths_of(second)[0]
    with LabelLog(tmp_path / "w" / "labels.sqlite") as log:
        row = next(row for row, item in enumerate(embeddings.items) if item.id == elsewhere)
        LabellingSession(embeddings, log, who="page").label([row], truth[elsewhere])
    assert run().startswith("label 5 of 6 photos, ")

    export = labelled_in_label_studio(second, truth, "")
    printed = run("--labels", export)
    assert printed.startswith(f"5 labels imported from {export}\n")
    with LabelLog(tmp_path / "w" / "labels.sqlite") as log:
        taken = [event for event in log.events() if event.path in paths_of(second)[1:]]
    guesses = [task["predictions"][0] for task in json.loads(second.read_text(encoding="utf-8"))]
    assert [event.suggestion for event in taken] == [
        guess["result"][0]["value"]["choices"][0] for guess in guesses[1:]
    ]
    assert {event.model for event in taken} == {"auto-8"}
    assert "webcam/head.safetensors: 14 labels of 3 classes, accuracy " in printed
    assert printed.endswith("webcam/predictions.csv: predictions for the other 22 photos\n")
    with (tmp_path / "webcam" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        predicted = {row["path"]: row["label"] for row in csv.DictReader(file)}
    assert len(predicted) == 22
    assert not set(predicted) & (set(known) | set(paths_of(second)))
    right = sum(truth[path] == label for path, label in predicted.items())
    assert right == 22  # three colours
    assert "14 labels" in run()


def test_labels_of_other_photos_count(run: Run, tmp_path: Path) -> None:
    truth = make_photos(tmp_path / "photos", 36)
    run()
    embeddings = ep.embed(tmp_path / "photos", backbone="toy", workspace=tmp_path / "w")
    with LabelLog(tmp_path / "w" / "labels.sqlite") as log:
        session = LabellingSession(embeddings, log, who="page")
        for row in range(11):
            session.label([row], truth[session.ids[row]])
    printed = run()
    assert printed.startswith("label 4 of 4 photos, in Label Studio or on the page\n")
    assert len(paths_of(tmp_path / "webcam" / "2-coral" / "tasks.json")) == 4
    with LabelLog(tmp_path / "w" / "labels.sqlite") as log:
        session = LabellingSession(embeddings, log, who="page")
        for row in range(20, 24):
            session.label([row], truth[session.ids[row]])
    assert "webcam/head.safetensors: 15 labels of 3 classes" in run()


def test_a_label_of_an_unknown_photo_is_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_photos(tmp_path / "photos", 12)
    labels = tmp_path / "labels.csv"
    labels.write_text("path,label\nmonday/webcam 000.jpg,cup\nwebcam 000.jpg,cup\n")
    with pytest.raises(SystemExit) as caught:
        run("--labels", labels, "--format", "csv")
    assert caught.value.code == 1
    assert capsys.readouterr().err.endswith(
        "webcam.py: 1 of 2 labelled paths is not in the dataset: 'webcam 000.jpg'. Paths must be "
        "relative to the dataset's folder, such as 'monday/webcam 000.jpg'. Nothing was imported.\n"
    )
    with LabelLog(tmp_path / "w" / "labels.sqlite") as log:
        assert list(log.events()) == []
