"""The contract of datasets."""

from __future__ import annotations

import pickle
import tempfile
from concurrent.futures import ThreadPoolExecutor

from .._pixels import content_id_of
from ..backbones import ToyBackbone, decode_image
from ..datasets import Dataset, datasets, load_dataset
from ..errors import DatasetError
from ._suite import CheckReport, NotApplicable, Suite

__all__ = ["check_dataset", "dataset_checks"]

dataset_checks = Suite("dataset")
"""The checks of `check_dataset`; each takes a `Dataset` or the name of a registered dataset."""

SPLITS = {None, "train", "validation", "test"}

SAMPLE = 20
"""Approximate number of images read by each check."""


def check_dataset(dataset: str | Dataset) -> CheckReport:
    """Check the contract of a `Dataset`, or of a dataset given by its registered name.

    Raise `ContractError` if a check fails. For a registered dataset that must be downloaded, most
    checks do not apply.

    Examples
    --------
    >>> print(check_dataset("digits"))
    9 checks passed
    not applicable: missing_dataset_is_refused_with_instructions: the dataset needs no download
    not applicable: stamps_are_stable: the source has no stamps
    """
    return dataset_checks.run(dataset)


def _loaded(subject: str | Dataset) -> Dataset:
    if isinstance(subject, Dataset):
        return subject
    with tempfile.TemporaryDirectory() as folder:
        try:
            return load_dataset(subject, directory=folder)
        except DatasetError as error:
            raise NotApplicable("the dataset is not on this machine") from error


def _some_ids(dataset: Dataset) -> list[str]:
    step = max(1, len(dataset) // SAMPLE)
    return [item.id for item in dataset.items[::step]]


@dataset_checks
def registry_has_a_description(subject: str | Dataset) -> None:
    if isinstance(subject, Dataset):
        raise NotApplicable("the subject is a Dataset, not a registered name")
    assert datasets.describe()[subject].endswith("."), "the docstring must begin with a sentence"


@dataset_checks
def missing_dataset_is_refused_with_instructions(subject: str | Dataset) -> None:
    if isinstance(subject, Dataset):
        raise NotApplicable("the dataset needs no download")
    with tempfile.TemporaryDirectory() as folder:
        try:
            load_dataset(subject, directory=folder)
        except DatasetError as error:
            assert "--source PATH" in str(error), f"the message must mention --source: {error}"
            return
    raise NotApplicable("the dataset needs no download")


@dataset_checks
def ids_are_sorted_and_distinct(subject: str | Dataset) -> None:
    ids = [item.id for item in _loaded(subject).items]
    assert ids, "the dataset has no items"
    assert ids == sorted(set(ids)), "the ids of the items must be distinct and in ascending order"


@dataset_checks
def splits_are_known_and_labels_are_classes(subject: str | Dataset) -> None:
    dataset = _loaded(subject)
    splits = {item.split for item in dataset.items}
    assert splits <= SPLITS, f"splits must be among train, validation, test: {splits - SPLITS}"
    labels = {item.label for item in dataset.items} - {None}
    assert labels <= set(dataset.class_names), "a label is not in class_names"
    assert len(set(dataset.class_names)) == len(dataset.class_names), "a class name occurs twice"
    assert sum(dataset.counts().values()) == len(dataset)


@dataset_checks
def every_id_is_read_once_in_any_order(subject: str | Dataset) -> None:
    dataset = _loaded(subject)
    ids = _some_ids(dataset)[::-1]
    read = list(dataset.source.read(ids))
    assert sorted(key for key, _ in read) == sorted(ids), "each id must be read once"
    for key, content in read:
        assert isinstance(content, bytes), f"{key} cannot be read: {content}"
        assert content == dataset.source.read_one(key)


@dataset_checks
def digests_are_those_of_the_images(subject: str | Dataset) -> None:
    dataset = _loaded(subject)
    ids = _some_ids(dataset)
    digests = dict(dataset.source.digests(ids))
    assert digests == {key: content_id_of(dataset.source.read_one(key)) for key in ids}


@dataset_checks
def unknown_id_does_not_stop_reading(subject: str | Dataset) -> None:
    dataset = _loaded(subject)
    ids = [*_some_ids(dataset)[:3], "no such/item.png"]
    contents = dict(dataset.source.read(ids))
    assert isinstance(contents.pop("no such/item.png"), FileNotFoundError)
    assert all(isinstance(content, bytes) for content in contents.values())
    assert dataset.source.stamp("no such/item.png") is None


@dataset_checks
def images_can_be_decoded(subject: str | Dataset) -> None:
    dataset = _loaded(subject)
    for item in _some_ids(dataset):
        decode_image(dataset.source.read_one(item), ToyBackbone().preprocess)


@dataset_checks
def source_works_in_other_processes_and_threads(subject: str | Dataset) -> None:
    dataset = _loaded(subject)
    ids = _some_ids(dataset)
    source = pickle.loads(pickle.dumps(dataset.source))
    assert source.location == dataset.source.location
    with ThreadPoolExecutor(4) as pool:
        contents = list(pool.map(source.read_one, ids))
    assert contents == [dataset.source.read_one(item) for item in ids]


@dataset_checks
def stamps_are_stable(subject: str | Dataset) -> None:
    dataset = _loaded(subject)
    for item in _some_ids(dataset):
        stamp = dataset.source.stamp(item)
        if stamp is None:
            raise NotApplicable("the source has no stamps")
        assert stamp.size > 0
        assert stamp == dataset.source.stamp(item)


@dataset_checks
def loading_again_gives_the_same_items(subject: str | Dataset) -> None:
    dataset = _loaded(subject)
    assert pickle.loads(pickle.dumps(dataset)).items == dataset.items
    if not isinstance(subject, Dataset):
        assert _loaded(subject).items == dataset.items
