"""Formats with images: their files for other programs."""

from __future__ import annotations

import csv
import struct
import zipfile

import pytest

from embedpipe.errors import FormatError
from embedpipe.labels.exchange import Labelled, formats
from embedpipe.labels.exchange.class_trees import MARKER

HAT, SHIRT = Labelled("x/1.png", "hat"), Labelled("y/1.png", "t-shirt")


def files(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if not file.is_dir())


def test_torchvision_reads_the_imagefolder(tmp_path, items, export):
    from torchvision.datasets import ImageFolder

    tree = export("imagefolder", tmp_path, items)
    dataset = ImageFolder(str(tree))
    sure = {item.path: item.label for item in items if item.is_sure}
    assert len(dataset) == len(sure) == 13  # one of them is accepted
    assert len(dataset.classes) == 12
    plain = ["hat", "t-shirt", "Größe 38", "帽子", 'so-called "hat"', "a, b"]
    escaped = ["and%2For", "%2Ehidden", "%5Funlabeled", "50% off %252F", "back%5Cslash%3A c"]
    assert dataset.classes == sorted([*plain, *escaped, "%5F_MACOSX"])
    ours = {str(tree / "hat" / "one" / "img_001.jpg"): "hat"}
    found = {path: dataset.classes[number] for path, number in dataset.samples}
    assert ours.items() <= found.items()
    image, _ = dataset[dataset.samples.index((next(iter(ours)), dataset.class_to_idx["hat"]))]
    assert image.getpixel((0, 0)) == (sum(b"one/img_001.jpg") % 256, 15, 7)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("imagefolder", [MARKER, "hat/x/1.png", "t-shirt/y/1.png"]),
        ("fiftyone", [MARKER, "_unlabeled/z%2F1.png", "hat/x%2F1.png", "t-shirt/y%2F1.png"]),
        ("huggingface", [MARKER, "metadata.csv", "x/1.png", "y/1.png"]),
    ],
)
def test_files_of_each_format(name, expected, tmp_path, export, open_image):
    tree = export(name, tmp_path, [HAT, SHIRT, Labelled("z/1.png", "hat", "unsure")])
    assert files(tree) == expected
    first = tree / expected[-2]
    assert first.read_bytes() == open_image("x/1.png")


@pytest.mark.parametrize("name", ["imagefolder", "fiftyone", "huggingface"])
def test_links_lead_to_the_images(name, tmp_path, open_image):
    source = tmp_path / "source"
    path = "y/caf\udce9.png"  # a name that is not UTF-8
    for file in ("x/1.png", path):
        (source / file).parent.mkdir(parents=True)
        (source / file).write_bytes(open_image("x/1.png"))
    items = [HAT, Labelled("y/caf\\xe9.png", "hat")]
    tree = formats[name].write(tmp_path / "tree", items, link_to=source)
    links = [file for file in tree.rglob("*.png") if file.is_symlink()]
    assert sorted(link.resolve() for link in links) == [source / "x/1.png", source / path]
    assert set(formats[name].read(tree)) == set(items)


def test_a_link_to_nothing_is_not_made(tmp_path):
    (tmp_path / "source").mkdir()
    with pytest.raises(FormatError) as error:
        formats["imagefolder"].write(tmp_path / "tree", [HAT], link_to=tmp_path / "source")
    assert str(error.value) == (
        f"the link target 'x/1.png' does not exist in {tmp_path / 'source'}."
    )
    assert files(tmp_path) == []


@pytest.mark.parametrize("name", ["imagefolder", "huggingface", "cvat"])
def test_no_labels_at_all(name, tmp_path, export):
    with pytest.raises(FormatError) as error:
        export(name, tmp_path, [Labelled("a.png"), Labelled("b.png", status="skip")])
    assert str(error.value) == f"no labels to write as {name}: none of 2 items has a sure label."
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled_and_a_full_one_is_not(tmp_path, export):
    (tmp_path / "labels").mkdir()
    tree = export("imagefolder", tmp_path, [HAT])
    with pytest.raises(FormatError) as error:
        export("imagefolder", tmp_path, [SHIRT])
    assert str(error.value) == f"{tree} already exists. Remove it, or choose another path."
    assert files(tree) == [MARKER, "hat/x/1.png"]


@pytest.mark.parametrize("name", ["imagefolder", "fiftyone"])
def test_trees_from_elsewhere(name, tmp_path):
    for file in ("cat/a.jpg", "cat/deep/b.JPG", "50% a%20b/c.png", "_unlabeled/d.png", "e.png"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "cat" / ".thumbnail.jpg").write_bytes(b"")
    assert formats[name].read(tmp_path) == [
        Labelled("c.png", "50% a%20b"),
        Labelled("a.jpg", "cat"),
        Labelled("deep/b.JPG", "cat"),
    ]


