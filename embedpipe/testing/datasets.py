"""What must hold for every dataset."""

from __future__ import annotations

import pickle
import tempfile
from concurrent.futures import ThreadPoolExecutor

from ..backbones import ToyBackbone, decode_image
from ..datasets import Dataset, datasets, load_dataset
from ..errors import DatasetError
from ._suite import CheckReport, NotApplicable, Suite

__all__ = ["check_dataset", "dataset_checks"]

dataset_checks = Suite("dataset")
"""The checks of `check_dataset`, each called with a `Dataset` or the name of a registered one."""

SPLITS = {None, "train", "validation", "test"}

SAMPLE = 20
"""Images that are read by each check."""


def check_dataset(dataset: str | Dataset) -> CheckReport:
    """Check that a dataset keeps the contract of all datasets.

    Parameters
    ----------
    dataset
        The name of a registered dataset, or a dataset: ``load_dataset("scans", source=folder)``.

    Returns
    -------
    CheckReport
        The checks that passed, and those that have no meaning for this dataset. A registered
        dataset that has to be downloaded is checked as far as its message says how to get it.

    Raises
    ------
    ContractError
        If a check fails, with a line for each. With pytest, a test for each check is clearer:
        ``@pytest.mark.parametrize("check", dataset_checks)``.

    Examples
    --------
    >>> print(check_dataset("digits"))
    8 checks passed
    not applicable: dataset_to_download_says_how: it needs no download
    not applicable: stamps_give_the_size_and_stay: its source has no stamps
    """
    return dataset_checks.run(dataset)


def _loaded(given: str | Dataset) -> Dataset:
    if isinstance(given, Dataset):
        return given
    with tempfile.TemporaryDirectory() as folder:
        try:
            return load_dataset(given, directory=folder)
        except DatasetError as error:
            raise NotApplicable("it is not on this machine") from error


def _some_ids(dataset: Dataset) -> list[str]:
    step = max(1, len(dataset) // SAMPLE)
    return [item.id for item in dataset.items[::step]]


@dataset_checks
def registry_describes_it(given: str | Dataset) -> None:
    if isinstance(given, Dataset):
        raise NotApplicable("it is given as a dataset, not by its name")
    assert datasets.describe()[given].endswith("."), "it has no docstring of one sentence"


@dataset_checks
def dataset_to_download_says_how(given: str | Dataset) -> None:
    if isinstance(given, Dataset):
        raise NotApplicable("it needs no download")
    with tempfile.TemporaryDirectory() as folder:
        try:
            load_dataset(given, directory=folder)
        except DatasetError as error:
            assert "--source PATH" in str(error), f"the message names no way to get it: {error}"
            return
    raise NotApplicable("it needs no download")


@dataset_checks
def ids_are_sorted_and_distinct(given: str | Dataset) -> None:
    ids = [item.id for item in _loaded(given).items]
    assert ids, "it has no items"
    assert ids == sorted(set(ids)), "items must be sorted by id, each once"


@dataset_checks
def splits_are_known_and_labels_are_classes(given: str | Dataset) -> None:
    dataset = _loaded(given)
    splits = {item.split for item in dataset.items}
    assert splits <= SPLITS, f"splits must be among train, validation, test: {splits - SPLITS}"
    labels = {item.label for item in dataset.items} - {None}
    assert labels <= set(dataset.class_names), "a label is not in class_names"
    assert len(set(dataset.class_names)) == len(dataset.class_names), "a class is there twice"
    assert sum(dataset.counts().values()) == len(dataset)


@dataset_checks
def every_id_is_read_once_in_any_order(given: str | Dataset) -> None:
    dataset = _loaded(given)
    ids = _some_ids(dataset)[::-1]
    read = list(dataset.source.read(ids))
    assert sorted(key for key, _ in read) == sorted(ids), "not each id was read once"
    for key, content in read:
        assert isinstance(content, bytes), f"{key} cannot be read: {content}"
        assert content == dataset.source.read_one(key)


@dataset_checks
def unknown_id_does_not_stop_the_rest(given: str | Dataset) -> None:
    dataset = _loaded(given)
    ids = [*_some_ids(dataset)[:3], "no such/item.png"]
    found = dict(dataset.source.read(ids))
    assert isinstance(found.pop("no such/item.png"), FileNotFoundError)
    assert all(isinstance(content, bytes) for content in found.values())
    assert dataset.source.stamp("no such/item.png") is None


@dataset_checks
def images_can_be_decoded(given: str | Dataset) -> None:
    dataset = _loaded(given)
    for item in _some_ids(dataset):
        decode_image(dataset.source.read_one(item), ToyBackbone().preprocess)


@dataset_checks
def source_serves_other_processes_and_threads(given: str | Dataset) -> None:
    dataset = _loaded(given)
    ids = _some_ids(dataset)
    source = pickle.loads(pickle.dumps(dataset.source))
    assert source.location == dataset.source.location
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(source.read_one, ids))
    assert found == [dataset.source.read_one(item) for item in ids]


@dataset_checks
def stamps_give_the_size_and_stay(given: str | Dataset) -> None:
    dataset = _loaded(given)
    for item in _some_ids(dataset):
        stamp = dataset.source.stamp(item)
        if stamp is None:
            raise NotApplicable("its source has no stamps")
        assert stamp.size == len(dataset.source.read_one(item))
        assert stamp == dataset.source.stamp(item)


@dataset_checks
def loaded_again_it_is_the_same(given: str | Dataset) -> None:
    dataset = _loaded(given)
    assert pickle.loads(pickle.dumps(dataset)).items == dataset.items
    if not isinstance(given, Dataset):
        assert _loaded(given).items == dataset.items
