"""Datasets from folders."""

import os
import shutil

import pytest
from PIL import Image

from embedpipe.datasets import load_dataset
from embedpipe.errors import DatasetError

FORMATS = ["bmp", "gif", "jfif", "jpe", "jpeg", "jpg", "pgm", "png", "ppm", "tif", "tiff", "webp"]


def ids(path):
    return [item.id for item in load_dataset(path).items]


def test_every_format_is_found_in_any_case(tmp_path, make):
    paths = [f"a.{suffix}" for suffix in FORMATS] + [f"b.{suffix.upper()}" for suffix in FORMATS]
    make(tmp_path, paths)
    assert ids(tmp_path) == sorted(paths)


def test_hidden_system_and_workspace_files_are_ignored(tmp_path, make):
    make(
        tmp_path,
        [
            *("a.png", "b/c.png", ".hidden.png", "._a.png", ".embedpipe/x.png"),
            *(
                "embedpipe-exports/x/a.png",
                "__MACOSX/a.png",
                "b/@eaDir/thumb.jpg",
                "b/.git/x.png",
            ),
        ],
    )
    for name in ("Thumbs.db", "notes.txt", "no_suffix"):
        (tmp_path / name).write_text("x")
    assert ids(tmp_path) == ["a.png", "b/c.png"]


def test_the_same_base_name_in_two_folders_is_two_items(tmp_path, make):
    contents = make(tmp_path, ["hat/img_001.png", "coat/img_001.png"])
    assert dict(load_dataset(tmp_path).source.read(ids(tmp_path))) == contents


def test_links_to_files_and_folders_are_followed(tmp_path, make):
    contents = make(tmp_path / "real", ["a.png"])
    (tmp_path / "set").mkdir()
    (tmp_path / "set/file.png").symlink_to(tmp_path / "real/a.png")
    (tmp_path / "set/folder").symlink_to(tmp_path / "real")
    dataset = load_dataset(tmp_path / "set")
    assert dict(dataset.source.read(ids(tmp_path / "set"))) == {
        "file.png": contents["a.png"],
        "folder/a.png": contents["a.png"],
    }


def test_circular_links_are_followed_once(tmp_path, make):
    make(tmp_path, ["a.png", "one/b.png", "two/c.png"])
    (tmp_path / "one/up").symlink_to(tmp_path)
    (tmp_path / "one/two").symlink_to(tmp_path / "two")
    (tmp_path / "two/one").symlink_to(tmp_path / "one")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    found = ids(tmp_path)
    expected = ["a.png", "one/b.png", "one/two/c.png", "two/c.png", "two/one/b.png"]
    assert found == expected


@pytest.mark.parametrize("target", ["nowhere.png", "broken.png"])  # the second is itself
def test_a_broken_link_is_listed_and_reading_it_is_an_error(target, tmp_path, make):
    contents = make(tmp_path, ["a.png"])
    (tmp_path / "broken.png").symlink_to(tmp_path / target)
    source = load_dataset(tmp_path).source
    found = dict(source.read(ids(tmp_path)))
    assert isinstance(found.pop("broken.png"), OSError)
    assert found == contents
    assert source.stamp("broken.png") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_an_image(tmp_path, make):
    make(tmp_path, ["a.png"])
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "pipe.png")
    assert ids(tmp_path) == ["a.png"]


def test_a_stamp_changes_with_the_file(tmp_path, make):
    make(tmp_path, ["a.png", "b.png"])
    source = load_dataset(tmp_path).source
    before = source.stamp("a.png"), source.stamp("b.png")
    shutil.copyfile(tmp_path / "b.png", tmp_path / "new")
    (tmp_path / "new").replace(tmp_path / "a.png")
    assert source.stamp("a.png") != before[0]
    assert source.stamp("b.png") == before[1]


def test_a_folder_without_images_lists_other_files(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.TXT").write_text("x")
    (tmp_path / "README").write_text("x")
    with pytest.raises(DatasetError) as raised:
        load_dataset(tmp_path)
    assert str(raised.value) == (
        f"no images in folder '{tmp_path}': expected .avif, .bmp, .gif, .heic, .heif, .hif, "
        ".jfif, .jpe, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp; found 2 .txt, "
        "1 without suffix."
    )


def test_an_empty_folder(tmp_path):
    with pytest.raises(DatasetError) as raised:
        load_dataset(tmp_path)
    assert str(raised.value).endswith("; found no files at all.")


def test_the_name_is_readable_and_differs_by_path(tmp_path, make):
    make(tmp_path / "one/My cats!", ["a.png", "b.png"])
    make(tmp_path / "two/My cats!", ["a.png", "b.png"])
    one, two = (load_dataset(tmp_path / half / "My cats!").name for half in ("one", "two"))
    assert one != two
    assert one.startswith("My-cats-")
    assert len(one) == len("My-cats-") + 8


def test_images_are_upright_and_a_damaged_one_is_an_error(tmp_path):
    turned = Image.new("L", (4, 2))
    turned.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right
    turned.save(tmp_path / "a.png", exif=exif)
    ((item, image),) = load_dataset(tmp_path).images()
    assert (item.id, image.mode, image.size) == ("a.png", "RGB", (2, 4))
    assert image.getpixel((1, 0)) == (255, 255, 255)
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DatasetError) as caught:
        list(load_dataset(tmp_path).images())
    assert str(caught.value) == "`a.png` is not an image in a supported format."
