"""Named datasets: published archives if there are local copies, and small imitations."""

import gzip
import hashlib
import pickle
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from embedpipe.datasets import load_dataset
from embedpipe.datasets.library_datasets import (
    load_arrays,
    load_cifar10,
    load_flowers102,
)
from embedpipe.datasets.registry import Request, checked, datasets
from embedpipe.errors import DatasetError, UsageError


def test_every_name_has_a_card():
    cards = Path(__file__).parents[2] / "data"
    assert {path.stem for path in cards.glob("*.yaml")} == set(datasets)


@pytest.mark.parametrize("name", list(datasets))
def test_cards_are_complete(name):
    card = datasets[name].card
    assert len(set(card.classes)) == len(card.classes)
    assert len(card.classes) >= 10 or name == "clear100"  # its copies differ
    assert set(card.counts) <= {"train", "validation", "test", "unsplit"}
    for text in (card.title, card.description, card.home, card.licence, card.citation, card.layout):
        assert text.strip()
        assert "\n" not in text
    assert (card.archive is None) == (card.sha256 is None) == (card.tree_digest is None)


def test_digits_are_the_rows_of_scikit_learn():
    from sklearn.datasets import load_digits

    dataset, bunch = load_dataset("digits"), load_digits()
    assert [item.id for item in dataset.items[:2]] == ["test/1400.pgm", "test/1401.pgm"]
    assert dataset.counts() == {"train": 1400, "test": 397}
    for item in dataset.items[::100]:
        row = int(item.id[-8:-4])
        raw = dataset.source.read_one(item.id)
        pixels = np.frombuffer(raw.removeprefix(b"P5\n8 8\n255\n"), np.uint8).reshape(8, 8)
        assert item.label == str(bunch.target[row])
        assert np.array_equal(pixels, np.floor(bunch.images[row] * 255 / 16 + 0.5))


def test_digits_never_change():
    dataset = load_dataset("digits")
    joined = b"".join(content for _, content in dataset.source.read([i.id for i in dataset.items]))
    assert len(joined) == 1797 * 75
    assert hashlib.sha256(joined).hexdigest() == DIGITS


DIGITS = "c298e24b3cbd30b785bff103f4bbc91709d5798cfc770201aea5522075f70d0d"


def test_digits_are_in_memory_and_take_no_source(tmp_path):
    source = load_dataset("digits").source
    assert source.stamp("train/0000.pgm") is None
    assert len(pickle.dumps(source)) < 200
    ((_, error),) = source.read(["train/9999.pgm"])
    assert str(error) == "it is not in scikit-learn's digits"
    with pytest.raises(UsageError) as raised:
        load_dataset("digits", source=tmp_path)
    assert str(raised.value) == (
        "digits comes with scikit-learn and takes no source; leave the source out."
    )


def test_clothing(clothing_zip, tmp_path):
    dataset = load_dataset("clothing", source=clothing_zip)
    assert dataset.name == "clothing"
    assert dataset.counts() == {"train": 3068, "validation": 341, "test": 372}
    assert dataset.class_names == datasets["clothing"].card.classes
    compare_unpacked(dataset, clothing_zip, tmp_path, "clothing-dataset-small-master")


def test_cifar10(cifar10_zip, tmp_path):
    dataset = load_dataset("cifar10", source=cifar10_zip)
    assert dataset.counts() == {"train": 50000, "test": 10000}
    assert dataset.items[0].id == "test/airplane/0000.jpg"
    compare_unpacked(dataset, cifar10_zip, tmp_path, "CIFAR-10-images-master")


def compare_unpacked(dataset, path, folder, wrapping):
    """Assert that a sample of the unpacked archive has the same ids and bytes."""
    sample = random.Random(0).sample([item.id for item in dataset.items], 100)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder, [f"{wrapping}/{name}" for name in sample])
    for place in (folder, folder / wrapping):
        unpacked = load_dataset(place)
        assert [item.id for item in unpacked.items] == sorted(sample)
        assert set(unpacked.items) <= set(dataset.items)
        assert dict(unpacked.source.read(sample)) == dict(dataset.source.read(sample))


