"""Folder names as labels: by layout, or as the user says."""

import shutil

import pytest

from embedpipe.datasets import load_dataset
from embedpipe.datasets.dataset import FolderLabels
from embedpipe.datasets.layout import arrange, doubt_about
from embedpipe.errors import UsageError

UNMISTAKABLE = [
    ["hat/a.png", "hat/b.png", "coat/a.png", "coat/b.png"],
    ["hat/a.png", "coat/a.png"],
    ["hat/a.png", "hat/b.png", "coat/a.png", "coat/b.png", "_unlabeled/c.png"],
    ["train/hat/a.png", "test/coat/a.png"],
    ["train/0/a.png", "train/1/a.png", "test/0/b.png"],
    ["train/hat/a.png", "train/coat/a.png", "test/a.png", "test/b.png"],
    ["train/hat/deep/a.png", "test/coat/a.png", "docs/logo.png"],
    ["photos/hat/a.png", "photos/hat/b.png", "photos/coat/a.png", "photos/coat/b.png"],
    ["other/a.png", "other/b.png", "day/a.png", "day/b.png", "night/a.png", "night/b.png"],
    [f"{digit}/{name}.png" for digit in range(12) for name in "ab"],
    ["1/a.png", "1/b.png", "2/a.png", "2/b.png"],
    ["001.Albatross/a.png", "001.Albatross/b.png", "Audi A4 2012/a.png", "Audi A4 2012/b.png"],
]

NAMES = [
    *("2019", "2020-07", "2019_beach", "20190704", "20190704_143500", "2019 07 04", "3", "(1)"),
    *("DCIM", "100CANON", "101_PANA", "Camera Roll", "camera", "Screenshots"),
    *("trip_a", "Trip 2", "holiday", "holidays", "album-3", "part b", "cam1", "New folder (2)"),
    *("July", "07 july", "dec", "photos", "IMG"),
]

DOUBTFUL = {
    "deeper": (
        ["coat/a.png", "coat/b.png", "hat/red/a.png", "hat/b.png"],
        "`hat/red` is a folder inside another folder",
    ),
}


def loaded(folder, **options):
    dataset = load_dataset(folder, **options)
    return {item.id: item.label for item in dataset.items}, dataset.folder_labels


@pytest.mark.parametrize("paths", UNMISTAKABLE)
def test_class_folders_are_labels(paths, tmp_path, make):
    make(tmp_path / "set", paths)
    labels, found = loaded(tmp_path / "set")
    assert found == FolderLabels(found.names, used=True)
    assert {label for label in labels.values() if label} == set(found.names)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_dates_albums_and_cameras_are_no_classes(name):
    _, items = arrange([f"{name}/a.png", f"{name}/b.png", "hat/a.png", "hat/b.png"])
    assert doubt_about(items) == f"the folder `{name}` is named like an album or a date"


@pytest.mark.parametrize("names", ["2 3", "0 2", "2019 2020", "0 00"])
def test_other_numbers_are_no_classes(names):
    _, items = arrange([f"{name}/{file}.png" for name in names.split() for file in "ab"])
    first = min(names.split())
    assert doubt_about(items) == f"the folder `{first}` is named like an album or a date"


@pytest.mark.parametrize("case", DOUBTFUL)
def test_doubtful_folders_are_labels_only_on_request(case, tmp_path, make):
    paths, doubt = DOUBTFUL[case]
    make(tmp_path / "set", paths)
    labels, found = loaded(tmp_path / "set")
    assert found == FolderLabels(("coat", "hat"), used=False, doubt=doubt)
    assert set(labels.values()) == {None}
    labels, found = loaded(tmp_path / "set", folder_labels=True)
    assert found == FolderLabels(("coat", "hat"), used=True, doubt=doubt)
    assert set(labels.values()) == {"coat", "hat"}
    assert load_dataset(tmp_path / "set", folder_labels=True).class_names == ("coat", "hat")
    assert load_dataset(tmp_path / "set").class_names == ()


def test_loose_images_beside_folders_and_an_archive_of_them(tmp_path, make):
    paths = ["hat/a.png", "hat/b.png", "coat/a.png", "coat/b.png", "x.png", "y.png"]
    make(tmp_path / "set", paths)
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "set")
    doubt = "images beside these folders: 2"
    for place in (tmp_path / "set", archive):
        labels, found = loaded(place)
        assert found == FolderLabels(("coat", "hat"), used=False, doubt=doubt, mixed=True)
        assert set(labels.values()) == {None}
        labels, _ = loaded(place, folder_labels=True)
        assert labels["hat/a.png"] == "hat"
        assert labels["x.png"] is None


def test_class_folders_can_be_refused(tmp_path, make):
    make(tmp_path / "set", ["train/hat/a.png", "train/coat/a.png", "test/hat/b.png"])
    dataset = load_dataset(tmp_path / "set", folder_labels=False)
    assert (dataset.class_names, dataset.labels()) == ((), [None, None, None])
    assert dataset.splits() == ["test", "train", "train"]


def test_folder_labels_of_other_datasets_are_refused(tmp_path, make):
    make(tmp_path, ["a.png"])
    (tmp_path / "list.csv").write_text("path\na.png\n")
    for given in ("digits", tmp_path / "list.csv", tmp_path / "a.png", ["a.png", "b.png"]):
        with pytest.raises(UsageError, match="`folder_labels` needs a folder or an archive"):
            load_dataset(given, folder_labels=True)
    with pytest.raises(UsageError) as caught:
        load_dataset(tmp_path, folder_labels="yes")
    assert str(caught.value) == "`folder_labels` must be True, False or None; got 'yes'."
