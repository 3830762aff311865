"""Streams: training and test rows of the experiences."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import embedpipe as ep
from embedpipe.continual import KINDS, PROTOCOLS, Stream
from embedpipe.embedding import Embeddings
from embedpipe.errors import LabelError, UnknownNameError, UsageError


def rows_of(stream: Stream) -> list[int]:
    every = [row for each in stream.experiences for row in (*each.train, *each.test)]
    return [int(row) for row in every]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("buckets", "folders")])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", [0, 3])
def test_no_row_is_in_two_experiences_and_no_test_row_is_learned(
    digits: Embeddings, kind: str, protocol: str, seed: int
) -> None:
    stream = Stream.of(digits, kind, n=5, protocol=protocol, seed=seed)
    assert len(stream) == 5
    for at, one in enumerate(stream.experiences):
        assert one.train.size
        assert np.unique(one.train).size == one.train.size
        for other in stream.experiences[at + 1 :]:
            assert not np.intersect1d(one.train, other.train).size
            assert not np.intersect1d(one.test, other.test).size
    train = np.concatenate([each.train for each in stream.experiences])
    test = np.concatenate([each.test for each in stream.experiences])
    if protocol == "iid":
        assert not np.intersect1d(train, test).size
        digests = {digits.content_ids[row] for row in test}
        assert not any(digits.content_ids[row] in digests for row in train)
    else:
        assert np.array_equal(np.sort(train), np.arange(1797))
        assert np.array_equal(train, test)


def test_the_order_of_digits_equals_that_of_the_file(digits: Embeddings) -> None:
    stream = Stream.of(digits, "order", n=10, protocol="streaming")
    rows = np.concatenate([each.train for each in stream.experiences])
    numbers = [int(digits.items[row].id[-8:-4]) for row in rows]
    assert numbers == list(range(1797))
    truth = load_digits().target
    assert [int(label) for label in stream.labels(rows)] == truth.tolist()
    assert [each.name for each in stream.experiences] == [str(at) for at in range(10)]


def test_class_groups_are_random_or_given(digits: Embeddings) -> None:
    first = [each.name for each in Stream.of(digits, "classes", seed=0).experiences]
    assert first == [each.name for each in Stream.of(digits, "classes", seed=0).experiences]
    assert first != [each.name for each in Stream.of(digits, "classes", seed=1).experiences]
    assert sorted(name for part in first for name in part.split(", ")) == list("0123456789")
    own = Stream.of(digits, "classes", classes=[["3", "1"], ["0"]])
    assert [each.name for each in own.experiences] == ["3, 1", "0"]
    assert own.classes.tolist() == ["0", "1", "3"]
    for each, labels in zip(own.experiences, ({"1", "3"}, {"0"}), strict=True):
        assert set(own.labels(each.train)) == set(own.labels(each.test)) == labels
        assert {digits.items[row].split for row in each.train} == {"train"}
        assert {digits.items[row].split for row in each.test} == {"test"}
    assert (own.codes == -1).sum() == sum(
        item.label not in ("0", "1", "3") for item in digits.items
    )


def test_30_percent_of_each_class_are_test_rows_but_never_all(digits: Embeddings) -> None:
    stream = Stream.of(digits, "order", n=3, seed=5)
    for each in stream.experiences:
        for label in "0123456789":
            train = (stream.labels(each.train) == label).sum()
            test = (stream.labels(each.test) == label).sum()
            assert abs(test - 0.3 * (train + test)) <= 0.5
    labels = ["a", "a", "b", "a", "b", "b", "b"]
    few = Stream.from_arrays(np.eye(7), labels, [0, 0, 0, 1, 1, 1, 1])
    assert [(each.train.size, each.test.size) for each in few.experiences] == [(2, 1), (3, 1)]


def test_skewed_parts_have_different_class_frequencies(digits: Embeddings) -> None:
    stream = Stream.of(digits, "skewed", n=3, seed=0)
    shares = []
    for each in stream.experiences:
        counts = [
            np.array([(stream.labels(rows) == label).sum() for label in "0123456789"])
            for rows in (each.train, each.test)
        ]
        assert np.abs(counts[0] / 140 - counts[1] / 39.7).max() < 0.1
        shares.append(counts[0] / counts[0].sum())
    assert np.abs(shares[0] - shares[1]).sum() > 0.5
    even = Stream.of(digits, "random", n=3, seed=0)
    sizes = [each.train.size + each.test.size for each in even.experiences]
    assert max(sizes) - min(sizes) <= 1


def test_a_bucket_column_makes_a_stream(manifest: Callable[..., Path], tmp_path: Path) -> None:
    rows = [
        (bucket, label, split)
        for bucket in ("10", "9", "2")
        for label in ("a", "b")
        for split in ("train", "train", "test", "validation")
    ]
    embeddings = ep.embed(ep.load_dataset(manifest(rows)), backbone="toy", workspace=tmp_path)
    stream = Stream.of(embeddings)
    assert [each.name for each in stream.experiences] == ["2", "9", "10"]
    for each in stream.experiences:
        for rows_, split in ((each.train, "train"), (each.test, "test")):
            found = [embeddings.items[row] for row in rows_]
            assert {(item.bucket, item.split) for item in found} == {(each.name, split)}
    assert [e.name for e in Stream.of(embeddings, leave_out=["9"]).experiences] == ["2", "10"]
    with pytest.raises(UnknownNameError, match="unknown bucket '3'. Known: 10, 2, 9."):
        Stream.of(embeddings, leave_out=["3"])
    with pytest.raises(UsageError, match="needs at least two experiences, but there is only '10'"):
        Stream.of(embeddings, leave_out=["9", "2"])
    with pytest.raises(UsageError, match="has one experience for each bucket: omit n"):
        Stream.of(embeddings, n=2)


def test_folders_are_experiences(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for domain in ("photo", "sketch"):
        for label in ("cat", "dog"):
            (tmp_path / domain / label).mkdir(parents=True)
            for number in range(4):
                picture = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
                picture.save(tmp_path / domain / label / f"{number}.png")
    embeddings = ep.embed(ep.load_dataset(tmp_path), backbone="toy", workspace=tmp_path / "w")
    stream = Stream.of(embeddings, "folders")
    assert [each.name for each in stream.experiences] == ["photo", "sketch"]
    assert stream.classes.tolist() == ["cat", "dog"]
    for each in stream.experiences:
        assert all(stream.ids[row].startswith(each.name) for row in each.train)  # type: ignore[index]


def test_an_invalid_stream_is_refused_in_one_line(digits: Embeddings) -> None:
    with pytest.raises(UsageError) as no_buckets:
        Stream.of(digits)
    assert str(no_buckets.value) == (
        "dataset 'digits' has no buckets: give a manifest with a bucket column, or use another "
        "kind of stream (classes, order, folders, random, skewed)."
    )
    with pytest.raises(LabelError) as unlabelled:
        Stream.from_arrays(np.eye(4), ["a", "b", None, None], [0, 0, 1, 1])
    assert str(unlabelled.value) == (
        "bucket '1' has 2 rows and no label: label some of its rows, or leave the bucket out."
    )
    with pytest.raises(UsageError, match="at least two experiences, but there is only '0'"):
        Stream.from_arrays(np.eye(2), ["a", "b"], [0, 0])
    with pytest.raises(UnknownNameError, match="unknown kind of stream 'class'"):
        Stream.of(digits, "class")
    with pytest.raises(UnknownNameError, match="unknown protocol 'online'"):
        Stream.of(digits, "order", protocol="online")
    with pytest.raises(UsageError, match="the number of experiences is 1: give 2 to 1797"):
        Stream.of(digits, "random", n=1)
    with pytest.raises(UsageError, match="the number of experiences is 11: give 2 to 10"):
        Stream.of(digits, "classes", n=11)
    with pytest.raises(UsageError, match="class '1' is in two experiences"):
        Stream.of(digits, "classes", classes=[["1"], ["2", "1"]])
    with pytest.raises(UnknownNameError, match="unknown class 'cat'"):
        Stream.of(digits, "classes", classes=[["cat"], ["2"]])
    with pytest.raises(UsageError, match="a stream of order has none"):
        Stream.of(digits, "order", leave_out=["1"])
    with pytest.raises(UsageError, match="the matrix is empty"):
        Stream.from_arrays(np.empty((0, 3)), [], [])
    with pytest.raises(LabelError, match="labels mixes int, str"):
        Stream.from_arrays(np.eye(4), [1, "1", 1, "1"], [0, 0, 1, 1])
    with pytest.raises(LabelError, match="3 rows but 2 labels"):
        Stream.from_arrays(np.eye(3), ["a", "b"], [0, 0, 1])


def test_copies_of_training_images_are_not_tested(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for domain in ("a", "b"):
        for label in ("cat", "dog"):
            (tmp_path / domain / label).mkdir(parents=True)
            for number in range(5):
                picture = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
                picture.save(tmp_path / domain / label / f"{number}.png")
    copied = (tmp_path / "a" / "cat" / "0.png").read_bytes()
    (tmp_path / "b" / "cat" / "copy.png").write_bytes(copied)
    embeddings = ep.embed(ep.load_dataset(tmp_path), backbone="toy", workspace=tmp_path / "w")
    stream = Stream.of(embeddings, "folders", protocol="streaming")
    first, second = stream.experiences
    assert (first.train.size, second.train.size) == (10, 11)
    assert second.test.size == 10
    ids = {embeddings.items[row].id for row in second.test}
    assert "b/cat/copy.png" not in ids


def test_never_learned_lists_classes_without_training_rows() -> None:
    labels, splits = ["a", "b", "a", "c", "a", "b"], [None, None, "test", "test", None, "test"]
    stream = Stream.from_arrays(np.eye(6), labels, [0, 0, 0, 1, 1, 1], splits)
    assert stream.never_learned == ["c"]


def test_the_digest_depends_on_every_part_of_a_stream(drifting: Callable[..., Stream]) -> None:
    streams = [drifting(), drifting(seed=1), drifting(protocol="streaming")]
    assert len({stream.digest for stream in streams}) == 3
    assert drifting().digest == streams[0].digest


def test_a_pickled_stream_has_no_matrix(digits: Embeddings) -> None:
    stream = Stream.of(digits, "order", n=3)
    sent = pickle.dumps(stream)
    assert len(sent) < digits.matrix.nbytes / 2
    again = pickle.loads(sent)
    assert isinstance(again.matrix, np.memmap)
    assert again.digest == stream.digest
    assert np.array_equal(again.matrix, stream.matrix)
