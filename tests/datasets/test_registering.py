"""Datasets registered by users."""

import pickle
from pathlib import Path

import pytest

from embedpipe import embed
from embedpipe.datasets import DatasetCard, Item, datasets, load_dataset, load_images, register
from embedpipe.errors import DatasetError, UnknownNameError


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """Remove the registrations of a test."""
    monkeypatch.setattr(datasets, "_entries", dict(datasets._entries))


def scans(request):
    """Scans of two kinds."""
    for path in Path(request.source).glob("*/*/*.png"):
        split, label, name = path.parts[-3:]
        yield Item(f"{split}/{name}", label=label, split=split), path


class Bytes:
    """Two images in memory."""

    def __init__(self, request):
        self.request = request

    def __iter__(self):
        yield Item("b", label="x"), b"second"
        yield Item("a", label="y"), b"first"


def test_a_function_that_yields_paths(tmp_path, make):
    contents = make(tmp_path, ["train/hat/1.png", "train/cap/2.png", "test/hat/3.png"])
    register("scans", card={"title": "Scans", "classes": ["cap", "hat"]})(scans)
    dataset = load_dataset("scans", source=tmp_path)
    assert repr(dataset) == "Dataset('scans': 3 items, 2 classes, 2 train, 1 test, from scans)"
    assert dataset.items[0] == Item("test/3.png", "hat", "test")
    assert dataset.card == DatasetCard("scans", title="Scans", classes=("cap", "hat"))
    assert dataset.source.path("train/1.png") == str(tmp_path / "train/hat/1.png")
    assert dataset.source.stamp("train/1.png").size == len(contents["train/hat/1.png"])
    found = dict(dataset.source.read(["train/2.png", "absent.png"]))
    assert found["train/2.png"] == contents["train/cap/2.png"]
    assert str(found["absent.png"]) == "it is not in scans"
    assert datasets.describe()["scans"] == "Scans of two kinds."


def test_its_vectors_are_cached_and_it_pickles(tmp_path, make):
    make(tmp_path / "in", ["train/hat/1.png", "train/cap/2.png"])
    register("scans")(scans)
    workspace = tmp_path / "workspace"
    for embedded in (2, 0):
        dataset = load_dataset("scans", source=tmp_path / "in")
        embeddings = embed(dataset, backbone="toy", workspace=workspace)
        assert embeddings.report.embedded == embedded
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.items == dataset.items
    assert copy.source.read_one("train/2.png") == dataset.source.read_one("train/2.png")


def test_a_class_that_yields_bytes():
    register("bytes")(Bytes)
    dataset = load_dataset("bytes")
    assert [item.id for item in dataset.items] == ["a", "b"]
    assert dataset.class_names == ("x", "y")
    assert dict(dataset.source.read(["b", "a"])) == {"a": b"first", "b": b"second"}
    assert dataset.source.stamp("a") is None
    assert pickle.loads(pickle.dumps(dataset.source)).read_one("b") == b"second"
    assert datasets.describe()["bytes"] == "Two images in memory."


def test_a_card_from_a_yaml_file_is_checked(tmp_path, shop):
    (tmp_path / "card.yaml").write_text("title: Shop\ncounts: {train: 3, validation: 2, test: 1}\n")
    register("shop", card=tmp_path / "card.yaml")(load_images)
    with pytest.raises(DatasetError) as raised:
        load_dataset("shop", source=shop[0])
    assert str(raised.value) == (
        "shop has 6 images (3 train, 2 validation, 1 test) in its card, "
        f"the source '{shop[0]}' has 7 images (3 train, 2 validation, 2 test)."
    )
    with pytest.raises(DatasetError) as raised:
        load_dataset("shop")
    assert str(raised.value) == (
        "shop cannot be downloaded by embedpipe: give --source PATH "
        "(a folder or an archive of image files)."
    )


def test_an_unknown_field_of_a_card():
    register("odd", card={"titel": "Odd"})(Bytes)
    with pytest.raises(UnknownNameError, match="unknown field of a dataset card 'titel'") as raised:
        load_dataset("odd")
    assert str(raised.value).endswith("Dataset: odd.")


@pytest.mark.parametrize(
    ("given", "shown"),
    [([3], "3"), ([("a", b"")], "('a', b'')"), ([(Item("a"), 3)], "(Item(id='a',"), (3, "3")],
)
def test_invalid_results_of_a_loader(given, shown):
    register("wrong")(lambda request: given)
    with pytest.raises(DatasetError) as raised:
        load_dataset("wrong")
    message = str(raised.value)
    assert message.startswith(f"the loader of dataset 'wrong' returns {shown}")
    assert message.endswith(
        ": return a Dataset, or yield pairs of an Item and its bytes or the path of its file."
    )


def test_no_items_and_one_id_twice():
    register("none")(lambda request: [])
    register("twice")(lambda request: [(Item("a"), b""), (Item("a"), b"")])
    with pytest.raises(DatasetError) as raised:
        load_dataset("none")
    assert str(raised.value) == "dataset 'none' has no items: its loader yields no pairs."
    with pytest.raises(DatasetError, match="dataset 'twice' has 'a' twice"):
        load_dataset("twice")


def test_entry_points_to_a_class_and_to_a_registered_function(tmp_path, monkeypatch):
    (tmp_path / "their_photos.py").write_text(PLUGIN)
    info = tmp_path / "their_photos-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-photos\nVersion: 1.0\n")
    points = "plain = their_photos:Plain\nwith-card = their_photos:with_card"
    (info / "entry_points.txt").write_text(f"[embedpipe.datasets]\n{points}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(datasets, "_installed", None)
    assert {"plain", "with-card"} <= set(datasets)
    assert load_dataset("plain").card.title == "Plain photos"
    assert load_dataset("with-card").card.title == "Photos with a card"
    assert datasets.describe()["plain"] == "One image."


PLUGIN = '''
from embedpipe.datasets import Item, register

class Plain:
    """One image."""
    card = {"title": "Plain photos"}

    def __init__(self, request):
        pass

    def __iter__(self):
        yield Item("a.png"), b"bytes"

@register("with-card", card={"title": "Photos with a card"})
def with_card(request):
    """One more image."""
    yield Item("b.png"), b"bytes"
'''
