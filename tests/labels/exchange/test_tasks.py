"""Tasks: Label Studio's JSON, and Lightly's predictions."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from embedpipe.errors import FormatError
from embedpipe.labels.exchange import (
    Labelled,
    formats,
    labelling_config,
    local_files_url,
    serving_instructions,
)

studio = formats["label-studio"]
lightly = formats["lightly-predictions"]


def choice(*names):
    return {
        **{"id": "r1", "from_name": "choice", "to_name": "image", "type": "choices"},
        "value": {"choices": list(names)},
    }


def test_tasks_for_label_studio(tmp_path):
    items = [
        Labelled("rel/a b&c.jpg", prediction="hat", score=0.62, model="m1"),
        Labelled("x.jpg", "shoe", who="ann"),
        Labelled("y.jpg", status="skip"),
        Labelled("z.jpg", "hat", status="unsure"),
    ]
    folder = studio.write(tmp_path / "out", items, classes=["tie"])
    assert sorted(file.name for file in folder.iterdir()) == ["config.xml", "tasks.json"]
    assert json.loads((folder / "tasks.json").read_text(encoding="utf-8")) == [
        {
            "data": {"image": "/data/local-files/?d=rel/a%20b%26c.jpg", "path": "rel/a b&c.jpg"},
            "predictions": [{"result": [choice("hat")], "model_version": "m1", "score": 0.62}],
        },
        {
            "data": {"image": "/data/local-files/?d=x.jpg", "path": "x.jpg", "who": "ann"},
            "annotations": [{"result": [choice("shoe")], "was_cancelled": False}],
        },
        {
            "data": {"image": "/data/local-files/?d=y.jpg", "path": "y.jpg"},
            "annotations": [{"result": [], "was_cancelled": True}],
        },
        {"data": {"image": "/data/local-files/?d=z.jpg", "path": "z.jpg"}},
    ]
    assert (folder / "config.xml").read_text(encoding="utf-8") == (
        '<View><Image name="image" value="$image"/><Choices name="choice" toName="image">'
        '<Choice value="hat"/><Choice value="shoe"/><Choice value="tie"/></Choices></View>\n'
    )


def test_the_names_in_the_config_are_those_of_the_classes():
    names = ['"a" & <b>', "it's", "line\nbreak\ttab", "帽子"]
    tree = ElementTree.fromstring(labelling_config(names))
    assert [node.get("value") for node in tree.iter("Choice")] == names
    with pytest.raises(FormatError) as error:
        labelling_config(["a\x01"])
    assert str(error.value) == (
        "the class 'a\\x01' contains a character that XML does not allow. Rename the class."
    )


def test_a_config_without_classes_is_refused(tmp_path):
    with pytest.raises(FormatError) as error:
        studio.write(tmp_path / "out", [Labelled("a.jpg")])
    assert str(error.value) == (
        "Label Studio needs at least one class, but no item has a label. Name the classes "
        "(`classes`, --class on the command line)."
    )
    assert list(tmp_path.iterdir()) == []


def test_label_studio_serves_what_is_below_its_document_root():
    folder = Path("/home/ann/my photos")
    assert local_files_url(folder) == "/data/local-files/?d=my%20photos/"
    assert serving_instructions(folder) == (
        "To show the images, start Label Studio with\n"
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and\n"
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=/home/ann\n"
        "Then add a source storage to the project (Settings, Cloud Storage) of the type Local "
        "files\nwith the path /home/ann/my photos. You need not synchronise it."
    )


def exported(task_id, data, annotations, predictions=()):
    return {"id": task_id, "data": data, "annotations": annotations, "predictions": predictions}


def annotation(label=None, who=1, cancelled=False):
    return {
        **{"id": 5, "was_cancelled": cancelled, "completed_by": who, "lead_time": 1.5},
        "created_at": "2024-01-01T00:00:00Z",
        "result": [choice(label)] if label else [],
    }


def test_label_studio_exports_in_json(tmp_path):
    seen = {"id": 8, "score": 0.25, "model_version": "m1", "result": [choice("shoe")]}
    tasks = [
        exported(1, {"image": "x", "path": "a/1.jpg"}, [annotation("hat")], [7]),
        exported(
            2,
            {"image": "/data/local-files/?d=b%2F1%20%26.jpg"},
            [annotation("shoe", {"email": "a@b.c"})],
        ),
        exported(3, {"path": "c.jpg"}, [annotation(cancelled=True)]),
        exported(4, {"path": "d.jpg"}, [annotation(cancelled=True), annotation("hat", 2)]),
        exported(5, {"path": "e.jpg"}, []),
        exported(6, {"path": "f.jpg"}, [annotation("hat", 1), annotation("hat", 2)]),
        exported(7, {"path": "g.jpg"}, [annotation("hat", cancelled=True)]),
        exported(8, {"path": "h.jpg"}, [], [{"score": 0.5, "result": [choice("tie")]}]),
        exported(9, {"path": "i.jpg"}, [annotation()]),
        exported(10, {"path": "j.jpg"}, [{**annotation("hat"), "prediction": seen}], [8]),
        exported(11, {"path": "k.jpg"}, [{**annotation("hat"), "prediction": {}}], [9]),
    ]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks))
    assert studio.read(path) == [
        Labelled("a/1.jpg", "hat", who="1"),
        Labelled("b/1 &.jpg", "shoe", who="a@b.c"),
        Labelled("c.jpg", status="skip", who="1"),
        Labelled("d.jpg", "hat", who="2"),
        Labelled("f.jpg", "hat", who="1"),
        Labelled("g.jpg", status="skip", who="1"),
        Labelled("h.jpg", prediction="tie", score=0.5),
        Labelled("j.jpg", "hat", prediction="shoe", score=0.25, who="1", model="m1"),
        Labelled("k.jpg", "hat", who="1"),
    ]


def test_label_studio_exports_in_json_min(tmp_path):
    tasks = [
        {
            **{"image": "/data/local-files/?d=a/1.jpg", "path": "a/1.jpg", "id": 1},
            **{"choice": "hat", "annotator": 1, "annotation_id": 5, "lead_time": 1.5},
        },
        {"image": "/data/local-files/?d=b/1.jpg", "id": 2, "annotator": 1},
    ]
    path = tmp_path / "min.json"
    path.write_text(json.dumps(tasks))
    assert studio.read(path) == [Labelled("a/1.jpg", "hat", who="1")]


DATA = {"path": "a.jpg"}


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({}, "FILE is not a list of tasks. Export as JSON or JSON_MIN."),
        ([3], "FILE, task 1: expected a JSON object."),
        ([{"data": 3}], "FILE, task 1: the data must be a JSON object."),
        (
            [exported(17, {"image": "/data/upload/1/x.jpg"}, [annotation("hat")])],
            "FILE, task 17: the data have no 'path', and the image '/data/upload/1/x.jpg' is not a "
            "local file (/data/local-files/?d=...).",
        ),
        (
            [exported(17, DATA, [annotation("hat"), annotation("shoe")])],
            "FILE, task 17: the annotations have different labels: 'hat', 'shoe'. Keep one of "
            "them.",
        ),
        (
            [exported(17, DATA, [{"result": [choice("hat", "shoe")]}])],
            "FILE, task 17: 2 classes are chosen; expected one.",
        ),
        (
            [exported(17, DATA, [{"was_cancelled": 1}])],
            "FILE, task 17: was_cancelled is 1; expected true or false.",
        ),
        (
            [exported(17, DATA, [{"result": [{"type": "choices"}]}])],
            "FILE, task 17: a result of type 'choices' must have a list of names.",
        ),
        (
            [exported(17, DATA, 3)],
            "FILE, task 17: the annotations must be a list of JSON objects.",
        ),
        (
            [exported(17, {"path": "../a.jpg"}, [annotation("hat")])],
            "FILE, task 17: the path '../a.jpg' is outside the folder; expected a relative path "
            "without '..'.",
        ),
        (
            [exported(1, DATA, [annotation("hat")]), exported(2, DATA, [annotation("tie")])],
            "FILE, task 2: 'a.jpg' is labelled 'tie' by '1' here, but labelled 'hat' by '1' "
            "earlier in the file. Keep one of the two.",
        ),
        (
            [{"id": 1, "path": "a.jpg", "sentiment": "hat"}],
            "FILE: no task has an answer to the control 'choice'. Controls with answers: "
            "sentiment. Choose the one with the classes: --control NAME, or `control` in Python.",
        ),
    ],
)
def test_invalid_tasks(tasks, message, tmp_path):
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(tasks))
    with pytest.raises(FormatError) as error:
        studio.read(path)
    assert str(error.value).replace(str(path), "FILE") == message


def test_damaged_json_names_its_line(tmp_path):
    path = tmp_path / "tasks.json"
    path.write_text('[\n {"data": {"path": "a"}},\n {"data" 3}\n]')
    with pytest.raises(FormatError) as error:
        studio.read(path)
    assert str(error.value) == f"{path}, line 3: invalid JSON: Expecting ':' delimiter (column 10)."


def test_the_tree_that_lightly_reads(tmp_path):
    items = [
        Labelled("sub/a.png", "shoe", prediction="hat", score=0.75),
        Labelled("b.png", prediction="tie", score=0.5),
        Labelled("c.png", prediction="shoe"),
    ]
    root = lightly.write(tmp_path / "out", items) / ".lightly/predictions"
    content = {
        str(file.relative_to(root)): json.loads(file.read_text(encoding="utf-8"))
        for file in root.rglob("*.json")
    }
    categories = [{"id": 0, "name": "hat"}, {"id": 1, "name": "shoe"}, {"id": 2, "name": "tie"}]
    assert content == {
        "tasks.json": ["labels", "predictions"],
        "labels/schema.json": {
            "task_type": "classification",
            "categories": [{"id": 0, "name": "shoe"}],
        },
        "labels/sub/a.json": {
            "file_name": "sub/a.png",
            "predictions": [{"category_id": 0, "probabilities": [1.0]}],
        },
        "predictions/schema.json": {"task_type": "classification", "categories": categories},
        "predictions/sub/a.json": {
            "file_name": "sub/a.png",
            "predictions": [{"category_id": 0, "probabilities": [0.75, 0.125, 0.125]}],
        },
        "predictions/b.json": {
            "file_name": "b.png",
            "predictions": [{"category_id": 2, "probabilities": [0.25, 0.25, 0.5]}],
        },
        "predictions/c.json": {"file_name": "c.png", "predictions": [{"category_id": 1}]},
    }
    assert {item.path: item for item in lightly.read(tmp_path / "out")} == {
        item.path: item for item in items
    }


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (
            [Labelled("a/1.jpg", "hat"), Labelled("a/1.png", "hat")],
            "'a/1.jpg' and 'a/1.png' would have the same file, a/1.json. Rename one of them.",
        ),
        (
            [Labelled("schema.jpg", "hat")],
            "'schema.jpg' would overwrite schema.json. Rename the image.",
        ),
        (
            [Labelled("a.jpg", prediction="hat", score=2.0)],
            "the score of 'a.jpg' is 2.0; expected a probability, 0 to 1.",
        ),
    ],
)
def test_items_that_lightly_cannot_contain(items, message, tmp_path):
    with pytest.raises(FormatError) as error:
        lightly.write(tmp_path / "out", items)
    assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "tasks.json",
            ["a", "b"],
            "FILE has several tasks with predictions: 'a', 'b'. Keep one of them.",
        ),
        (
            "tasks.json",
            ["../labels"],
            "FILE: the path '../labels' is outside the folder; expected a relative path without "
            "'..'.",
        ),
        (
            "labels/schema.json",
            {"task_type": "other"},
            "FILE must have the 'task_type' 'classification'.",
        ),
        (
            "labels/a.json",
            {"file_name": "a.png", "predictions": [{"category_id": 9}]},
            "FILE: the schema has no category with the id 9.",
        ),
        (
            "labels/a.json",
            {"file_name": "/a.png", "predictions": [{"category_id": 0}]},
            "FILE: the path '/a.png' is outside the folder; expected a relative path without '..'.",
        ),
        (
            "labels/a.json",
            {"file_name": "a.png", "predictions": [{"category_id": 0}] * 2},
            "FILE: 2 predictions; expected one.",
        ),
        (
            "labels/a.json",
            {"file_name": "a.png"},
            "FILE must have a 'file_name' and a list of 'predictions'.",
        ),
    ],
)
def test_an_invalid_tree_of_predictions(file, content, message, tmp_path):
    root = lightly.write(tmp_path / "out", [Labelled("a.png", "hat")]) / ".lightly/predictions"
    (root / file).write_text(json.dumps(content))
    with pytest.raises(FormatError) as error:
        lightly.read(tmp_path / "out")
    assert str(error.value).replace(str(root / file), "FILE") == message
