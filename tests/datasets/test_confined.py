"""Manifests whose paths must stay inside of a folder."""

import zipfile

import pytest

from embedpipe.datasets import load_dataset
from embedpipe.errors import DatasetError, UsageError


@pytest.fixture
def photos(tmp_path):
    """A folder with an image, and one beside it that is not to be read."""
    for name in ("photos/in/a.jpg", "secret/b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"bytes")
    return tmp_path / "photos"


def load(photos, *paths):
    manifest = photos / "m.csv"
    manifest.write_text("".join(f"{line}\n" for line in ("path", "in/a.jpg", *paths)))
    return load_dataset(manifest, within=photos)


def refused(photos, path, leads):
    with pytest.raises(DatasetError) as error:
        load(photos, path)
    assert str(error.value) == (
        f"{photos / 'm.csv'}, line 3: the path {path!r} leads to {str(leads)!r}, outside of "
        f"{str(photos)!r}; correct the row, or choose another folder to stay within."
    )


def test_what_lies_inside_is_loaded(photos):
    (photos / "link.jpg").symlink_to(photos / "in/a.jpg")
    (photos / "folder").symlink_to(photos / "in")
    inside = ["link.jpg", "folder/a.jpg", "in/gone.jpg", f"{photos}/in/b.jpg", "in/../c.jpg"]
    ids = [item.id for item in load(photos, *inside).items]
    assert ids == sorted(["in/a.jpg", "in/b.jpg", *inside[:3], inside[4]])


def test_a_path_that_leads_outside_is_refused_with_its_line(photos):
    secret = photos.parent / "secret"
    refused(photos, "../secret/b.jpg", secret / "b.jpg")
    refused(photos, "in/../../secret/b.jpg", secret / "b.jpg")
    refused(photos, str(secret / "b.jpg"), secret / "b.jpg")
    refused(photos, "..", photos.parent)
    (photos / "link.jpg").symlink_to(secret / "b.jpg")
    refused(photos, "link.jpg", secret / "b.jpg")
    (photos / "folder").symlink_to(secret)
    refused(photos, "folder/gone.jpg", secret / "gone.jpg")
    (photos / "second").symlink_to(photos / "folder")
    refused(photos, "second/b.jpg", secret / "b.jpg")


def test_a_folder_whose_name_begins_alike_is_outside(photos):
    refused(photos, "../photos-2/b.jpg", photos.parent / "photos-2/b.jpg")


def test_members_of_an_archive_cannot_leave_it(photos):
    with zipfile.ZipFile(photos / "x.zip", "w") as archive:
        archive.writestr("a.jpg", b"bytes")
    manifest = photos / "m.csv"
    manifest.write_text("path\na.jpg\n../secret/b.jpg\n")
    dataset = load_dataset(manifest, source=photos / "x.zip", within=photos)
    (_, error), (_, content) = dataset.source.read([item.id for item in dataset.items])
    assert isinstance(error, FileNotFoundError)
    assert content == b"bytes"


def test_it_is_for_manifests_and_a_folder_that_is_there(photos):
    with pytest.raises(UsageError, match="`within` confines the paths of a manifest, and 'digits'"):
        load_dataset("digits", within=photos)
    with pytest.raises(UsageError, match="is not a manifest"):
        load_dataset(photos, within=photos)
    (photos / "m.csv").write_text("path\nin/a.jpg\n")
    with pytest.raises(DatasetError) as error:
        load_dataset(photos / "m.csv", within=photos / "gone")
    assert str(error.value) == f"no such folder to stay within: {str(photos / 'gone')!r}."
