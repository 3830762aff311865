"""Splits and classes from folder names."""

import pytest

from embedpipe.datasets.dataset import canonical_split, split_of
from embedpipe.datasets.layout import are_splits, arrange, is_image

CASES = {
    "classes": (
        ["hat/b.png", "hat/deep/a.png", "coat/a.png"],
        "",
        [("coat/a.png", "coat", None), ("hat/b.png", "hat", None), ("hat/deep/a.png", "hat", None)],
    ),
    "flat": (["b.png", "a.png"], "", [("a.png", None, None), ("b.png", None, None)]),
    "one folder is a wrapping": (["hat/a.png"], "hat/", [("a.png", None, None)]),
    "two wrappings": (
        ["x/y/hat/a.png", "x/y/coat/a.png"],
        "x/y/",
        [("coat/a.png", "coat", None), ("hat/a.png", "hat", None)],
    ),
    "a split is no wrapping": (
        ["main/Train/hat/a.png", "main/Train/coat/a.png"],
        "main/",
        [("Train/coat/a.png", "coat", "train"), ("Train/hat/a.png", "hat", "train")],
    ),
    "splits without classes": (
        ["training/a.png", "TST/b.png"],
        "",
        [("TST/b.png", None, "test"), ("training/a.png", None, "train")],
    ),
    "one class in all splits tells nothing": (
        ["train/images/a.png", "dev/images/b.png"],
        "",
        [("dev/images/b.png", None, "validation"), ("train/images/a.png", None, "train")],
    ),
    "splits beside another folder": (
        ["train/hat/a.png", "test/coat/a.png", "docs/logo.png"],
        "",
        [
            ("docs/logo.png", None, None),
            ("test/coat/a.png", "coat", "test"),
            ("train/hat/a.png", "hat", "train"),
        ],
    ),
    "a class called train": (
        ["train/a.png", "bus/a.png", "car/a.png"],
        "",
        [("bus/a.png", "bus", None), ("car/a.png", "car", None), ("train/a.png", "train", None)],
    ),
    "unlabelled beside classes": (
        ["hat/a.png", "coat/a.png", "_unlabeled/a.png", "new.png"],
        "",
        [
            ("_unlabeled/a.png", None, None),
            ("coat/a.png", "coat", None),
            ("hat/a.png", "hat", None),
            ("new.png", None, None),
        ],
    ),
    "nothing": ([], "", []),
}


GROWING = {
    "a wrapping stays in the ids": (
        ["x/hat/a.png", "x/coat/a.png"],
        "",
        [("x/coat/a.png", "coat", None), ("x/hat/a.png", "hat", None)],
    ),
    "a wrapping of splits is taken off": (
        ["main/train/hat/a.png", "main/test/coat/a.png"],
        "main/",
        [("test/coat/a.png", "coat", "test"), ("train/hat/a.png", "hat", "train")],
    ),
    "one class": (["hat/a.png"], "", [("hat/a.png", None, None)]),
}


@pytest.mark.parametrize("case", list(GROWING))
def test_arrange_a_folder_that_may_grow(case):
    paths, wrapping, items = GROWING[case]
    found_wrapping, found = arrange(paths, growing=True)
    assert found_wrapping == wrapping
    assert [(item.id, item.label, item.split) for item in found] == items


@pytest.mark.parametrize("case", list(CASES))
def test_arrange(case):
    paths, wrapping, items = CASES[case]
    found_wrapping, found = arrange(paths)
    assert found_wrapping == wrapping
    assert [(item.id, item.label, item.split) for item in found] == items


def test_names_of_splits_and_images():
    assert are_splits({"train", "val"})
    assert not are_splits({"train", "bus", "car"})
    assert (canonical_split("Val"), canonical_split("hat")) == ("validation", None)
    assert (split_of(" Test "), split_of("")) == ("test", None)
    assert (is_image("IMG_001.JPG"), is_image("notes.txt")) == (True, False)
