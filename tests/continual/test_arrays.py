"""Streams of arrays: buckets, splits and labels."""

import random

import numpy as np
import pandas as pd
import pytest

import embedpipe as ep
from embedpipe.continual import Stream
from embedpipe.continual.stream_parts import natural_key
from embedpipe.datasets import Dataset, Item, load_dataset
from embedpipe.errors import DatasetError, LabelError

X = np.arange(48, dtype=np.float32).reshape(24, 2)
LABELS = ["hat", "shoe"] * 12
NAN = float("nan")


def names(buckets, labels=LABELS):
    stream = Stream.from_arrays(X, labels, buckets, protocol="streaming")
    return [each.name for each in stream.experiences]


ORDERS = {
    "whole": ([10, 2, 1, -5, -10, 0], ["-10", "-5", "0", "1", "2", "10"]),
    "texts of numbers": (["10", "2", "-5", "-10"], ["-10", "-5", "2", "10"]),
    "decimals": ([0.5, 0.25, 1.0, -0.75], ["-0.75", "0.25", "0.5", "1.0"]),
    "whole as floats": ([10.0, 2.0, 1.0], ["1", "2", "10"]),
    "float32": (np.array([0.5, 0.1, 0.25], np.float32), ["0.1", "0.25", "0.5"]),
    "exponents": (["1e3", "20", "3e-2"], ["3e-2", "20", "1e3"]),
    "years and months": (["2014-10", "2014-9", "2013-12"], ["2013-12", "2014-9", "2014-10"]),
    "signs before units": (
        ["-5 °C", "-10 °C", "20 °C", "3 °C"],
        ["-10 °C", "-5 °C", "3 °C", "20 °C"],
    ),
    "numbers and texts": (
        ["b10", "10", "2b", "2", "b9", "-1"],
        ["-1", "2", "2b", "10", "b9", "b10"],
    ),
    "dates": (
        np.array(["2024-02-01", "2023-11-30"], "datetime64[D]"),
        ["2023-11-30", "2024-02-01"],
    ),
    "bytes": (np.array([b"10", b"9"]), ["9", "10"]),
}


