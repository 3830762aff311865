r"""Paths of other programs are resolved to the right item or to none."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.datasets.resolver import ForeignPath
from embedpipe.labels import PathResolver

FOLDER = "/home/ann/data/photos"
COMPOSED, DECOMPOSED = "Caf\u00e9.jpg", "Cafe\u0301.jpg"


def resolve(path, ids, **more):
    return PathResolver(ids, folder=FOLDER, **more).resolve(path)


@pytest.mark.parametrize(
    ("path", "item"),
    [
        ("a:b.jpg", "a:b.jpg"),
        ("C:/x.jpg", "C:/x.jpg"),
        ("/data/x.jpg", "/data/x.jpg"),
        ("../x.jpg", "../x.jpg"),
        ("images%2F1.jpg", "images%2F1.jpg"),
        ("back\\slash.jpg", "back\\slash.jpg"),
        (" lead.jpg", " lead.jpg"),
        ("photos/1.jpg", "photos/1.jpg"),
        (COMPOSED, COMPOSED),
        (DECOMPOSED, DECOMPOSED),
    ],
)
def test_the_literal_id_comes_first(path, item):
    others = ["images/1.jpg", "x.jpg", "1.jpg", "back/slash.jpg", "lead.jpg", COMPOSED, DECOMPOSED]
    assert resolve(path, [*dict.fromkeys([*others, item])]) == (item, (), ())


@pytest.mark.parametrize(
    ("path", "item", "steps"),
    [
        ("./a//1.jpg", "a/1.jpg", ()),
        ("a%20b/1.jpg", "a b/1.jpg", ("percent escapes decoded",)),
        ("a\\1.jpg", "a/1.jpg", ("backslashes read as slashes",)),
        (DECOMPOSED, COMPOSED, ("another Unicode form",)),
        ("photos/a/1.jpg", "a/1.jpg", ("leading folders removed",)),
        ("data/photos/a/1.jpg", "a/1.jpg", ("leading folders removed",)),
        ("/home/ann/data/photos/a/1.jpg", "a/1.jpg", ("leading folders removed",)),
        ("/mnt/other/photos/a/1.jpg", "a/1.jpg", ("leading folders removed",)),
        ("/a/1.jpg", "a/1.jpg", ("leading folders removed",)),
        ("x/../a/1.jpg", "a/1.jpg", ("'..' resolved",)),
        ("s3://bucket/photos/a/1.jpg", "a/1.jpg", ("leading folders removed",)),
        ("https://host/a/1.jpg", "a/1.jpg", ("leading folders removed",)),
        ("file:///mnt/photos/a/1.jpg", "a/1.jpg", ("leading folders removed",)),
        (
            "C:\\Users\\ann\\photos\\a\\1.jpg",
            "a/1.jpg",
            ("backslashes read as slashes", "leading folders removed"),
        ),
        (
            "photos%5Ca%20b%5C1.jpg",
            "a b/1.jpg",
            ("percent escapes decoded", "backslashes read as slashes", "leading folders removed"),
        ),
        (
            "/mnt/photos/" + quote(DECOMPOSED),
            COMPOSED,
            ("percent escapes decoded", "leading folders removed", "another Unicode form"),
        ),
    ],
)
def test_rewritten_paths(path, item, steps):
    assert resolve(path, ["a/1.jpg", "a b/1.jpg", "b/2.jpg", COMPOSED]) == (item, steps, ())


@pytest.mark.parametrize(
    "path",
    [
        "1.jpg",
        "b/1.jpg",
        "x/a/1.jpg",
        "other/photos/a/1.jpg",
        "../a/1.jpg",
        "A/1.jpg",
        "/mnt/a/1.jpg",
    ],
)
def test_a_base_name_or_another_folder_is_no_item(path):
    assert resolve(path, ["a/1.jpg"]) == (None, (), ())


@pytest.mark.parametrize(
    ("path", "candidates"),
    [
        ("/mnt/photos/photos/1.jpg", ("1.jpg", "photos/1.jpg")),
        ("a%5Cb.jpg", ("a/b.jpg", "a\\b.jpg")),
        ("a%2Fb\\c.jpg", ("a%2Fb/c.jpg", "a/b/c.jpg")),
        ("cafe\u0301%73.jpg", ("caf\u00e9s.jpg", "cafe\u0301s.jpg")),
    ],
)
def test_several_items_are_refused(path, candidates):
    assert resolve(path, candidates) == (None, (), tuple(sorted(candidates)))


def test_strip_prefix_is_removed_first():
    ids = ["1.jpg", "photos/1.jpg", "a b/1.jpg"]
    for prefix in ("photos", "photos/", "./photos"):
        assert resolve("photos/1.jpg", ids, strip_prefix=prefix).id == "1.jpg"
    assert resolve("photos\\1.jpg", ids, strip_prefix="photos").id == "1.jpg"
    assert resolve("C:\\pics\\1.jpg", ids, strip_prefix="C:\\pics").id == "1.jpg"
    assert resolve("s3://bucket/new/a%20b/1.jpg", ids, strip_prefix="s3://bucket/new").id == (
        "a b/1.jpg"
    )
    assert resolve("1.jpg", ids, strip_prefix="photos").id == "1.jpg"


def test_class_folders_are_removed_where_the_format_has_them():
    ids = ["1.jpg", "north/2.jpg"]
    tree = ForeignPath("cat/1.jpg", class_folders=frozenset({"dog"}))
    assert resolve(tree, ids).id is None
    assert resolve(tree, ids, classes=["cat"]) == ("1.jpg", ("class folder removed",), ())
    assert resolve("cat/1.jpg", ids, classes=["cat"]).id is None


def test_uploads_are_found_by_file_name():
    ids = ["a/my photo (1).jpg", "b/x.jpg", "c/x.jpg"]
    upload = ForeignPath("/data/upload/3/0a1b2c3d-my_photo_1.jpg", upload=True)
    assert resolve(upload, ids) == ("a/my photo (1).jpg", ("upload prefix removed",), ())
    twice = ForeignPath("/data/upload/3/0a1b2c3d-x.jpg", upload=True)
    assert resolve(twice, ids) == (None, (), ("b/x.jpg", "c/x.jpg"))


names = st.sampled_from(
    [
        *("a", "b", "photos", "data", "a b", "a%20b", "a%2Fb", "%5C", "50%", "c:d", "C:", "x\\y"),
        *("caf\u00e9", "cafe\u0301", "\u05d0\u05d1", "..", "...", "a+b", "#1", "new\nline", "."),
    ]
)
items = st.lists(names, min_size=1, max_size=3).map(lambda parts: "/".join([*parts, "1.jpg"]))
trees = st.lists(items.filter(lambda path: "./" not in path), min_size=1, max_size=6, unique=True)

ROOTS = {
    "": lambda path: path,
    "dot": lambda path: f"./{path}",
    "name": lambda path: f"photos/{path}",
    "two": lambda path: f"data/photos/{path}",
    "here": lambda path: f"{FOLDER}/{path}",
    "moved": lambda path: f"/mnt/disk/photos/{path}",
    "bucket": lambda path: f"s3://bucket/photos/{path}",
    "drive": lambda path: f"D:/photos/{path}",
}
FORMS = {form: lambda path, form=form: unicodedata.normalize(form, path) for form in ("NFC", "NFD")}
ESCAPES = {"plain": str, "quoted": quote, "all": lambda path: quote(path, safe="")}
SLASHES = {"posix": str, "windows": lambda path: path.replace("/", "\\")}


@st.composite
def foreign_paths(draw):
    """A tree, one of its items, and its path in another program."""
    ids = draw(trees)
    item = draw(st.sampled_from(ids))
    path = ROOTS[draw(st.sampled_from(list(ROOTS)))](item)
    path = FORMS[draw(st.sampled_from(list(FORMS)))](path)
    path = SLASHES[draw(st.sampled_from(list(SLASHES)))](path)
    return ids, item, ESCAPES[draw(st.sampled_from(list(ESCAPES)))](path)


def check_unique_or_refused(case):
    ids, item, path = case
    found = resolve(path, ids)
    tidy = path.removeprefix("./")
    literal = next((text for text in (path, tidy) if text in ids), None)
    if literal is not None:
        assert found == (literal, (), ())
    elif found.id is None:
        assert item in found.candidates
        assert len(found.candidates) > 1
    else:
        assert found.id == item
        assert found.steps
    assert resolve(path, ids[::-1]) == found


@settings(max_examples=200, deadline=None)
@given(foreign_paths())
def test_a_foreign_path_is_resolved_to_its_item_or_refused(case):
    check_unique_or_refused(case)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(foreign_paths())
def test_many_foreign_paths(case):
    check_unique_or_refused(case)
