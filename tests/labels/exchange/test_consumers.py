"""Other programs read what is exported.

Run where they are installed: Hugging Face datasets in `.venv`, the others by `make consumers`.
"""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

from embedpipe.labels.exchange import Labelled, formats
from embedpipe.labels.exchange.safe_paths import unescape

# Warnings of these packages are not tested here.
pytestmark = pytest.mark.filterwarnings("default")


def test_hugging_face_datasets_reads_the_folder(tmp_path, items, export, monkeypatch):
    for variable in ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets")
    tree = export("huggingface", tmp_path, items)
    read = datasets.load_dataset(
        "imagefolder", data_dir=str(tree), split="train", cache_dir=str(tmp_path / "cache")
    )
    sure = [item for item in items if item.is_sure]
    assert read["label"][:] == [item.label for item in sure]
    for row, item in zip(read, sure, strict=True):  # each image has a colour of its own
        assert row["image"].getpixel((0, 0)) == (sum(item.path.encode()) % 256, len(item.path), 7)
    gc.collect()  # reports its open files here, where warnings are not errors


@pytest.fixture
def studio(tmp_path, items, export):
    """A folder of tasks."""
    pytest.importorskip("label_studio_sdk")
    return export("label-studio", tmp_path, items)


def test_label_studio_takes_the_config_and_the_tasks(studio, items):
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface((studio / "config.xml").read_text(encoding="utf-8"))
    interface.validate()
    names = {name for item in items for name in (item.label, item.prediction) if name}
    assert set(interface.get_control("choice").labels) == names
    tasks = json.loads((studio / "tasks.json").read_text(encoding="utf-8"))
    assert len(tasks) == len(items)
    predictions = annotations = 0
    for task in tasks:
        assert interface.validate_task({"data": task["data"]})
        for prediction in task.get("predictions", []):
            assert interface.validate_prediction(prediction, return_errors=True) == []
            predictions += 1
        for annotation in task.get("annotations", []):
            assert annotation["was_cancelled"] or interface.validate_annotation(annotation)
            annotations += 1
    assert predictions == sum(item.prediction is not None for item in items)
    assert annotations == sum(item.is_sure or item.status == "skip" for item in items)


@pytest.mark.parametrize("form", ["JSON", "JSON_MIN"])
def test_the_output_of_label_studios_converter_is_read(form, studio, items, tmp_path):
    from label_studio_sdk.converter import Converter

    tasks = json.loads((studio / "tasks.json").read_text(encoding="utf-8"))
    for number, task in enumerate(tasks, start=1):  # as Label Studio keeps them
        task |= {"id": number, "predictions": []}
        for annotation in task.setdefault("annotations", []):
            annotation.update({"id": number, "completed_by": 1, "lead_time": 1.5})
            annotation.update(dict.fromkeys(["created_at", "updated_at"], "2026-05-01T07:30:00Z"))
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(tasks), encoding="utf-8")
    converter = Converter(str(studio / "config.xml"), project_dir=None, download_resources=False)
    converter.convert(str(kept), str(tmp_path / form), form, is_dir=False)
    expected = [Labelled(item.path, item.label, who="1") for item in items if item.is_sure]
    if form == "JSON":  # in JSON_MIN a skipped task is not there
        expected += [
            Labelled(item.path, status="skip", who="1") for item in items if item.status == "skip"
        ]
    assert formats["label-studio"].read(tmp_path / form / "result.json") == expected


def test_fiftyone_reads_the_tree_and_its_own_export_is_read(
    tmp_path, items, export, monkeypatch, open_image
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FIFTYONE_DO_NOT_TRACK", "true")
    pytest.importorskip("fiftyone")
    from fiftyone import Classification
    from fiftyone.utils import data

    tree = export("fiftyone", tmp_path, items)
    importer = data.ImageClassificationDirectoryTreeImporter(str(tree), compute_metadata=False)
    importer.setup()
    written = data.ImageClassificationDirectoryTreeExporter(str(tmp_path / "written"))
    written.setup()
    labels = {}
    for file, _, label in importer:
        assert open_image(unescape(Path(file).name)) == Path(file).read_bytes()
        labels[unescape(Path(file).name)] = None if label is None else unescape(label.label)
        again = None if label is None else Classification(label=label.label)
        written.export_sample(file, again)
    written.close()
    assert labels == {item.path: item.label if item.is_sure else None for item in items}
    assert formats["fiftyone"].read(tmp_path / "written") == formats["fiftyone"].read(tree)
