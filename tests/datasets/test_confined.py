"""Manifests whose paths must be inside a folder."""

import zipfile

import pytest

from embedpipe.datasets import load_dataset
from embedpipe.errors import DatasetError, UsageError


@pytest.fixture
def photos(tmp_path):
    """A folder with an image, and a secret folder beside it."""
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
        f"{str(photos)!r}; correct the row or allow another folder."
    )


def test_paths_inside_the_folder_are_loaded(photos):
    (photos / "link.jpg").symlink_to(photos / "in/a.jpg")
    (photos / "folder").symlink_to(photos / "in")
    inside = ["link.jpg", "folder/a.jpg", "in/absent.jpg", f"{photos}/in/b.jpg", "in/../c.jpg"]
    ids = [item.id for item in load(photos, *inside).items]
    assert ids == sorted(["in/a.jpg", "in/b.jpg", *inside[:3], inside[4]])


def test_a_path_outside_the_folder_is_refused_with_its_line(photos):
    secret = photos.parent / "secret"
    refused(photos, "../secret/b.jpg", secret / "b.jpg")
    refused(photos, "in/../../secret/b.jpg", secret / "b.jpg")
    refused(photos, str(secret / "b.jpg"), secret / "b.jpg")
    refused(photos, "..", photos.parent)
    (photos / "link.jpg").symlink_to(secret / "b.jpg")
    refused(photos, "link.jpg", secret / "b.jpg")
    (photos / "folder").symlink_to(secret)
    refused(photos, "folder/absent.jpg", secret / "absent.jpg")
    (photos / "second").symlink_to(photos / "folder")
    refused(photos, "second/b.jpg", secret / "b.jpg")


def test_a_folder_with_the_same_prefix_is_outside(photos):
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


def test_within_needs_a_manifest_and_an_existing_folder(photos):
    with pytest.raises(UsageError, match="`within` needs a manifest .*; 'digits' is no manifest"):
        load_dataset("digits", within=photos)
    with pytest.raises(UsageError, match="`within` needs a manifest"):
        load_dataset(photos, within=photos)
    (photos / "m.csv").write_text("path\nin/a.jpg\n")
    with pytest.raises(DatasetError) as error:
        load_dataset(photos / "m.csv", within=photos / "absent")
    assert str(error.value) == f"no folder at {str(photos / 'absent')!r} for `within`."