def test_one_image_in_two_classes(tmp_path):
    for folder in ("cat", "dog"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").write_bytes(b"")
    with pytest.raises(FormatError) as error:
        formats["imagefolder"].read(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}, file 'dog/a.jpg': 'a.jpg' is labelled 'dog' here, but labelled 'cat' earlier "
        "in the file. Keep one of the two."
    )


def test_a_tree_without_classes(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(FormatError) as error:
        formats["imagefolder"].read(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} contains no images in class folders. Put each image in a folder with the name "
        "of its class."
    )
    with pytest.raises(FormatError) as error:
        formats["imagefolder"].read(tmp_path / "a.jpg")
    assert str(error.value) == (
        f"{tmp_path / 'a.jpg'} is a file; expected a folder with one subfolder per class."
    )


def test_an_escaped_way_out_of_a_tree(tmp_path):
    (tmp_path / "hat").mkdir()
    (tmp_path / "hat" / "%2E%2E%2Fx.jpg").write_bytes(b"")
    with pytest.raises(FormatError) as error:
        formats["fiftyone"].read(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}, file 'hat/%2E%2E%2Fx.jpg': the path '../x.jpg' is outside the folder; "
        "expected a relative path without '..'."
    )


def test_the_metadata_of_a_hugging_face_folder(tmp_path, items, export):
    tree = export("huggingface", tmp_path, items)
    with (tree / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [list(row) for row in rows] == [["file_name", "label"]] * 13
    assert all((tree / row["file_name"]).is_file() for row in rows)
    assert {row["label"] for row in rows} == {item.label for item in items if item.is_sure}
    assert formats["huggingface"].read(tree) == formats["huggingface"].read(tree / "metadata.csv")


def test_other_metadata_of_hugging_face(tmp_path):
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a/1.png", "label": 3, "text": "x"}\n')
    assert formats["huggingface"].read(tmp_path) == [Labelled("a/1.png", "3")]
    (tmp_path / "metadata.csv").write_text("file_name,label\n../1.png,hat\n")
    with pytest.raises(FormatError) as error:
        formats["huggingface"].read(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} contains metadata.csv and metadata.jsonl. Keep one of them."
    )
    with pytest.raises(FormatError) as error:
        formats["huggingface"].read(tmp_path / "metadata.csv")
    assert str(error.value) == (
        f"{tmp_path / 'metadata.csv'}, line 2: the path '../1.png' is outside the folder; expected "
        "a relative path without '..'."
    )


def test_the_zip_for_cvat(tmp_path, export, open_image):
    path = export("cvat", tmp_path, [HAT, SHIRT])
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["hat/x%2F1.png", "t-shirt/y%2F1.png"]
        assert archive.read("hat/x%2F1.png") == open_image("x/1.png")
    (tmp_path / "again").mkdir()
    again = export("cvat", tmp_path / "again", [HAT, SHIRT])
    assert again.read_bytes() == path.read_bytes()


def test_zips_from_elsewhere(tmp_path):
    path = tmp_path / "task.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hat/", b"")
        for name in ("hat/1.jpg", "hat/deep/1.jpg", "synsets.txt", "__MACOSX/hat/._1.jpg", "0.jpg"):
            archive.writestr(name, b"image")
    assert formats["cvat"].read(path) == [Labelled("1.jpg", "hat"), Labelled("deep/1.jpg", "hat")]


@pytest.mark.parametrize(
    ("member", "path"),
    [
        ("hat/%2E%2E%2F1.jpg", "../1.jpg"),
        ("hat/../../1.jpg", "../../1.jpg"),
        ("hat/C:/1.jpg", "C:/1.jpg"),
        ("hat//etc/1.jpg", "/etc/1.jpg"),
    ],
)
def test_a_zip_whose_paths_leave_the_folder(member, path, tmp_path):
    file = tmp_path / "task.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(member, b"image")
    with pytest.raises(FormatError) as error:
        formats["cvat"].read(file)
    assert str(error.value) == (
        f"{file}, file {member!r}: the path {path!r} is outside the folder; expected a relative "
        "path without '..'."
    )


def test_a_file_that_is_not_a_zip(tmp_path):
    path = tmp_path / "task.zip"
    path.write_bytes(b"PK")
    with pytest.raises(FormatError) as error:
        formats["cvat"].read(path)
    assert str(error.value) == (f"{path} cannot be read as a zip archive: File is not a zip file.")


def test_a_zip_in_which_one_entry_includes_the_next(tmp_path, export):
    path = export("cvat", tmp_path, [HAT, SHIRT])
    data = path.read_bytes()
    entry = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", entry + 1)
    end = data.index(b"PK\x05\x06")
    comment = entry + 32  # the length of the comment of the first entry
    path.write_bytes(data[:comment] + struct.pack("<H", end - second) + data[comment + 2 :])
    with pytest.raises(FormatError) as error:
        formats["cvat"].read(path)
    assert str(error.value) == (
        f"{path} cannot be read as a zip archive: the entry of 'hat/x%2F1.png' includes the next "
        "entry."
    )
