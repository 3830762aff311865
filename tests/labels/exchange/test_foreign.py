"""Files of other programs: no guesses, and a reason for every entry that is left out."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from embedpipe.datasets.path_messages import Counted
from embedpipe.errors import FormatError, LabelError
from embedpipe.labels import PathResolver
from embedpipe.labels.exchange import formats

FOLDER = "/home/ann/photos"


def read(name, path, ids, *, classes=(), folder=FOLDER, **options):
    """Return the labels by item, and the whole reading."""
    resolver = PathResolver(ids, folder=folder, classes=classes)
    reading = formats[name].read_for(path, resolver, **options)
    return {item.path: item.label or item.status for item in reading.items}, reading


def error_of(name, path, ids, *, kind=FormatError, **options):
    with pytest.raises(kind) as error:
        read(name, path, ids, **options)
    return str(error.value).replace(str(path), "FILE")


def zipped(tmp_path, *names, comment=b""):
    path = tmp_path / "task.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = comment
        for name in names:
            archive.writestr(name, b"image")
    return path


def tree(tmp_path, *names):
    for name in names:
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(b"image")
    return tmp_path / "tree"


# ---- folders of classes ----


def test_no_label_of_cvat_is_not_a_class(tmp_path):
    path = zipped(tmp_path, "cat/1.jpg", "no_label/2.jpg", "no_label/x/3.jpg", "4.jpg")
    labels, reading = read("cvat", path, ["1.jpg", "2.jpg", "x/3.jpg", "4.jpg"])
    assert labels == {"1.jpg": "cat"}
    assert (reading.entries, reading.taken) == (4, 1)
    assert reading.left_out == {
        "in no_label/": Counted(2, "'2.jpg'"),
        "outside the class folders": Counted(1, "'4.jpg'"),
    }
    assert reading.summary() == (
        "4 entries read, 1 used, 3 left out: 2 in no_label/ ('2.jpg'), 1 outside the class folders "
        "('4.jpg')"
    )


@pytest.mark.parametrize("name", ["imagefolder", "fiftyone"])
@pytest.mark.parametrize("folder", ["no_label", "_unlabeled", "_unlabelled"])
def test_an_unpacked_tree_has_no_such_class_either(name, folder, tmp_path):
    path = tree(tmp_path, "cat/1.jpg", f"{folder}/2.jpg")
    labels, reading = read(name, path, ["1.jpg", "2.jpg"])
    assert labels == {"1.jpg": "cat"}
    assert reading.left_out == {f"in {folder}/": Counted(1, "'2.jpg'")}


def test_a_class_with_the_name_unlabeled(tmp_path):
    assert read("cvat", zipped(tmp_path, "unlabeled/1.jpg"), ["1.jpg"])[0] == {"1.jpg": "unlabeled"}


@pytest.mark.parametrize(
    ("member", "ids", "item"),
    [
        ("dog/cat/1.jpg", ["1.jpg"], "1.jpg"),
        ("dog/cat/1.jpg", ["cat/1.jpg"], "cat/1.jpg"),
        ("dog/cat/1.jpg", ["cat/1.jpg", "1.jpg"], "cat/1.jpg"),
        ("dog/cat/x%2F1.jpg", ["x/1.jpg", "1.jpg"], "x/1.jpg"),
        ("dog/cat/cat%2F1.jpg", ["cat/1.jpg"], "cat/1.jpg"),
        ("dog/dog_1.jpg", ["1.jpg"], "1.jpg"),
        ("dog/dog_1.jpg", ["1.jpg", "dog_1.jpg"], "dog_1.jpg"),
        ("dog/dog_cat/1.jpg", ["1.jpg"], "1.jpg"),
        ("dog/1.jpg", ["dog/1.jpg", "cat/1.jpg"], "dog/1.jpg"),
        ("dog\\cat\\1.jpg", ["1.jpg"], "1.jpg"),
        ("dog/Cafe\u0301.jpg", ["Caf\u00e9.jpg"], "Caf\u00e9.jpg"),
    ],
)
def test_a_tag_that_was_corrected_in_cvat(member, ids, item, tmp_path):
    path = zipped(tmp_path, member)
    assert read("cvat", path, ids, classes=["cat", "dog"])[0] == {item: "dog"}
    if "cat/" in member:  # the class is known from another folder of the archive
        both = zipped(tmp_path, member, "cat/2.jpg")
        assert read("cvat", both, [*ids, "2.jpg"])[0] == {item: "dog", "2.jpg": "cat"}


def test_a_folder_that_is_not_a_class_is_not_removed(tmp_path):
    path = zipped(tmp_path, "dog/north/1.jpg", "dog/2.jpg")
    assert error_of("cvat", path, ["1.jpg", "2.jpg"], kind=LabelError) == (
        "1 of 2 labelled paths is not in the dataset: 'north/1.jpg' (did you mean '1.jpg'?). Paths "
        "must be relative to the dataset's folder, such as '1.jpg'. Nothing was imported."
    )


def test_a_zip_with_one_more_folder_is_not_a_new_class(tmp_path):
    path = zipped(tmp_path, "my export/cat/1.jpg", "my export/dog/2.jpg")
    ids, classes = ["1.jpg", "2.jpg"], ["cat", "dog"]
    assert error_of("cvat", path, ids, classes=classes) == (
        "FILE: the folder 'my export' is not a known class, but its subfolders are. If 'my export' "
        "is a new class, add --class 'my export'. Otherwise pack only its subfolders."
    )
    labels, _ = read("cvat", path, ids, classes=[*classes, "my export"])
    assert labels == {"1.jpg": "my export", "2.jpg": "my export"}


def test_outer_folders_and_splits_are_not_classes(tmp_path):
    path = tree(tmp_path, "export/cat/1.jpg", "export/dog/2.jpg")
    labels, reading = read("imagefolder", path, ["1.jpg", "2.jpg"], classes=["cat", "dog"])
    assert labels == {"1.jpg": "cat", "2.jpg": "dog"}
    assert reading.notes == ["The class folders are in the folder export."]
    (tmp_path / "second").mkdir()
    path = tree(tmp_path / "second", "train/cat/1.jpg", "val/dog/1.jpg", "val/_unlabeled/2.jpg")
    labels, reading = read("imagefolder", path, ["train/cat/1.jpg", "val/dog/1.jpg", "val/2.jpg"])
    assert labels == {"train/cat/1.jpg": "cat", "val/dog/1.jpg": "dog"}
    assert reading.notes == ["The folders train, val are splits; their subfolders are classes."]
    assert read("imagefolder", path, ["train/1.jpg", "val/1.jpg"])[0] == {
        "train/1.jpg": "cat", "val/1.jpg": "dog",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "file"),
    [
        (["images/1.jpg", "annotations.xml"], "annotations.xml"),
        (["images/1.jpg", "annotations/instances.json"], "annotations/instances.json"),
        (["data/1.jpg", "labels.json"], "labels.json"),
        (["JPEGImages/1.jpg", "Annotations/1.xml"], "Annotations/1.xml"),
        (["train/images/1.jpg", "val/images/2.jpg", "data.yaml"], "data.yaml"),
    ],
)
@pytest.mark.parametrize("name", ["imagefolder", "fiftyone", "cvat"])
def test_a_folder_of_all_images_beside_annotations_is_not_a_class(name, names, file, tmp_path):
    path = zipped(tmp_path, *names) if name == "cvat" else tree(tmp_path, *names)
    folder = "images" if "train" in names[0] else names[0].partition("/")[0]
    wanted = "ImageNet 1.0" if name == "cvat" else name
    assert error_of(name, path, ["1.jpg", "2.jpg"]) == (
        f"FILE contains {file} and all images in one folder, {folder!r}; expected one folder per "
        f"class. Export in the format {wanted}. If {folder!r} is a class, add --class {folder}."
    )
    ids = ["1.jpg", "2.jpg"]
    assert set(read(name, path, ids, classes=[folder])[0].values()) == {folder}


def test_a_class_with_the_name_of_a_split(tmp_path):
    path = tree(tmp_path, "train/1.jpg", "test/2.jpg")
    assert read("imagefolder", path, ["1.jpg", "2.jpg"])[0] == {"1.jpg": "train", "2.jpg": "test"}


@pytest.mark.parametrize("names", [("train/1.jpg", "val/2.jpg"), ("train/1.jpg", "val/cat/2.jpg")])
def test_splits_of_the_dataset_are_not_classes(names, tmp_path):
    path = tree(tmp_path, *names)
    assert "are splits of the dataset" in error_of("imagefolder", path, names)
    labels, _ = read("imagefolder", path, names, classes=["train"])
    assert labels == {names[0]: "train", names[1]: "val"}


@pytest.mark.parametrize("name", ["imagefolder", "fiftyone", "cvat"])
@pytest.mark.parametrize(
    "names",
    [
        ("images/1.jpg", "annotations.xml"),
        ("data/1.jpg", "labels.json"),
        ("images/default/1.jpg", "annotations/instances_default.json"),
        ("JPEGImages/1.jpg", "Annotations/1.xml"),
        ("obj_train_data/1.jpg", "obj.data"),
    ],
)
def test_a_layout_with_the_labels_in_another_file_is_refused(name, names, tmp_path):
    path = zipped(tmp_path, *names) if name == "cvat" else tree(tmp_path, *names)
    assert "expected one folder per class" in error_of(name, path, ["1.jpg"])


def test_other_files_beside_the_classes_are_ignored(tmp_path):
    names = ("cat/1.jpg", "README.txt", "cat/labels.json", "annotations/2.jpg")
    for name, path in (("cvat", zipped(tmp_path, *names)), ("fiftyone", tree(tmp_path, *names))):
        labels, _ = read(name, path, ["1.jpg", "2.jpg"])
        assert labels == {"1.jpg": "cat", "2.jpg": "annotations"}


def test_the_folder_of_a_subset_is_not_a_class(tmp_path):
    path = zipped(tmp_path, "default/cat/1.jpg", "default/dog/x/2.jpg")
    labels, reading = read("cvat", path, ["1.jpg", "x/2.jpg"])
    assert labels == {"1.jpg": "cat", "x/2.jpg": "dog"}
    assert reading.notes == ["The class folders are in the folder default."]
    path = zipped(tmp_path, "task/cat/1.jpg", "task/no_label/2.jpg")
    assert read("cvat", path, ["1.jpg", "2.jpg"])[0] == {"1.jpg": "cat"}
    path = zipped(tmp_path, "default/cat/1.jpg")
    labels, _ = read("cvat", path, ["cat/1.jpg"], classes=["default"])
    assert labels == {"cat/1.jpg": "default"}


@pytest.mark.parametrize("name", ["imagefolder", "fiftyone", "cvat"])
def test_a_literal_escape_in_a_tree_from_elsewhere(name, tmp_path):
    names = ["cat/images%2F1.jpg", "dog/a%3Ab.jpg", "cat/100%25.jpg"]
    path = zipped(tmp_path, *names) if name == "cvat" else tree(tmp_path, *names)
    ids = ["images%2F1.jpg", "images/1.jpg", "a%3Ab.jpg", "a:b.jpg", "100%25.jpg", "100%.jpg"]
    labels, reading = read(name, path, ids)
    assert labels == {"images%2F1.jpg": "cat", "a%3Ab.jpg": "dog", "100%25.jpg": "cat"}
    assert reading.rewritten == {}
    labels, reading = read(name, path, ["images/1.jpg", "a:b.jpg", "100%.jpg"])
    assert labels == {"images/1.jpg": "cat", "a:b.jpg": "dog", "100%.jpg": "cat"}
    assert reading.rewritten == {
        "percent escapes decoded": Counted(3, reading.rewritten["percent escapes decoded"].example)
    }


def test_the_tree_of_the_dataset_itself(tmp_path):
    """An image in the dataset's folder is the item at this place."""
    path = tree(tmp_path, "cat/1.jpg", "dog/1.jpg")
    ids = ["1.jpg", "cat/1.jpg", "dog/1.jpg"]
    assert read("imagefolder", path, ids, folder=str(path))[0] == {
        "cat/1.jpg": "cat", "dog/1.jpg": "dog",
    }  # fmt: skip


