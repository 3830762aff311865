"""Backslashes in names of zip members."""

import zipfile

import pytest

from embedpipe.datasets import load_dataset
from embedpipe.datasets.zip_source import posix_names
from embedpipe.errors import DatasetError

UNIX, FAT, NTFS = 3, 0, 10


@pytest.fixture
def packed(tmp_path):
    """Return a function that writes a zip archive with the given member names."""

    def pack(*members, host=FAT):
        path = tmp_path / "x.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for number, name in enumerate(members):
                info = zipfile.ZipInfo(name)
                info.create_system = host
                archive.writestr(info, bytes([number]))
        return path

    return pack


def places(dataset):
    return [(item.id, item.label, item.split) for item in dataset.items]


def test_classes_and_splits_of_a_windows_archive(packed):
    dataset = load_dataset(
        packed(
            "photos\\",
            *(f"photos\\{s}\\{c}\\1.jpg" for s in ("train", "test") for c in ("cat", "dog")),
        )
    )
    assert places(dataset) == [
        ("test/cat/1.jpg", "cat", "test"),
        ("test/dog/1.jpg", "dog", "test"),
        ("train/cat/1.jpg", "cat", "train"),
        ("train/dog/1.jpg", "dog", "train"),
    ]
    assert dataset.source.read_one("train/dog/1.jpg") == b"\x02"
    assert dataset.source.remarks == (
        "`\\` was read as the folder separator in the names of 5 members",
    )


def test_both_separators_in_one_name(packed):
    archive = packed("photos/cat\\1.jpg", "photos/dog\\1.jpg", host=NTFS)
    dataset = load_dataset(archive, folder_labels=True)
    assert places(dataset) == [("cat/1.jpg", "cat", None), ("dog/1.jpg", "dog", None)]


def test_an_archive_made_elsewhere_in_which_all_separators_are_backslashes(packed):
    archive = packed("cat\\1.jpg", "dog\\1.jpg", host=UNIX)
    dataset = load_dataset(archive, folder_labels=True)
    assert [item.label for item in dataset.items] == ["cat", "dog"]


def test_a_backslash_in_a_name_from_unix_is_a_character(packed):
    dataset = load_dataset(packed("cat/a\\b.jpg", "dog/1.jpg", "cat/a/b.jpg", host=UNIX))
    assert [item.id for item in dataset.items] == ["cat/a/b.jpg", "cat/a\\b.jpg", "dog/1.jpg"]
    assert dataset.source.remarks == ()


def test_members_with_equal_windows_paths_are_refused(packed):
    path = packed("cat\\1.jpg", "dog/1.jpg", "cat/1.jpg")
    with pytest.raises(DatasetError) as raised:
        load_dataset(path)
    assert str(raised.value) == (
        f"archive {str(path)!r} contains {'cat' + chr(92) + '1.jpg'!r} and 'cat/1.jpg', "
        "which are the same path on Windows; rename one of them."
    )


@pytest.mark.parametrize("name", ["..\\..\\a.jpg", "cat\\..\\..\\a.jpg"])
def test_a_member_outside_by_backslashes_is_refused(packed, name):
    with pytest.raises(DatasetError, match="a path outside of it"):
        load_dataset(packed(name, "dog\\1.jpg"))


def test_hidden_folders_stay_hidden(packed):
    dataset = load_dataset(packed("__MACOSX\\cat\\._1.jpg", "cat\\1.jpg", "dog\\1.jpg"))
    assert [item.id for item in dataset.items] == ["cat/1.jpg", "dog/1.jpg"]


def test_the_second_byte_of_a_double_byte_character_is_kept():
    # 0x83 0x5C in Shift-JIS, read by the code page that the format prescribes
    name = b"photos/\x83\x5c.jpg".decode("cp437")
    assert posix_names("x.zip", [name, "photos\\a.jpg"], [FAT, FAT]) == [name, "photos/a.jpg"]


def test_names_with_one_separator():
    names = ["train\\cat\\1.jpg", "a/b.jpg"]
    assert posix_names("x.zip", names, [0, 0]) == ["train/cat/1.jpg", "a/b.jpg"]
    unix = ["a\\b.jpg", "photos/c.jpg"]
    assert posix_names("x.zip", unix, [3, 3]) == unix