def test_a_source_that_is_not_what_it_is_said_to_be(shop):
    with pytest.raises(DatasetError) as raised:
        load_dataset("clothing", source=shop[0])
    assert str(raised.value) == (
        "clothing has 3781 images (3068 train, 341 validation, 372 test) in its card, "
        f"the source '{shop[0]}' has 7 images (3 train, 2 validation, 2 test)."
    )


def test_a_source_that_does_not_exist():
    with pytest.raises(DatasetError) as raised:
        load_dataset("clothing", source="absent.zip")
    assert str(raised.value) == "the source of clothing does not exist: 'absent.zip'."


def test_other_classes_than_the_card(shop):
    from dataclasses import replace

    dataset = load_dataset(shop[0])
    card = replace(datasets["clothing"].card, counts={"train": 3, "validation": 2, "test": 2})
    with pytest.raises(DatasetError) as raised:
        checked(dataset, replace(card, classes=("hat", "skirt")))
    assert str(raised.value) == (
        f"the classes of clothing in the source '{shop[0]}' differ from the classes in the card: "
        "'rain coat', 'skirt'."
    )
    named = checked(dataset, replace(card, classes=("rain coat", "hat")))
    assert (named.name, named.class_names) == ("clothing", ("rain coat", "hat"))


def write_idx(root, kind, images, labels):
    """Write a set in the format of MNIST."""
    folder = root / kind / "raw"
    folder.mkdir(parents=True)
    for part in ("train", "t10k"):
        rows = images[part]
        header = struct.pack(">4B3I", 0, 0, 8, 3, *rows.shape)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + rows.tobytes())
        header = struct.pack(">4BI", 0, 0, 8, 1, len(rows))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(header + bytes(labels[part]))


@pytest.mark.parametrize(
    ("name", "kind", "names"),
    [("mnist", "MNIST", ["3", "9"]), ("fashion_mnist", "FashionMNIST", ["Dress", "Ankle boot"])],
)
def test_sets_in_the_format_of_mnist(tmp_path, name, kind, names):
    noise = np.random.default_rng(0)
    images = {part: noise.integers(0, 256, (2, 28, 28), np.uint8) for part in ("train", "t10k")}
    write_idx(tmp_path, kind, images, {"train": [3, 9], "t10k": [9, 3]})
    folder = Path(kind, "raw")
    request = Request(str(tmp_path), card=datasets[name].card)
    dataset = load_arrays(kind, tmp_path, folder, ".pgm", request)
    assert [(i.id, i.label, i.split) for i in dataset.items] == [
        ("test/00000.pgm", names[1], "test"),
        ("test/00001.pgm", names[0], "test"),
        ("train/00000.pgm", names[0], "train"),
        ("train/00001.pgm", names[1], "train"),
    ]
    source = pickle.loads(pickle.dumps(dataset.source))
    header = b"P5\n28 28\n255\n"
    assert source.read_one("train/00001.pgm") == header + images["train"][1].tobytes()
    assert source.read_one("test/00000.pgm") == header + images["t10k"][0].tobytes()
    with pytest.raises(DatasetError) as raised:
        load_dataset(name, source=tmp_path)
    assert str(raised.value) == (
        f"{name} has 70000 images (60000 train, 10000 test) in its card, "
        f"the source '{tmp_path / kind / 'raw'}' has 4 images (2 train, 2 test)."
    )