# ---- Hugging Face ----


def test_metadata_in_every_folder(tmp_path):
    path = tree(tmp_path, "train/1.jpg", "test/x/1.jpg", ".cache/2.jpg")
    (path / "train" / "metadata.csv").write_text("file_name,label\n1.jpg,cat\n")
    (path / "test" / "metadata.jsonl").write_text('{"file_name": "x/1.jpg", "label": "dog"}\n')
    (path / ".cache" / "metadata.csv").write_text("file_name,label\n2.jpg,ant\n")
    ids = ["train/1.jpg", "test/x/1.jpg", "1.jpg", "x/1.jpg"]
    expected = {"train/1.jpg": "cat", "test/x/1.jpg": "dog"}
    assert read("huggingface", path, ids)[0] == expected
    # One table of the dataset's own folder: its names are relative to where it lies.
    table = path / "train" / "metadata.csv"
    assert read("huggingface", table, ids, folder=str(path))[0] == {"train/1.jpg": "cat"}
    assert read("huggingface", table, ["1.jpg"])[0] == {"1.jpg": "cat"}


def test_metadata_paths_may_be_literal_or_have_parent_folders(tmp_path):
    path = tree(tmp_path, "meta/x.txt")
    (path / "meta" / "metadata.csv").write_text("file_name,label\n../a%2Fb.jpg,cat\n")
    assert read("huggingface", path, ["a%2Fb.jpg", "a/b.jpg"])[0] == {"a%2Fb.jpg": "cat"}
    (path / "meta" / "metadata.jsonl").write_text("")
    assert error_of("huggingface", path, ["1.jpg"]) == (
        "FILE/meta contains metadata.csv and metadata.jsonl. Keep one of them."
    )


