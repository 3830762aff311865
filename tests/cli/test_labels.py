"""The commands `labels import` and `labels export`, and `train` on the label log."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from embedpipe.cli.label_log import login_name
from embedpipe.labels import Event, LabelLog
from embedpipe.labels.exchange import (
    Labelled,
    formats,
    read_lightly_embeddings,
    serving_instructions,
)
from tests.cli.conftest import Outcome
from tests.conftest import make_image

Call = Callable[..., Outcome]


@pytest.fixture
def log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The label log of the workspace that the commands use."""
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "workspace"))
    return tmp_path / "workspace" / "labels.sqlite"


@pytest.fixture
def call(log_file: Path) -> Call:
    """Return a function that runs a command with a workspace of its own."""
    return lambda *words: Outcome([str(word) for word in words])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six photos: two with the same base name, and difficult names."""
    root = tmp_path / "photos"
    names = ["north/img_001.jpg", "south/img_001.jpg", "south/img_002.jpg"]
    names += ["größe 帽/ä, ö.jpg", "q'uote.jpg", "z.jpg"]
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        make_image(number).save(root / name)
    return root


LABELS = [
    Labelled("north/img_001.jpg", "hat", who="ann"),
    Labelled("south/img_001.jpg", "t-shirt, red", who="bob"),
    Labelled("south/img_002.jpg", "hat", who="ann"),
    Labelled("größe 帽/ä, ö.jpg", "Größe 38", who="ann"),
    Labelled("q'uote.jpg", status="skip", who="ann"),
    Labelled("z.jpg", status="unsure", who="ann"),
]


@pytest.fixture
def filled(call: Call, folder: Path, tmp_path: Path) -> Path:
    """The folder of the photos, after an import of `LABELS`."""
    file = formats["csv"].write(tmp_path / "first.csv", LABELS)
    assert call("labels", "import", folder, file, "--format", "csv").status == 0
    return folder


def events(log_file: Path) -> list[Event]:
    with LabelLog(log_file) as log:
        return list(log.events())


def test_a_second_import_adds_no_events(
    call: Call, folder: Path, tmp_path: Path, log_file: Path
) -> None:
    unsure = [Labelled("z.jpg", "hat", status="unsure", prediction="shoe", score=0.5)]
    only_guessed = [Labelled("north/img_001.jpg", prediction="hat", score=0.5)]
    file = formats["jsonl"].write(tmp_path / "a.jsonl", [*LABELS[1:5], *unsure, *only_guessed])
    line = ("labels", "import", folder, file, "--format", "jsonl")
    first = call(*line, "--json").json()
    predicted = {"what": "with only a prediction", "count": 1, "example": "'north/img_001.jpg'"}
    assert first == {
        "items": 5, "unchanged": 0, "replaced": 0, "unknown": 0, "output": str(log_file),
        "entries": 6, "taken": 5, "left_out": [predicted], "rewritten": [], "notes": [],
    }  # fmt: skip
    kept = events(log_file)
    assert [(e.kind, e.path, e.label, e.who) for e in kept] == [
        ("label", "south/img_001.jpg", "t-shirt, red", "bob"),
        ("label", "south/img_002.jpg", "hat", "ann"),
        ("label", "größe 帽/ä, ö.jpg", "Größe 38", "ann"),
        ("skip", "q'uote.jpg", None, "ann"),
        ("unsure", "z.jpg", None, login_name()),
    ]
    assert kept[-1].suggestion == "hat"
    assert len({event.at for event in kept}) == 1
    assert all(event.content_id is not None for event in kept)
    assert call(*line).out == (
        f"{log_file}: 0 imported, 5 unchanged; 6 entries read, 5 used, 1 left out: 1 with only a "
        "prediction ('north/img_001.jpg')\n"
    )
    assert len(events(log_file)) == 5


def test_an_import_replaces_earlier_labels_in_one_act(
    call: Call, filled: Path, tmp_path: Path, log_file: Path
) -> None:
    changed = [Labelled("north/img_001.jpg", "shoe"), Labelled("q'uote.jpg", "hat"), LABELS[2]]
    file = formats["parquet"].write(tmp_path / "b.parquet", changed)
    outcome = call("labels", "import", filled, file, "--format", "parquet", "--who", "cleo")
    assert outcome.out == (
        f"{log_file}: 2 imported, 1 unchanged; 2 replace earlier labels; 3 entries read, 3 used\n"
    )
    new = events(log_file)[len(LABELS) :]
    assert [(event.label, event.who) for event in new] == [("shoe", "cleo"), ("hat", "cleo")]
    assert new[0].at == new[1].at


def test_unknown_paths_are_refused_or_skipped(
    call: Call, folder: Path, tmp_path: Path, log_file: Path
) -> None:
    unknown = [LABELS[0], Labelled("west/img_002.jpg", "hat"), Labelled("x.jpg", status="skip")]
    file = formats["csv"].write(tmp_path / "c.csv", unknown)
    line = ("labels", "import", folder, file, "--format", "csv")
    assert call(*line).error() == (
        1,
        "embedpipe: 2 of 3 labelled paths are not in the dataset: 'west/img_002.jpg' (did you "
        "mean 'south/img_002.jpg'?), 'x.jpg'. Paths must be relative to the dataset's folder, such "
        "as 'größe 帽/ä, ö.jpg'. Nothing was imported. --skip-unknown imports the other labels.",
    )
    assert not log_file.exists()
    assert call(*line, "--skip-unknown").out == (
        f"{log_file}: 1 imported, 0 unchanged; 3 entries read, 1 used, 2 left out: 2 not in the "
        "dataset ('west/img_002.jpg')\n"
    )


def test_no_label_of_a_damaged_file_is_imported(
    call: Call, folder: Path, tmp_path: Path, log_file: Path
) -> None:
    file = tmp_path / "d.csv"
    file.write_text("path,label\nnorth/img_001.jpg,hat\nz.jpg\n")
    assert call("labels", "import", folder, file, "--format", "csv").error() == (
        1,
        f"embedpipe: {file}, line 3: 1 field, but the header has 2 columns. Put a field that "
        "contains a comma in double quotes.",
    )
    status, message = call("labels", "import", folder, file, "--format", "cvs").error()
    assert (status, message.partition(" Known")[0]) == (
        2,
        "embedpipe: unknown label format 'cvs'. Did you mean 'csv'?",
    )
    assert not log_file.exists()


TREES = ("imagefolder", "huggingface", "fiftyone", "cvat")


@pytest.mark.parametrize("name", list(formats))
def test_exports_can_be_imported(
    name: str, call: Call, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / f"out{formats[name].suffix}"
    line = ["labels", "export", filled, "--format", name, "--output", output, "--json"]
    more = ["--backbone", "toy"] if name == "lightly" else []
    result = call(*line, *more).json()
    held = [item for item in LABELS if item.is_sure or item.status in formats[name].carries]
    whole = name in ("fiftyone", "label-studio", "lightly")
    assert result == {
        "items": 6 if whole else len(held),
        "predicted": 0,
        "left_out": 0,
        "output": str(output),
    }
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "elsewhere"))
    line = ["labels", "import", filled, output, "--format", name]
    assert call(*line, "--json").json()["items"] == len(held)
    with LabelLog(tmp_path / "elsewhere" / "labels.sqlite") as log:
        (dataset,) = {event.dataset for event in log.events()}
        found = {path: (now.kind, now.label) for path, now in log.current(dataset).items()}
    assert found == {item.path: (item.status, item.label) for item in held}
    if name in TREES and name != "cvat":
        copies = [file for file in output.rglob("*.jpg") if file.is_file()]
        assert len(copies) == (6 if name == "fiftyone" else len(held))


def test_labels_follow_moved_files_but_not_edited_files(
    call: Call, filled: Path, tmp_path: Path
) -> None:
    (filled / "east").mkdir()
    (filled / "north" / "img_001.jpg").rename(filled / "east" / "a.jpg")
    make_image(99).save(filled / "south" / "img_002.jpg")
    output = tmp_path / "out.csv"
    outcome = call("labels", "export", filled, "--format", "csv", "--output", output)
    assert outcome.out == f"{output}: 5 items\n"
    assert outcome.err == (
        "left out labels of images that changed after labelling: 1, such as 'south/img_002.jpg'; "
        "label them again.\n"
    )
    found = {item.path: item.label for item in formats["csv"].read(output)}
    assert found["east/a.jpg"] == "hat"
    assert "south/img_002.jpg" not in found
    again = call("labels", "import", filled, output, "--format", "csv").out
    assert again.endswith("labels.sqlite: 0 imported, 5 unchanged; 5 entries read, 5 used\n")


def test_items_that_a_format_cannot_contain_are_counted(
    call: Call, filled: Path, tmp_path: Path
) -> None:
    output = tmp_path / "tree"
    outcome = call("labels", "export", filled, "--format", "imagefolder", "--output", output)
    assert outcome.out == f"{output}: 4 items; 1 skip left out; 1 unsure left out\n"


def test_links_point_to_the_photos(call: Call, filled: Path, tmp_path: Path) -> None:
    output = tmp_path / "tree"
    line = ("labels", "export", filled, "--format", "imagefolder", "--output", output, "--link")
    assert call(*line).status == 0
    link = output / "t-shirt, red" / "south" / "img_001.jpg"
    assert link.is_symlink()
    assert link.resolve() == (filled / "south" / "img_001.jpg").resolve()


def test_label_studio_tasks_without_labels_have_predictions(
    call: Call, filled: Path, tmp_path: Path
) -> None:
    make_image(7).save(filled / "new.jpg")
    guesses = tmp_path / "predictions.csv"
    guesses.write_text("path,label,confidence,probability_hat\nnew.jpg,hat,0.75,0.75\n")
    output = tmp_path / "tasks"
    line = ["labels", "export", filled, "--format", "label-studio", "--output", output]
    line += ["--image-url", "http://photos/"]
    assert call(*line, "--json").json()["items"] == 6
    shutil.rmtree(output)
    assert call(*line, "--predictions", guesses, "--json").json()["items"] == 7
    tasks = {task["data"]["path"]: task for task in json.loads((output / "tasks.json").read_text())}
    assert tasks["new.jpg"]["data"]["image"] == "http://photos/new.jpg"
    (prediction,) = tasks["new.jpg"]["predictions"]
    assert (prediction["score"], prediction["result"][0]["value"]) == (0.75, {"choices": ["hat"]})
    assert "annotations" not in tasks["new.jpg"]
    shutil.rmtree(output)
    assert call(*line, "--all", "--json").json()["items"] == 7


def test_label_studio_export_without_labels(call: Call, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "tasks"
    line = ["labels", "export", folder, "--format", "label-studio", "--output", output, "--all"]
    status, message = call(*line, "--quiet").error()
    assert (status, message.partition(":")[0]) == (1, "embedpipe")
    assert "Label Studio needs at least one class" in message
    outcome = call(*line, "--class", "t-shirt, red", "--class", "hat")
    assert outcome.out == f"{output}: 6 items\n"
    assert outcome.err == f"{serving_instructions(folder)}\n"
    config = ElementTree.parse(output / "config.xml")
    assert [node.get("value") for node in config.iter("Choice")] == ["hat", "t-shirt, red"]
    tasks = {task["data"]["path"]: task for task in json.loads((output / "tasks.json").read_text())}
    assert tasks["north/img_001.jpg"]["data"]["image"] == (
        "/data/local-files/?d=photos/north/img_001.jpg"
    )
    shutil.rmtree(output)
    guesses = tmp_path / "predictions.csv"
    guesses.write_text("path,label,confidence\nz.jpg,hat,0.75\n")
    line = [*line[:-1], "--predictions", guesses, "--json"]
    assert call(*line).json()["items"] == 1


def test_label_studio_cannot_show_images_of_an_archive(
    call: Call, folder: Path, tmp_path: Path
) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", folder))
    output = tmp_path / "tasks"
    line = ["labels", "export", archive, "--format", "label-studio", "--output", output, "--all"]
    outcome = call(*line, "--class", "hat")
    assert outcome.status == 0
    assert outcome.err.endswith(
        "which are not files in a folder: unpack them, and give the prefix of their addresses with "
        "--image-url.\n"
    )
    shutil.rmtree(output)
    assert call(*line, "--class", "hat", "--image-url", "http://photos/").err == ""


def test_leading_folders_of_paths(call: Call, folder: Path, tmp_path: Path, log_file: Path) -> None:
    """As in a task that Label Studio made itself of a file below its document root."""
    image = {"image": "/data/local-files/?d=data/photos/north/img_001.jpg"}
    annotation = {"result": [{"type": "choices", "value": {"choices": ["hat"]}}]}
    tasks = [{"id": 1, "data": image, "annotations": [annotation]}]
    file = tmp_path / "export.json"
    file.write_text(json.dumps(tasks))
    line = ("labels", "import", folder, file, "--format", "label-studio")
    assert call(*line).error() == (
        1,
        "embedpipe: 1 of 1 labelled paths is not in the dataset: 'data/photos/north/img_001.jpg' "
        "(did you mean 'north/img_001.jpg'?). Paths must be relative to the dataset's folder, such "
        "as 'größe 帽/ä, ö.jpg'. Nothing was imported. --strip-prefix removes leading "
        "folders from the paths of the file.",
    )
    assert call(*line, "--strip-prefix", "data/photos/", "--json").json()["items"] == 1
    assert [(event.path, event.label) for event in events(log_file)] == [
        ("north/img_001.jpg", "hat")
    ]
    both = tmp_path / "both.csv"
    both.write_text("path,label\nz.jpg,hat\ndata/z.jpg,shoe\n")
    line = ("labels", "import", folder, both, "--format", "csv", "--strip-prefix", "data")
    assert call(*line).error() == (
        1,
        f"embedpipe: {both}, line 3: 'z.jpg' is labelled 'shoe' here, but labelled 'hat' earlier "
        "in the file. Keep one of the two.",
    )


def test_lightly_export_has_all_vectors(call: Call, filled: Path, tmp_path: Path) -> None:
    import embedpipe as ep

    (filled / "broken.jpg").write_bytes(b"no image")
    make_image(7).save(filled / "new.jpg")
    output = tmp_path / "lightly"
    line = ["labels", "export", filled, "--format", "lightly", "--output", output]
    assert call(*line, "--backbone", "toy", "--json").json()["items"] == 7
    paths, matrix, numbers = read_lightly_embeddings(output)
    embeddings = ep.embed(filled, backbone="toy", workspace=tmp_path / "workspace")
    assert paths == [item.id for item in embeddings.items]
    assert (matrix == embeddings.matrix).all()
    assert (numbers >= 0).sum() == 4


WRONG = {
    "no labels yet": (
        ["--format", "csv", "--output", "out.csv"], 1,
        "labels.sqlite has no labels of {name!r}: label with `embedpipe label`, or import labels "
        "with `embedpipe labels import`.",
    ),
    "all of a table": (
        ["--format", "csv", "--output", "out.csv", "--all"], 2,
        "--all: the format csv cannot contain items without a label; the formats fiftyone, "
        "label-studio, lightly can.",
    ),
    "links in a zip": (
        ["--format", "cvat", "--output", "out.zip", "--link"], 2,
        "--link: the format cvat cannot contain links to images.",
    ),
    "classes in a table": (
        ["--format", "csv", "--output", "out.csv", "--class", "x"], 2,
        "--class: the format csv contains no list of classes.",
    ),
    "addresses in a table": (
        ["--format", "csv", "--output", "out.csv", "--image-url", "x"], 2,
        "--image-url: the format csv contains no addresses of images.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_impossible_exports_are_refused(case: str, call: Call, folder: Path) -> None:
    words, status, message = WRONG[case]
    found, line = call("labels", "export", folder, *words, "--quiet").error()
    assert found == status
    import embedpipe as ep

    assert line.endswith(message.format(name=ep.load_dataset(folder).name))


def test_links_to_an_archive_are_refused(call: Call, folder: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    file = formats["csv"].write(tmp_path / "e.csv", LABELS[:1])
    assert call("labels", "import", archive, file, "--format", "csv").status == 0
    line = ("labels", "export", archive, "--format", "imagefolder", "--output", tmp_path / "tree")
    status, message = call(*line, "--link").error()
    assert status == 2
    assert message.endswith("are not files in a folder; leave the option out.")
    assert call(*line).status == 0
    assert (tmp_path / "tree/hat/north/img_001.jpg").read_bytes() == (
        folder / "north/img_001.jpg"
    ).read_bytes()


def test_a_head_is_trained_from_the_log(
    call: Call, photos: Callable[..., Path], tmp_path: Path, log_file: Path
) -> None:
    root, head = photos(12), tmp_path / "head.safetensors"
    line = ["train", root, "--output", head, "--backbone", "toy"]
    status, message = call(*line, "--quiet").error()
    assert (status, message.partition(":")[0]) == (1, "embedpipe")
    assert "has no labels of" in message
    labels = [Labelled(f"class{n % 3}/{n:04d}.jpg", "abc"[n % 3]) for n in range(6)]
    labels.append(Labelled("class0/0006.jpg", status="skip"))
    file = formats["csv"].write(tmp_path / "f.csv", labels)
    assert call("labels", "import", root, file, "--format", "csv").status == 0
    result = call(*line, "--head", "ridge(alpha=2)", "--json").json()
    assert (result["labelled"], result["classes"]) == (6, ["a", "b", "c"])


def test_accepted_suggestions_do_not_train_and_keep_their_status_in_tables(
    call: Call, filled: Path, tmp_path: Path, log_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LabelLog(log_file) as log:
        (dataset,) = {event.dataset for event in log.events()}
        accepted = {"label": "hat", "suggestion": "hat", "model": "logistic-4"}
        log.append([Event("accept", dataset, "z.jpg", who="ann", **accepted)])
    head = tmp_path / "head.safetensors"
    trained = call("train", filled, "--output", head, "--backbone", "toy", "--json")
    assert trained.json()["labelled"] == 4
    remark = "left out accepted suggestions: 1; only labels of a person are used."
    assert remark in trained.err.splitlines()
    output = tmp_path / "out.csv"
    assert call("labels", "export", filled, "--format", "csv", "--output", output).status == 0
    items = {item.path: item for item in formats["csv"].read(output)}
    assert items["z.jpg"] == Labelled("z.jpg", "hat", "accepted", who="ann")
    tree = tmp_path / "tree"
    exported = call("labels", "export", filled, "--format", "imagefolder", "--output", tree)
    assert exported.out == (f"{tree}: 5 items, 1 of them accepted suggestions; 1 skip left out\n")
    assert (tree / "hat" / "z.jpg").exists()
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "elsewhere"))
    assert call("labels", "import", filled, output, "--format", "csv").status == 0
    output.write_text(output.read_text().replace("label,ann", "accepted,ann"))
    result = call("labels", "import", filled, output, "--format", "csv", "--json").json()
    assert (result["items"], result["unchanged"]) == (0, 6)  # labels are not replaced
    with LabelLog(tmp_path / "elsewhere" / "labels.sqlite") as log:
        kinds = {path: (now.kind, now.label) for path, now in log.current(dataset).items()}
        last = [event for event in log.events() if event.kind == "accept"]
    assert kinds["z.jpg"] == ("accept", "hat")
    assert sum(kind == "label" for kind, _ in kinds.values()) == 4
    assert [(event.suggestion, event.model) for event in last] == [("hat", "unknown")]


def test_login_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    assert login_name() == "ann"
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert login_name() is None


def test_labels_of_another_program_are_rewritten_and_counted(
    call: Call, folder: Path, tmp_path: Path, log_file: Path
) -> None:
    file = tmp_path / "windows.csv"
    file.write_text(
        "path,label\nC:\\photos\\north\\img_001.jpg,hat\nphotos/south/img_001.jpg,\nz.jpg,shoe\n"
    )
    line = ("labels", "import", folder, file, "--format", "csv", "--who", "ann")
    assert call(*line).out == (
        f"{log_file}: 2 imported, 0 unchanged; 3 entries read, 2 used, 1 left out: 1 without a "
        "label ('photos/south/img_001.jpg')\n"
        "1 path rewritten: 1 backslashes read as slashes and leading folders removed "
        "('C:\\\\photos\\\\north\\\\img_001.jpg' is 'north/img_001.jpg')\n"
    )
    assert [(event.path, event.label) for event in events(log_file)] == [
        ("north/img_001.jpg", "hat"), ("z.jpg", "shoe"),
    ]  # fmt: skip
    result = call(*line, "--json").json()
    assert (result["items"], result["entries"], result["taken"]) == (0, 3, 2)
    assert [kind["count"] for kind in (*result["left_out"], *result["rewritten"])] == [1, 1]


def test_an_import_without_labels_is_an_error(call: Call, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "l.csv"
    file.write_text("path,label\nz.jpg,\nx.jpg,hat\n")
    line = ("labels", "import", folder, file, "--format", "csv", "--skip-unknown")
    assert call(*line, "--quiet").error() == (
        1,
        f"embedpipe: {file} contains no labels to import. 2 entries read, 0 used, 2 left out: 1 "
        "without a "
        "label ('z.jpg'), 1 not in the dataset ('x.jpg').",
    )


def test_only_label_studio_has_a_control(
    call: Call, folder: Path, tmp_path: Path, log_file: Path
) -> None:
    def result(name: str, label: str) -> dict[str, Any]:
        return {"from_name": name, "type": "choices", "value": {"choices": [label]}}

    answers = [result("kind", "hat"), result("quality", "sharp")]
    data = {"image": "/data/local-files/?d=photos/z.jpg"}
    file = tmp_path / "export.json"
    file.write_text(json.dumps([{"id": 1, "data": data, "annotations": [{"result": answers}]}]))
    line = ("labels", "import", folder, file, "--format", "label-studio")
    status, message = call(*line).error()
    assert status == 1
    assert "Controls with answers: kind, quality. Choose the one with the classes" in message
    outcome = call(*line, "--control", "kind")
    assert outcome.out.endswith("\nThe class is the answer to the control 'kind'.\n")
    assert [(event.path, event.label) for event in events(log_file)] == [("z.jpg", "hat")]
    assert call(*line[:-1], "csv", "--control", "kind").error() == (
        2,
        "embedpipe: --control: the format csv has no controls; leave the option out.",
    )


def test_export_and_import_of_items_outside_the_manifest_folder(
    call: Call, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    make_image(9).save(elsewhere / "a:b.jpg")
    manifest = folder / "list.csv"
    manifest.write_text(f"path\n{elsewhere / 'a:b.jpg'}\n../elsewhere/a:b.jpg\nz.jpg\n")
    labels = {str(elsewhere / "a:b.jpg"): "hat", "../elsewhere/a:b.jpg": "shoe", "z.jpg": "cup"}
    file = formats["jsonl"].write(
        tmp_path / "l.jsonl", [Labelled(*pair) for pair in labels.items()], existing=labels
    )
    for number, name in enumerate(formats):
        monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / f"w{number}"))
        assert call("labels", "import", manifest, file, "--format", "jsonl").status == 0
        output = tmp_path / f"out{number}{formats[name].suffix}"
        more = ["--backbone", "toy"] if name == "lightly" else []
        line = ("labels", "export", manifest, "--format", name, "--output", output, *more)
        assert call(*line, "--quiet").status == 0, name
        monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / f"x{number}"))
        assert call("labels", "import", manifest, output, "--format", name).status == 0
        with LabelLog(tmp_path / f"x{number}" / "labels.sqlite") as log:
            assert {event.path: event.label for event in log.events()} == labels, name


def test_train_resolves_the_paths_of_a_label_file(
    call: Call, photos: Callable[..., Path], tmp_path: Path
) -> None:
    root, file = photos(12), tmp_path / "labels.csv"
    rows = [f"{root.name}\\class{n % 3}\\{n:04d}.jpg,{'abc'[n % 3]}" for n in range(6)]
    file.write_text("\n".join(["path,label", *rows]))
    line = ["train", root, "--labels", file, "--output", tmp_path / "head.safetensors"]
    outcome = call(*line, "--backbone", "toy", "--json")
    assert outcome.json()["labelled"] == 6
    assert "6 paths rewritten: 6 backslashes read as slashes and leading folders" in outcome.err