@pytest.mark.parametrize("kind", ORDERS)
def test_buckets_are_in_the_order_of_their_numbers(kind):
    buckets, right = ORDERS[kind]
    repeated = np.repeat(buckets, 24 // len(buckets))
    assert names(repeated, LABELS[: len(repeated)]) == right if len(repeated) == 24 else True
    few = X[: len(repeated)]
    stream = Stream.from_arrays(few, LABELS[: len(few)], repeated, protocol="streaming")
    assert [each.name for each in stream.experiences] == right


def test_the_order_does_not_depend_on_the_order_of_rows():
    texts = ["10", "2", "-5", "-10", "x", "x2", "x10", "0.5", "02", "1.0", "1", "-", "", "２"]
    right = sorted(texts, key=natural_key)
    for seed in range(20):
        shuffled = random.Random(seed).sample(texts, len(texts))
        assert sorted(shuffled, key=natural_key) == right
    assert right[:5] == ["", "-10", "-5", "0.5", "1"]


@pytest.mark.parametrize("gap", [None, NAN, np.nan, pd.NA, pd.NaT, "", " "], ids=repr)
def test_a_row_without_a_bucket_is_in_no_experience(gap):
    buckets = [2.0] * 10 + [gap] * 4 + [1.0] * 10
    stream = Stream.from_arrays(X, LABELS, buckets, protocol="streaming")
    assert [(each.name, each.train.tolist()) for each in stream.experiences] == [
        ("1", list(range(14, 24))),
        ("2", list(range(10))),
    ]


def test_numbers_with_gaps_as_an_array():
    buckets = np.array([2.0] * 10 + [np.nan] * 4 + [1.0] * 10)
    assert names(buckets) == ["1", "2"]
    assert names(pd.array([2] * 10 + [None] * 4 + [1] * 10, dtype="Int64")) == ["1", "2"]


@pytest.mark.parametrize("name", ["test", "Test", "TEST", " test ", "testing", "tst", b"test"])
def test_every_alias_of_test_is_the_test_split(name):
    mine = np.arange(24) % 4 == 0
    splits = np.array([name if test else "" for test in mine], dtype=object)
    stream = Stream.from_arrays(X, LABELS, np.repeat([1, 2], 12), splits)
    assert np.concatenate([each.test for each in stream.experiences]).tolist() == list(
        range(0, 24, 4)
    )
    assert not mine[np.concatenate([each.train for each in stream.experiences])].any()


@pytest.mark.parametrize("name", ["val", "Validation", "VALID", " dev", "eval"])
def test_validation_rows_are_not_used_for_any_alias(name):
    splits = [name if row % 4 == 0 else "Training" for row in range(24)]
    stream = Stream.from_arrays(X, LABELS, np.repeat([1, 2], 12), splits)
    used = np.concatenate([np.r_[each.train, each.test] for each in stream.experiences])
    assert not np.isin(np.arange(0, 24, 4), used).any()


@pytest.mark.parametrize("gap", [None, NAN, pd.NA, ""], ids=repr)
def test_a_row_without_a_split_is_a_training_row(gap):
    splits = ["test", *[gap] * 11, "test", *[gap] * 11]
    stream = Stream.from_arrays(X, LABELS, np.repeat([1, 2], 12), splits)
    assert [each.train.size for each in stream.experiences] == [11, 11]


@pytest.mark.parametrize("name", ["holdout", "tset", True, 1, "test-2"])
def test_another_split_is_refused_with_its_name(name):
    splits = [*["train"] * 5, name, *["train"] * 18]
    with pytest.raises(LabelError) as error:
        Stream.from_arrays(X, LABELS, np.repeat([1, 2], 12), splits)
    assert str(error.value) == (
        f"row 5 of splits: the split is {str(name)!r}; known splits: train, training, trn, "
        "validation, valid, val, dev, eval, test, testing, tst."
    )


@pytest.mark.parametrize("gap", [None, NAN, pd.NA, "", "  "], ids=repr)
def test_rows_without_a_label_are_in_no_experience(gap):
    labels = [gap if row in (0, 13) else label for row, label in enumerate(LABELS)]
    stream = Stream.from_arrays(X, labels, np.repeat([1, 2], 12), protocol="streaming")
    assert stream.classes.tolist() == ["hat", "shoe"]
    assert [each.train.tolist() for each in stream.experiences] == [
        list(range(1, 12)),
        [12, *range(14, 24)],
    ]


def test_mixed_labels_and_different_lengths_are_refused():
    with pytest.raises(LabelError, match="labels mixes int, str: give all labels as texts"):
        names(np.repeat([1, 2], 12), [*LABELS[:-1], 1])
    with pytest.raises(LabelError, match="24 rows but 23 labels: give one for each row"):
        names(np.repeat([1, 2], 12), LABELS[1:])
    with pytest.raises(LabelError, match="24 rows but 22 buckets: give one for each row"):
        names(np.repeat([1, 2], 11))
    with pytest.raises(LabelError, match="24 rows but 1 splits: give one for each row"):
        Stream.from_arrays(X, LABELS, np.repeat([1, 2], 12), ["test"])
    with pytest.raises(LabelError, match="buckets must be strings or numbers"):
        names([[1], *[2] * 23])


def test_items_made_by_hand_have_the_canonical_splits():
    source = load_dataset("digits").source
    with pytest.raises(DatasetError) as error:
        Dataset("mine", (Item("a.pgm", split="Test"),), source)
    assert str(error.value) == (
        "dataset 'mine': the split of 'a.pgm' is 'Test'; it must be train, validation, "
        "test or None."
    )


@pytest.mark.parametrize("kind", ["buckets", "folders"])
def test_manifests_and_folders_have_the_same_order(photos, tmp_path, kind):
    """Buckets of a manifest and folders of domains, with negative numbers."""
    names, folder = ["10", "-5", "2", "-10", "0.5"], photos(20, 1)
    rows = ["path,label,bucket"]
    for number, file in enumerate(sorted(folder.rglob("*.jpg"))):
        bucket, label = names[number % 5], LABELS[number // 5]
        target = folder / bucket / label / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
        rows.append(f"{bucket}/{label}/{file.name},{label},{bucket}")
    (folder / "m.csv").write_text("\n".join(rows))
    source = folder / "m.csv" if kind == "buckets" else folder
    embeddings = ep.embed(load_dataset(source), backbone="toy", workspace=tmp_path / "workspace")
    found = [each.name for each in Stream.of(embeddings, kind, protocol="streaming").experiences]
    assert found == ["-10", "-5", "0.5", "2", "10"]