def test_the_message_about_missing_metadata(tmp_path):
    assert error_of("huggingface", tree(tmp_path, "cat/1.jpg"), ["1.jpg"]) == (
        "FILE contains no labels: expected metadata.csv, metadata.jsonl or metadata.parquet. If "
        "its folders are the classes, use the format imagefolder."
    )


# ---- Label Studio ----


def choices(name, *names, **value):
    return {"from_name": name, "type": "choices", "value": {"choices": list(names), **value}}


def task(number, image, *results, **annotation):
    return {"id": number, "data": {"image": image}, "annotations": [
        {"completed_by": 1, "was_cancelled": False, "result": list(results), **annotation}
    ]}  # fmt: skip


def exported(tmp_path, *tasks):
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks))
    return path


LOCAL = "/data/local-files/?d="


def test_the_only_control_is_the_class(tmp_path):
    path = exported(tmp_path, task(1, f"{LOCAL}1.jpg", choices("animal", "cat")))
    labels, reading = read("label-studio", path, ["1.jpg"])
    assert labels == {"1.jpg": "cat"}
    assert reading.notes == ["The class is the answer to the control 'animal'."]


def test_one_of_several_controls_must_be_chosen(tmp_path):
    path = exported(
        tmp_path,
        task(1, f"{LOCAL}1.jpg", choices("animal", "cat"), choices("quality", "sharp")),
        task(2, f"{LOCAL}2.jpg", choices("quality", "blurry")),
    )
    ids = ["1.jpg", "2.jpg"]
    assert error_of("label-studio", path, ids) == (
        "FILE: no task has an answer to the control 'choice'. Controls with answers: animal, "
        "quality. Choose the one with the classes: --control NAME, or `control` in Python."
    )
    labels, reading = read("label-studio", path, ids, control="animal")
    assert labels == {"1.jpg": "cat"}
    assert reading.left_out == {"without an answer to 'animal'": Counted(1, "'2.jpg'")}
    assert error_of("label-studio", path, ids, control="sort") == (
        "FILE: no task has an answer to the control 'sort'. Controls with answers: animal, quality."
    )
    assert {item.path for item in formats["label-studio"].read(path, control="quality")} == {*ids}


