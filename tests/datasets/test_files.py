"""Datasets from a list of image files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import embedpipe as ep
from embedpipe.datasets import load_dataset
from embedpipe.errors import DatasetError, UsageError


@pytest.mark.parametrize(
    ("given", "ids", "folder"),
    [
        (["shop/a.png"], ["a.png"], "shop"),
        (["shop/b.png", "shop/a.png"], ["a.png", "b.png"], "shop"),
        (["shop/red/a.png", "shop/a.png"], ["a.png", "red/a.png"], "shop"),
        (["shop/red/a.png", "other/a.png"], ["other/a.png", "shop/red/a.png"], ""),
        (["shop/../other/a.png", "./shop/a.png"], ["other/a.png", "shop/a.png"], ""),
    ],
)
def test_ids_are_relative_to_the_common_folder(tmp_path, make, monkeypatch, given, ids, folder):
    make(tmp_path, ["shop/a.png", "shop/b.png", "shop/red/a.png", "other/a.png"])
    monkeypatch.chdir(tmp_path)
    found = load_dataset(given)
    assert [item.id for item in found.items] == ids
    assert found.labels() == [None] * len(ids)
    assert found.source.location == str(tmp_path / folder).rstrip("/")
    assert all(Path(found.source.path(each)).samefile(tmp_path / folder / each) for each in ids)
    absolute = load_dataset([tmp_path / each for each in given])
    assert absolute.name == found.name
    assert load_dataset(list(reversed(given))).name == found.name


def test_each_list_has_its_own_name(tmp_path, make):
    make(tmp_path, ["shop/a.png", "shop/b.png", "shop/c.png"])
    shop = tmp_path / "shop"
    names = {
        load_dataset(shop).name,
        load_dataset(shop / "a.png").name,
        load_dataset([shop / "a.png", shop / "b.png"]).name,
        load_dataset([shop / "a.png", shop / "c.png"]).name,
    }
    assert len(names) == 4
    assert load_dataset([shop]).name == load_dataset(shop).name
    assert load_dataset(str(shop / "a.png")).name == load_dataset([shop / "a.png"]).name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "the list of image files is empty: give at least one path."),
        (["a.png", "no.png"], "No file at `no.png`."),
        (["*.png", "a.png"], "No file at `*.png`."),
        (["no.png"], "No folder, archive or manifest at `no.png`."),
        (["a.png", "red"], "'red' is a folder: give one folder alone, or image files."),
        (["a.png", "./a.png"], "'{here}/a.png' is listed 2 times; list each file once."),
    ],
)
def test_invalid_lists_of_images_are_refused(tmp_path, make, monkeypatch, given, message):
    make(tmp_path, ["a.png", "red/b.png"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError) as caught:
        load_dataset(given)
    assert str(caught.value) == message.format(here=os.getcwd())  # noqa: PTH109


def test_other_files_are_refused(tmp_path, make):
    make(tmp_path, ["a.png"])
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DatasetError, match=r"^'.*notes\.txt' is not an image file: each path "):
        load_dataset([tmp_path / "a.png", tmp_path / "notes.txt"])
    with pytest.raises(UsageError, match=r"^a source needs a named dataset or a manifest; "):
        load_dataset([tmp_path / "a.png", tmp_path / "notes.txt"], source=tmp_path)


def test_embedding_files_stores_only_vectors(photos, tmp_path):
    folder, workspace = photos(6), tmp_path / "workspace"
    whole = ep.embed(folder, backbone="toy", workspace=workspace)
    before = {path for path in workspace.rglob("*") if path.is_file()}
    paths = [folder / "class1" / "0001.jpg", str(folder / "class0" / "0003.jpg")]
    some = ep.embed(paths, backbone="toy", workspace=workspace)
    assert [item.id for item in some.items] == ["class0/0003.jpg", "class1/0001.jpg"]
    rows = [row for row, item in enumerate(whole.items) if item.id in {i.id for i in some.items}]
    assert (some.matrix == whole.matrix[rows]).all()
    assert (some.report.embedded, some.report.reused) == (0, 2)
    assert {path for path in workspace.rglob("*") if path.is_file()} == before
    outside = some.folder
    assert outside.is_dir()
    del some
    assert not outside.exists()