def test_cifar10_batches(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rows = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), np.uint8)
    names = list(datasets["cifar10"].card.classes)
    sums = {}
    for file, content in [
        ("data_batch_1", {"data": rows.reshape(2, -1), "labels": [1, 9]}),
        ("test_batch", {"data": rows[:1].reshape(1, -1), "labels": [0]}),
        ("batches.meta", {"label_names": names}),
    ]:
        raw = pickle.dumps(content)
        (folder / file).write_bytes(raw)
        sums[file] = hashlib.md5(raw).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", sums["data_batch_1"]]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": sums["batches.meta"]})
    dataset = load_cifar10(Request(str(tmp_path), card=datasets["cifar10"].card))
    assert [(i.id, i.label, i.split) for i in dataset.items] == [
        ("test/00000.ppm", "airplane", "test"),
        ("train/00000.ppm", "automobile", "train"),
        ("train/00001.ppm", "truck", "train"),
    ]
    expected = b"P6\n32 32\n255\n" + rows[1].transpose(1, 2, 0).tobytes()
    assert dataset.source.read_one("train/00001.ppm") == expected
    for source in (tmp_path, folder):
        with pytest.raises(DatasetError) as raised:
            load_dataset("cifar10", source=source)
        assert str(raised.value) == (
            "cifar10 has 60000 images (50000 train, 10000 test) in its card, "
            f"the source '{folder}' has 3 images (2 train, 1 test)."
        )


def test_altered_cifar10_batches_are_not_unpickled(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    with pytest.raises(DatasetError) as raised:
        load_dataset("cifar10", source=tmp_path)
    assert str(raised.value) == (
        f"torchvision cannot read CIFAR10 below '{tmp_path}': Dataset not found or corrupted."
    )


def test_flowers102(tmp_path, make, monkeypatch):
    from scipy.io import savemat
    from torchvision.datasets import Flowers102

    folder = tmp_path / "flowers-102"
    names = [f"jpg/image_{number:05d}.jpg" for number in range(1, 7)]
    contents = make(folder, names)
    savemat(folder / "imagelabels.mat", {"labels": np.array([[1, 2, 102, 1, 2, 102]])})
    ids = {"trnid": [[2, 5]], "valid": [[1, 6]], "tstid": [[3, 4]]}
    savemat(folder / "setid.mat", {key: np.array(value) for key, value in ids.items()})
    files = dict(Flowers102._file_dict)
    for key in ("label", "setid"):
        name = files[key][0]
        files[key] = (name, hashlib.md5((folder / name).read_bytes()).hexdigest())
    monkeypatch.setattr(Flowers102, "_file_dict", files)
    dataset = load_flowers102(Request(str(tmp_path), card=datasets["flowers102"].card))
    assert [(i.id, i.label, i.split) for i in dataset.items] == [
        (names[0], "pink primrose", "validation"),
        (names[1], "hard-leaved pocket orchid", "train"),
        (names[2], "blackberry lily", "test"),
        (names[3], "pink primrose", "test"),
        (names[4], "hard-leaved pocket orchid", "train"),
        (names[5], "blackberry lily", "validation"),
    ]
    assert dict(dataset.source.read(names)) == contents


def test_eurosat_layouts(tmp_path, make):
    classes = datasets["eurosat"].card.classes
    make(tmp_path / "eurosat/2750", [f"{name}/{name}_1.jpg" for name in classes])
    for source in (tmp_path, tmp_path / "eurosat", tmp_path / "eurosat/2750"):
        with pytest.raises(DatasetError, match=r"eurosat has 27000 images .* has 10 images"):
            load_dataset("eurosat", source=source)


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST/raw"), ("flowers102", "flowers-102/jpg")]
)
def test_a_source_without_torchvisions_layout(tmp_path, name, folder):
    with pytest.raises(DatasetError) as raised:
        load_dataset(name, source=tmp_path)
    assert str(raised.value) == (
        f"the source of {name} must be the folder that contains '{folder}'; '{tmp_path}' does not."
    )
    with pytest.raises(UsageError) as raised:
        load_dataset(name, source="https://example.org/x.zip")
    assert str(raised.value) == (
        f"{name} has no single archive to download; give a folder or --download."
    )


def test_compressed_idx_alone_is_not_enough(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(DatasetError) as raised:
        load_dataset("mnist", source=tmp_path)
    assert str(raised.value) == (
        f"torchvision cannot read MNIST below '{tmp_path}': Dataset not found."
    )