def test_the_control_choice_comes_first_even_with_only_predictions(tmp_path):
    guess = {"result": [choices("choice", "cat")], "score": 0.5}
    asked = task(1, f"{LOCAL}1.jpg", choices("quality", "blurry")) | {"predictions": [guess]}
    path = exported(tmp_path, asked, task(2, f"{LOCAL}2.jpg", choices("choice", "dog")))
    labels, reading = read("label-studio", path, ["1.jpg", "2.jpg"])
    assert labels == {"2.jpg": "dog"}
    assert reading.left_out == {"with only a prediction": Counted(1, "'1.jpg'")}


@pytest.mark.parametrize(
    ("results", "kind"),
    [
        ([{"from_name": "label", "type": "rectanglelabels",
           "value": {"x": 1, "rectanglelabels": ["cat"]}}], "label (regions)"),
        ([{"from_name": "kind", "type": "taxonomy", "value": {"taxonomy": [["a", "b"]]}}],
         "kind (taxonomy)"),
        ([{"from_name": "words", "type": "textarea", "value": {"text": ["cat"]}}],
         "words (textarea)"),
        ([choices("choice", "cat", x=1, y=1, width=2, height=2)], "choice (regions)"),
    ],
)  # fmt: skip
def test_answers_that_are_not_classes_of_images(results, kind, tmp_path):
    path = exported(tmp_path, task(1, f"{LOCAL}1.jpg", *results))
    assert error_of("label-studio", path, ["1.jpg"]) == (
        f"FILE: no answer is the class of a whole image; found {kind}. Label with a Choices "
        "control, one class per image."
    )


