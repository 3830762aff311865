"""Properties of datasets from every kind of source."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedpipe.datasets import datasets, load_dataset
from embedpipe.datasets.registry import Request
from embedpipe.testing import check_dataset, dataset_checks

ARCHIVES = [".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"]
MANIFESTS = [".csv", ".jsonl", ".parquet"]
SPLIT = {"train": "train", "val": "validation", "test": "test"}


@pytest.fixture(params=["folder", "wrapped folder", *ARCHIVES, *MANIFESTS])
def loaded(request, shop, pack):
    """Return the same images as a dataset from each kind of source, and their bytes by id."""
    root, contents = shop
    if request.param == "folder":
        return load_dataset(root), contents
    if request.param == "wrapped folder":
        return load_dataset(root.parent), contents
    if request.param in ARCHIVES:
        return load_dataset(pack(root, request.param)), contents
    return load_dataset(manifest(root, contents, request.param)), contents


def manifest(root, contents, suffix):
    rows = [
        {"path": path, "label": path.split("/")[1], "split": path.split("/")[0]}
        for path in contents
    ]
    target = root / f"list{suffix}"
    if suffix == ".csv":
        lines = [",".join(row.values()) for row in rows]
        target.write_text("\n".join(["path,label,split", *lines]), "utf-8")
    elif suffix == ".jsonl":
        target.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), target)
    return target


def test_items_are_the_images_sorted_by_id_with_label_and_split(loaded):
    dataset, contents = loaded
    found = [(item.id, item.label, item.split, item.bucket) for item in dataset.items]
    assert found == [
        (name, name.split("/")[1], SPLIT[name.split("/")[0]], None) for name in sorted(contents)
    ]
    assert dataset.class_names == ("hat", "rain coat")
    assert dataset.labels() == [item.label for item in dataset.items]
    assert dataset.splits() == [item.split for item in dataset.items]
    assert dataset.counts() == {"train": 3, "validation": 2, "test": 2}
    assert len(dataset) == 7


def test_every_id_is_read_once_in_any_order(loaded):
    dataset, contents = loaded
    ids = sorted(contents, reverse=True)
    assert sorted(dataset.source.read(ids)) == sorted(contents.items())
    assert dict(dataset.source.read(ids[2:4])) == {name: contents[name] for name in ids[2:4]}
    assert list(dataset.source.read([])) == []
    assert dataset.source.read_one(ids[0]) == contents[ids[0]]


def test_an_unknown_id_yields_its_error_and_does_not_stop_the_rest(loaded):
    dataset, contents = loaded
    ids = [*contents, "train/hat/absent.png"]
    found = dict(dataset.source.read(ids))
    assert isinstance(found.pop("train/hat/absent.png"), FileNotFoundError)
    assert found == contents
    assert dataset.source.stamp("train/hat/absent.png") is None
    with pytest.raises(FileNotFoundError):
        dataset.source.read_one("train/hat/absent.png")


def test_sources_pickle_as_their_location_and_work_in_threads(loaded):
    dataset, contents = loaded
    pickled = pickle.dumps(dataset.source)
    assert len(pickled) < 400
    source = pickle.loads(pickled)
    assert source.location == dataset.source.location
    assert source.stamp("test/hat/y.TIFF") == dataset.source.stamp("test/hat/y.TIFF")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(source.read_one, list(contents) * 5))
    assert found == list(contents.values()) * 5


def test_stamps_contain_the_size_and_are_stable(loaded):
    dataset, contents = loaded
    for name, content in contents.items():
        stamp = dataset.source.stamp(name)
        assert stamp.size == len(content)
        assert stamp == dataset.source.stamp(name)


def test_a_pickled_dataset_and_its_subset_have_the_same_items(loaded):
    dataset, _ = loaded
    assert pickle.loads(pickle.dumps(dataset)).items == dataset.items
    assert dataset.subset("test").items == tuple(i for i in dataset.items if i.split == "test")
    assert dataset.subset("test").name == f"{dataset.name}-test"


@pytest.mark.parametrize("check", dataset_checks, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", list(datasets))
def test_contract_of_a_registered_dataset(name, check):
    check(name)


def test_the_contract_holds_for_every_source(loaded):
    report = check_dataset(loaded[0])
    assert len(report.passed) >= 7


@pytest.mark.parametrize("name", list(datasets))
def test_a_registered_dataset_loads_or_explains_how_to_get_it(name, tmp_path):
    from embedpipe.errors import DatasetError

    card = datasets[name].card
    assert datasets.describe()[name] == card.description
    if name == "digits":
        dataset = datasets[name](Request())
        assert dataset.name == name
        assert dataset.card is card
        assert dataset.class_names == card.classes
        assert dataset.counts() == dict(card.counts)
        return
    with pytest.raises(DatasetError) as raised:
        datasets[name](Request(directory=tmp_path))
    if card.download is None:
        assert str(raised.value) == (
            f"{name} cannot be downloaded by embedpipe: get it from {card.home} and give --source "
            f"PATH ({card.layout})."
        )
        return
    assert str(raised.value) == (
        f"{name} is not in '{tmp_path}': give --source PATH if you have it ({card.layout}), "
        f"or --download to fetch {card.size / 1e6:.0f} MB from {card.download}."
    )
