"""The accuracy of `train` and `predict`: its test images, and reasons for a missing one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import embedpipe as ep
from embedpipe.active import train_head


@pytest.fixture
def embedded(tmp_path: Path) -> Callable[..., ep.Embeddings]:
    """Return a function that embeds JPEGs of plain colours under given names."""

    def make(colours: Mapping[str, str], name: str = "photos") -> ep.Embeddings:
        for number, (path, colour) in enumerate(colours.items()):
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).integers(0, 12, (32, 32, 3), dtype=np.uint8)
            plain = np.asarray(Image.new("RGB", (32, 32), colour)) // 2 + 60
            Image.fromarray((plain + noise).astype(np.uint8)).save(file, quality=95)
        return ep.embed(tmp_path / name, backbone="toy", workspace=tmp_path / "workspace")

    return make


def folders(*names: str) -> dict[str, str]:
    """Return four images in each of some folders, two red and two blue."""
    return {
        f"{name}/{number}.jpg": "red" if number % 2 else "blue"
        for name in names
        for number in range(4)
    }


THINGS = {"0.jpg": "hat", "1.jpg": "shoe"}


@pytest.mark.parametrize(
    ("names", "labels", "words"),
    [
        (
            ("north", "south"),
            ("hat", "shoe"),
            "the labels (hat, shoe) and the dataset's classes (north, south) have no name in "
            "common",
        ),
        (
            ("Hat", "Shoe"),
            ("hat", "shoe"),
            "the labels (hat, shoe) and the dataset's classes (Hat, Shoe) have no name in common; "
            "these differ only in case: Hat, Shoe",
        ),
        (
            ("hat", "shoe"),
            ("0", "1"),
            "the labels (0, 1) and the dataset's classes (hat, shoe) have no name in common",
        ),
        (
            ("a", "b", "c", "d", "e"),
            ("hat", "hat"),
            "the labels (hat) and the dataset's classes (a, b, c and 2 more) have no name in "
            "common",
        ),
    ],
)
def test_without_a_common_class_there_is_no_accuracy(embedded, tmp_path, names, labels, words):
    embeddings = embedded(folders(*names))
    given = {f"{names[0]}/{number}.jpg": label for number, label in enumerate(labels)}
    trained = train_head(embeddings, given, output=tmp_path / "head.safetensors")
    assert (trained.accuracy.value, trained.accuracy.judged) == (None, 0)
    assert trained.accuracy.note == words
    assert ep.train(embeddings, given)[1] is None
    prediction = ep.predict(embeddings, tmp_path / "head.safetensors")
    assert (prediction.accuracy, prediction.judged, prediction.note) == (None, 0, words)


def test_images_of_classes_without_training_labels_count_as_wrong(embedded, tmp_path):
    colours = {f"red/{n}.jpg": "red" for n in range(4)} | {
        f"blue/{n}.jpg": "blue" for n in range(4)
    }
    colours |= {f"green/{n}.jpg": "lime" for n in range(3)}
    embeddings = embedded(colours)
    labels = {"red/0.jpg": "red", "blue/0.jpg": "blue"}
    trained = train_head(embeddings, labels, output=tmp_path / "head.safetensors")
    assert trained.accuracy.value == pytest.approx(
        6 / 9
    )  # six right, three of the class without labels
    assert trained.accuracy.judged == 9
    assert trained.accuracy.note == (
        "on 9 images not used for training; 3 of them have classes without training labels (green) "
        "and count as wrong"
    )
    prediction = ep.predict(embeddings, tmp_path / "head.safetensors")
    assert (prediction.accuracy, prediction.judged) == (trained.accuracy.value, 9)
    other = ep.predict(embedded({"green/9.jpg": "lime"}, "more"), tmp_path / "head.safetensors")
    assert (other.accuracy, other.judged) == (None, 0)


def test_a_labelled_test_split_is_used_for_the_accuracy(embedded):
    colours = {
        f"{split}/{name}/{n}.jpg": colour
        for split in ("train", "test")
        for name, colour in (("r", "red"), ("b", "blue"))
        for n in range(3)
    }
    labels = {"train/r/0.jpg": "r", "train/b/0.jpg": "b"}
    found = train_head(embedded(colours), labels).accuracy
    assert (found.value, found.judged, found.note) == (1.0, 6, "on 6 images of the test split")


def test_an_unlabelled_dataset_has_no_accuracy(embedded):
    found = train_head(embedded({f"{n}.jpg": "red" for n in range(3)}), THINGS).accuracy
    assert (found.value, found.judged) == (None, 0)
    assert found.note == (
        "the dataset has no labels of its own (class folders or a manifest) for images that "
        "were not used for training"
    )


def test_a_loop_whose_test_split_has_other_classes_has_no_accuracy(embedded):
    colours = {f"train/{name}/{n}.jpg": "red" for name in ("a", "b") for n in range(4)}
    embeddings = embedded(colours | {f"test/{name}/{n}.jpg": "red" for name in "cd" for n in "01"})
    loop = ep.ActiveLoop(embeddings, strategy="random", initial="random", initial_size=2)
    assert [record.accuracy for record in loop.run(rounds=1, batch_size=2)] == [None, None]
    assert loop.problem.untested == ("the test split has no class in common with the other images")
    shared = embedded({"test/a/9.jpg": "red"})  # now one is shared: the others count as wrong
    loop = ep.ActiveLoop(shared, strategy="random", initial="random", initial_size=2)
    assert all(record.accuracy is not None for record in loop.run(rounds=1, batch_size=3))
    assert len(loop.problem.test_rows) == 5