def test_ignored_controls_are_reported(tmp_path):
    answers = choices("choice", "cat"), choices("quality", "sharp")
    reading = read(
        "label-studio", exported(tmp_path, task(1, f"{LOCAL}1.jpg", *answers)), ["1.jpg"]
    )
    assert reading[0] == {"1.jpg": "cat"}
    assert reading[1].notes == [
        "The class is the answer to the control 'choice'. Ignored controls: quality."
    ]


def test_the_message_about_a_table_of_label_studio(tmp_path):
    path = tmp_path / "project.csv"
    path.write_text("id,image,choice\n1,1.jpg,cat\n")
    message = "FILE is a table. Export from Label Studio as JSON or JSON_MIN."
    assert error_of("label-studio", path, ["1.jpg"]) == message


def test_json_min_has_a_row_for_each_annotator(tmp_path):
    def row(number, label, who, **more: Any):
        return {"id": number, "image": f"{LOCAL}{number}.jpg", "choice": label, "annotator": who,
                **more}  # fmt: skip

    path = exported(tmp_path, row(1, "cat", 1), row(1, "cat", 2), row(2, "dog", 1))
    labels, reading = read("label-studio", path, ["1.jpg", "2.jpg"])
    assert labels == {"1.jpg": "cat", "2.jpg": "dog"}
    assert reading.left_out == {"that repeat an earlier entry": Counted(1, "'1.jpg'")}
    assert reading.items[0].who == "1"
    path = exported(tmp_path, row(1, "cat", 1), row(1, "dog", 2))
    assert error_of("label-studio", path, ["1.jpg"]) == (
        "FILE, task 1: '1.jpg' is labelled 'dog' by '2' here, but labelled 'cat' by '1' earlier in "
        "the file. Keep "
        "one of the two."
    )
    path = exported(tmp_path, row(1, ["cat"], 1, drafts=[]), row(2, [], 1, drafts=[]))
    assert read("label-studio", path, ["1.jpg", "2.jpg"])[0] == {"1.jpg": "cat"}
    path = exported(tmp_path, row(1, {"choices": ["cat", "dog"]}, 1))
    assert error_of("label-studio", path, ["1.jpg"]) == (
        "FILE, task 1: 2 classes are chosen; expected one."
    )


