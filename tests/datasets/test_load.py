"""`load_dataset` with names, paths and options."""

import subprocess
import sys

import pytest

from embedpipe.datasets import Dataset, Item, load_dataset
from embedpipe.datasets.dataset import path_name
from embedpipe.errors import DatasetError, UnknownNameError, UsageError

ARCHIVES = ".zip, .tar, .tar.gz, .tgz, .tar.bz2, .tbz2, .tar.xz, .txz"


def test_a_name_comes_before_a_folder_of_that_name(tmp_path, make, monkeypatch):
    make(tmp_path, ["digits/a.png", "digits/b.png", "mine/a.png"])
    monkeypatch.chdir(tmp_path)
    assert load_dataset("digits").name == "digits"
    assert [item.id for item in load_dataset("./digits").items] == ["a.png", "b.png"]
    assert [item.id for item in load_dataset(tmp_path / "digits").items] == ["a.png", "b.png"]
    assert [item.id for item in load_dataset("mine").items] == ["a.png"]


def test_an_unknown_name():
    with pytest.raises(UnknownNameError) as raised:
        load_dataset("clotihng")
    assert str(raised.value) == (
        "No folder, archive or manifest at `clotihng`, and no dataset of that name. "
        "Did you mean 'clothing'?"
    )


@pytest.mark.parametrize("given", ["./photos", "photos.zip", "a/b"])
def test_a_path_that_does_not_exist(given):
    with pytest.raises(DatasetError) as raised:
        load_dataset(given)
    assert str(raised.value) == f"No folder, archive or manifest at `{given}`."


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DatasetError) as raised:
        load_dataset(tmp_path / "a.txt")
    assert str(raised.value) == (
        f"'{tmp_path / 'a.txt'}' is not a folder, an archive ({ARCHIVES}), "
        "a manifest (.csv, .jsonl, .parquet), a table of images (.arrow, .parquet), a video or an "
        "image file."
    )


def test_options_that_do_not_apply_to_a_folder(tmp_path):
    with pytest.raises(UsageError) as raised:
        load_dataset(tmp_path, source=tmp_path)
    assert str(raised.value) == (
        f"a source needs a named dataset or a manifest; '{tmp_path}' is neither. Leave the source "
        "out."
    )
    with pytest.raises(UsageError) as raised:
        load_dataset(tmp_path, download=True)
    assert str(raised.value) == f"only a named dataset can be downloaded; '{tmp_path}' is a path."


def test_a_dataset_refuses_items_out_of_order(shop):
    source = load_dataset(shop[0]).source
    with pytest.raises(DatasetError) as raised:
        Dataset("x", (Item("b"), Item("a")), source)
    assert str(raised.value) == (
        "dataset 'x' has 'b' before 'a'; items must be sorted by id, and each id unique."
    )
    with pytest.raises(DatasetError) as raised:
        Dataset("x", (Item("a"), Item("a")), source)
    assert str(raised.value) == (
        "dataset 'x' has 'a' twice; items must be sorted by id, and each id unique."
    )


def test_a_missing_split(shop):
    with pytest.raises(UsageError) as raised:
        load_dataset("digits").subset("validation")
    assert str(raised.value) == ("dataset 'digits' has no split 'validation'; it has: train, test.")


def test_repr(shop):
    dataset = load_dataset(shop[0])
    assert repr(dataset) == (
        f"Dataset('{dataset.name}': 7 items, 2 classes, 3 train, 2 validation, 2 test, "
        f"from {shop[0]})"
    )


def test_import_loads_no_heavy_library():
    code = (
        "import sys, embedpipe.datasets;"
        "print({'torch', 'torchvision', 'sklearn', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_the_name_of_a_path():
    assert path_name("/photos/My cats.tar.gz") == "My-cats-b9e088c1"
