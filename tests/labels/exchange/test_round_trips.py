"""Every format reads its own exports back, also after the dataset was moved."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedpipe.errors import FormatError
from embedpipe.labels import PathResolver
from embedpipe.labels.exchange import Labelled, formats

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
THOROUGH = settings(QUICK, max_examples=2000)

PARTS = (
    *(
        "a",
        "b",
        "a b",
        " a",
        "a ",
        ".a",
        "..",
        "...",
        "a:b",
        "C:",
        "a%2Fb",
        "a%252Fb",
        "%5C",
        "50%",
    ),
    *("'a'", '"b"', "a,b;c", "=1+1", "-1", "@x", "a\\b", "a\nb", "a\rb", "a\tb", "Caf\u00e9"),
    *(
        "Cafe\u0301",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u202eabc",
        "\U0001f408",
        "no_label",
        "_unlabeled",
    ),
    *(
        "unlabeled",
        "train",
        "test",
        "cat",
        "dog",
        "cat_a",
        "__MACOSX",
        "metadata",
        "embedpipe",
        "A",
    ),
)
CLASSES = (
    *("cat", "dog", "train", "test", "val", "no_label", "_unlabeled", "_unlabelled", "unlabeled"),
    *(
        ".hidden",
        "..",
        "and/or",
        "a\\b",
        "c:",
        "100%2F",
        "%6Eo_label",
        "so-called 'hat'",
        '"',
        "a b",
    ),
    *(
        "Caf\u00e9",
        "Cafe\u0301",
        "\u05e9\u05dc\u05d5\u05dd",
        "0",
        "00",
        "1.0",
        "NaN",
        "None",
        "=1+1",
    ),
    *("a,b", "a;b", "a\nb", "Cat", "\x01", "\ufffe", "\u202eabc", "label", "skip"),
)

free = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1)
parts = st.sampled_from(PARTS) | free.map(lambda text: text[:10]).filter(lambda text: text != ".")
suffixes = st.sampled_from([".jpg", ".png", ".JPEG", "..jpg"])
names = st.builds("{}{}".format, parts, suffixes)
beginnings = st.sampled_from(["", "", "", "", "/", "../"])
paths = st.builds(
    lambda begin, folders, name: begin + "/".join([*folders, name]),
    beginnings,
    st.lists(parts, max_size=2),
    names,
)
letters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
classes = st.sampled_from(CLASSES) | st.text(letters, max_size=8).map(str.strip).filter(bool)
answers = st.one_of(
    classes.map(lambda label: ("label", label)),
    classes.map(lambda label: ("label", label)),
    classes.map(lambda label: ("accepted", label)),
    st.sampled_from([("label", None), ("skip", None), ("unsure", None)]),
)
datasets = st.dictionaries(paths, answers, min_size=1, max_size=8).filter(
    lambda dataset: any(label for _, label in dataset.values())
)


def write(name: str, path: Path, dataset: dict[str, tuple[str, str | None]]) -> Path:
    items = [Labelled(item, label, status) for item, (status, label) in dataset.items()]
    options = {"embeddings": np.ones((len(items), 2))} if name == "lightly" else {}
    return formats[name].write(path, items, lambda _: b"image", existing=dataset, **options)


def check_round_trip(name: str, dataset: dict[str, tuple[str, str | None]]) -> bool:
    """Write and read back; return False if a name was refused."""
    carries = formats[name].carries
    expected = {
        item: (status, label)
        for item, (status, label) in dataset.items()
        if status in carries or (status == "label" and label)
    }
    if "accepted" not in carries:  # accepted suggestions become labels
        expected |= {
            item: ("label", label)
            for item, (status, label) in dataset.items()
            if status == "accepted"
        }
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"out{formats[name].suffix}"
        try:
            write(name, path, dataset)
        except FormatError as error:
            named = [*dataset, *(label for _, label in dataset.values() if label)]
            assert any(repr(text) in str(error) for text in named), str(error)
            assert list(Path(folder).iterdir()) == []
            return False
        resolver = PathResolver(dataset, folder="/srv/moved/photos")
        reading = formats[name].read_for(path.rename(path.with_stem("moved")), resolver)
    assert {item.path: (item.status, item.label) for item in reading.items} == expected
    assert reading.taken == len(expected)
    assert reading.rewritten == {}
    assert reading.notes == []
    return True


@pytest.mark.parametrize("name", list(formats))
@QUICK
@given(dataset=datasets)
def test_any_dataset_is_read_back(name, dataset):
    check_round_trip(name, dataset)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(formats))
@THOROUGH
@given(dataset=datasets)
def test_many_datasets_are_read_back(name, dataset):
    check_round_trip(name, dataset)


@pytest.mark.parametrize("name", list(formats))
def test_a_thousand_items_are_read_back(name):
    labels = [label for label in CLASSES if label.isprintable()]
    dataset = {
        f"{PARTS[n % 20]}/{n % 7}/img_{n:04d}.jpg": ("label", labels[n % len(labels)])
        for n in range(1000)
    }
    check_round_trip(name, dataset)


@pytest.mark.parametrize("name", list(formats))
@pytest.mark.parametrize("label", CLASSES[:14], ids=repr)
def test_every_class_is_read_back_alone(name, label):
    dataset = {"x/1.jpg": ("label", label), "x/y/2.jpg": ("label", label), "3.jpg": ("label", None)}
    assert check_round_trip(name, dataset)


@pytest.mark.parametrize("name", list(formats))
@pytest.mark.parametrize(
    "pair",
    [
        ("images/1.jpg", "images%2F1.jpg"),
        ("images%2F1.jpg", "images%252F1.jpg"),
        ("a:b.jpg", "a%3Ab.jpg"),
        ("Caf\u00e9.jpg", "Cafe\u0301.jpg"),
        ("cat/1.jpg", "1.jpg"),
        ("dog/cat/1.jpg", "cat/1.jpg"),
        ("a\\b.jpg", "a/b.jpg"),
        ("/data/1.jpg", "data/1.jpg"),
        ("../1.jpg", "1.jpg"),
        ("cat_1.jpg", "1.jpg"),
    ],
    ids=lambda pair: repr(pair[0]),
)
def test_similar_names_keep_their_own_labels(name, pair):
    for one, other in (pair, pair[::-1]):
        assert check_round_trip(name, {one: ("label", "cat"), other: ("label", "dog")})
        assert check_round_trip(name, {one: ("label", "cat"), other: ("label", None)})
        assert check_round_trip(name, {one: ("label", "cat"), other: ("label", "cat")})


def test_folders_with_names_of_prediction_files(tmp_path):
    name, cat = "lightly-predictions", ("label", "cat")
    assert check_round_trip(name, {"0.json/a.jpg": cat, "b.jpg": cat})
    items = [Labelled("0.jpg", "cat"), Labelled("0.json/a.jpg", "cat")]
    with pytest.raises(FormatError) as error:
        formats[name].write(tmp_path / "out", items)
    assert str(error.value) == (
        "the folder of '0.json/a.jpg' would have the same path as the file of '0.jpg'. Rename the "
        "folder."
    )
    assert not check_round_trip(name, {"schema.json/a.jpg": cat})


@pytest.mark.parametrize(
    "name", ["imagefolder", "fiftyone", "cvat", "huggingface", "lightly-predictions"]
)
def test_a_name_that_is_too_long_is_refused_first(name, tmp_path):
    path = (
        f"{'a' * 128}/{'b' * 128}/{'é' * 124}.jpg"
        if name in ("fiftyone", "cvat")
        else (f"{'é' * 126}.jpg")
    )
    opened: list[str] = []
    items = [Labelled("x.jpg", "cat"), Labelled(path, "dog")]
    with pytest.raises(FormatError) as error:
        formats[name].write(tmp_path / f"out{formats[name].suffix}", items, opened.append)
    assert str(error.value).startswith(f"the item {path!r} would have a file name of ")
    assert opened == []
    assert list(tmp_path.iterdir()) == []