def test_columns_of_json_min_are_not_answers(tmp_path):
    task = {"id": 1, "image": f"{LOCAL}1.jpg", "annotator": 1, "annotation_id": 3}
    path = exported(tmp_path, task | {"animal": "cat"})
    assert read("label-studio", path, ["1.jpg"])[0] == {"1.jpg": "cat"}
    path = exported(tmp_path, task | {"animal": None, "width": 640}, task | {"animal": "cat"})
    assert read("label-studio", path, ["1.jpg"])[0] == {"1.jpg": "cat"}
    path = exported(tmp_path, task | {"animal": "cat", "camera": "left"})
    assert error_of("label-studio", path, ["1.jpg"]).startswith(
        "FILE: no task has an answer to the control 'choice'. Controls with answers: animal, "
        "camera. Choose"
    )
    assert read("label-studio", path, ["1.jpg"], control="animal")[0] == {"1.jpg": "cat"}
    path = exported(tmp_path, task | {"label": [{"x": 1, "rectanglelabels": ["cat"]}]})
    assert error_of("label-studio", path, ["1.jpg"]).startswith(
        "FILE: no answer is the class of a whole image; found label (rectanglelabels)."
    )


@pytest.mark.parametrize(
    ("image", "item"),
    [
        (f"{LOCAL}photos%5Csub%5C1.jpg", "sub/1.jpg"),
        (f"{LOCAL}photos/sub/1.jpg", "sub/1.jpg"),
        (f"http://studio:8080{LOCAL}sub/1.jpg", "sub/1.jpg"),
        (f"{LOCAL}C:\\Users\\ann\\photos\\sub\\1.jpg", "sub/1.jpg"),
        (f"{LOCAL}sub/a+b.jpg", "sub/a+b.jpg"),
        (f"{LOCAL}sub/a%2Bb.jpg", "sub/a+b.jpg"),
        (f"{LOCAL}sub/c%20d.jpg", "sub/c d.jpg"),
        (f"{LOCAL}sub/c+d.jpg", "sub/c d.jpg"),
        (f"{LOCAL}sub/e%2Ff.jpg", "sub/e%2Ff.jpg"),
        (f"{LOCAL}sub/e%252Ff.jpg", "sub/e%2Ff.jpg"),
        (f"{LOCAL}sub/R&D.jpg", "sub/R&D.jpg"),
        ("s3://bucket/photos/sub/1.jpg", "sub/1.jpg"),
        ("gs://bucket/sub/c%20d.jpg", "sub/c d.jpg"),
        ("https://host/photos/sub/1.jpg?signature=a%2Fb", "sub/1.jpg"),
        (f"/tasks/1/resolve/?fileuri={base64.b64encode(b's3://b/photos/sub/1.jpg').decode()}",
         "sub/1.jpg"),
        ("/data/upload/3/0a1b2c3d-only_here_1.jpg", "sub/only here (1).jpg"),
    ],
)  # fmt: skip
def test_addresses_of_images(image, item, tmp_path):
    ids = ["sub/1.jpg", "sub/a+b.jpg", "sub/c d.jpg", "sub/e%2Ff.jpg", "sub/R&D.jpg"]
    ids += ["sub/only here (1).jpg", "twice/1.jpg"]
    path = exported(tmp_path, task(1, image, choices("choice", "cat")))
    assert read("label-studio", path, ids)[0] == {item: "cat"}


def test_uploads_are_explained(tmp_path):
    path = exported(tmp_path, task(1, "/data/upload/1/0a1b2c3d-1.jpg", choices("choice", "cat")))
    message = error_of("label-studio", path, ["a/1.jpg", "b/1.jpg"], kind=LabelError)
    assert message == (
        "1 of 1 labelled paths matches several images: '/data/upload/1/0a1b2c3d-1.jpg' ('a/1.jpg', "
        "'b/1.jpg'). Write one of the paths in brackets. Nothing was imported. Label Studio keeps "
        "only the file name of an uploaded image. To keep full paths, import the tasks.json of "
        "`labels export` into Label Studio."
    )


def test_cancelled_answers_are_skips_and_old_exports_are_read(tmp_path):
    old = {"id": 3, "data": {"photo": f"{LOCAL}3.jpg"},
           "completions": [{"result": [choices("choice", "dog")]}]}  # fmt: skip
    path = exported(tmp_path, task(1, f"{LOCAL}1.jpg", was_cancelled=True), old)
    assert read("label-studio", path, ["1.jpg", "3.jpg"])[0] == {"1.jpg": "skip", "3.jpg": "dog"}


# ---- every format: no empty import without a message ----


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        ("csv", "l.csv", "path,label\n1.jpg,\n2.jpg,\n",
         "2 entries read, 0 used, 2 left out: 2 without a label ('1.jpg')."),
        ("csv", "l.csv", "path,label,prediction\n1.jpg,,cat\n",
         "1 entry read, 0 used, 1 left out: 1 with only a prediction ('1.jpg')."),
        ("jsonl", "l.jsonl", '{"path": "1.jpg", "label": null}\n',
         "1 entry read, 0 used, 1 left out: 1 without a label ('1.jpg')."),
        ("lightly", "embeddings.csv", "filenames,embedding_0,labels\n1.jpg,1,-1\n",
         "1 entry read, 0 used, 1 left out: 1 without a label ('1.jpg')."),
        ("label-studio", "t.json", json.dumps([task(1, f"{LOCAL}1.jpg")]),
         "1 entry read, 0 used, 1 left out: 1 without an answer to 'choice' ('1.jpg')."),
    ],
)  # fmt: skip
def test_the_message_about_a_file_without_labels(name, file, text, message, tmp_path):
    path = tmp_path / file
    path.write_text(text)
    (tmp_path / "classes.json").write_text("{}")
    assert error_of(name, path, ["1.jpg", "2.jpg"]) == (
        f"FILE contains no labels to import. {message}"
    )


def test_only_unknown_paths_are_an_error_even_if_they_are_skipped(tmp_path):
    path = tmp_path / "l.csv"
    path.write_text("path,label\nx.jpg,cat\ny.jpg,cat\n")
    assert error_of("csv", path, ["1.jpg"], skip_unknown=True) == (
        "FILE contains no labels to import. 2 entries read, 0 used, 2 left out: 2 not in the "
        "dataset "
        "('x.jpg')."
    )


def test_lightly_without_class_names_has_a_note(tmp_path):
    path = tmp_path / "embeddings.csv"
    path.write_text("filenames,embedding_0,labels\n1.jpg,1,0\n")
    labels, reading = read("lightly", path, ["1.jpg"])
    assert labels == {"1.jpg": "0"}
    assert reading.notes == [
        f"There is no {tmp_path / 'classes.json'}, so the class names are numbers."
    ]


def test_the_message_about_a_zip_without_images(tmp_path):
    path = zipped(tmp_path, "default.txt", "synsets.txt")
    assert error_of("cvat", path, ["1.jpg"]) == (
        "FILE contains no images in class folders. Export from CVAT as ImageNet 1.0, with images."
    )


def test_another_unicode_form_is_reported(tmp_path):
    path = tmp_path / "l.csv"
    path.write_text("path,label\nCafe\u0301.jpg,cat\n")
    labels, reading = read("csv", path, ["Caf\u00e9.jpg"])
    assert labels == {"Caf\u00e9.jpg": "cat"}
    assert reading.rewritten_summary() == (
        "1 path rewritten: 1 another Unicode form ('Cafe\u0301.jpg' is 'Caf\u00e9.jpg')"
    )


def test_people_who_agree_in_a_table(tmp_path):
    path = Path(tmp_path) / "l.csv"
    path.write_text("path,label,who\n1.jpg,cat,ann\n./1.jpg,cat,bob\n")
    labels, reading = read("csv", path, ["1.jpg"])
    assert labels == {"1.jpg": "cat"}
    assert reading.left_out == {"that repeat an earlier entry": Counted(1, "'1.jpg'")}


def test_spaces_around_a_path_are_kept_only_if_an_item_has_them(tmp_path):
    path = tmp_path / "l.csv"
    path.write_text('label, path\ncat, 1.jpg\ndog,  2.jpg \nant, "3.jpg"\n')
    labels, reading = read("csv", path, [" 1.jpg", "1.jpg", "2.jpg", "3.jpg", " 3.jpg"])
    assert labels == {" 1.jpg": "cat", "2.jpg": "dog", "3.jpg": "ant"}
    assert list(reading.rewritten) == ["surrounding spaces removed"]
