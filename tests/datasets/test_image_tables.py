"""Parquet and Arrow files with images, as the library `datasets` and others write them."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from embedpipe.datasets import image_tables, load_dataset
from embedpipe.datasets.table_source import split_in
from embedpipe.errors import DatasetError, UsageError
from embedpipe.testing import check_dataset

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NAMES = ["hat", "shoe"]


def jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 16), (number * 9 % 256, number // 28, 200)).save(buffer, "JPEG")
    return buffer.getvalue()


def table(numbers, paths=True, column="image", labels=True) -> pa.Table:
    features = {column: {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    rows = [{"bytes": jpeg(n), "path": f"{n:03d}.jpg" if paths else None} for n in numbers]
    columns = {column: pa.array(rows, STRUCT)}
    if labels:
        columns["label"] = pa.array([n % 3 - (n % 3 == 2) * 3 for n in numbers], pa.int64())
    found = pa.table(columns)
    return found.replace_schema_metadata(metadata)


def label_of(number: int) -> str | None:
    return [*NAMES, None][number % 3]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Return a folder like a repository of a hub: two shards of train, one of test."""
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("a card")
    for name, numbers in (
        ("train-00000-of-00002", range(25)),
        ("train-00001-of-00002", range(25, 40)),
        ("test-00000-of-00001", range(40, 50)),
    ):
        pq.write_table(table(numbers), tmp_path / f"data/{name}.parquet", row_group_size=10)
    return tmp_path


def test_items_have_paths_classes_and_splits(shards: Path) -> None:
    dataset = load_dataset(shards)
    assert [(i.id, i.label, i.split) for i in dataset.items] == [
        (f"{n:03d}.jpg", label_of(n), "train" if n < 40 else "test") for n in range(50)
    ]
    assert dict(dataset.source.read([i.id for i in dataset.items])) == {
        f"{n:03d}.jpg": jpeg(n) for n in range(50)
    }
    assert len(check_dataset(dataset).passed) >= 8
    one = load_dataset(shards / "data/test-00000-of-00001.parquet")
    assert (len(one), one.counts(), one.class_names) == (10, {"test": 10}, ("hat", "shoe"))
    listed = load_dataset(sorted((shards / "data").glob("train*.parquet")))
    assert [item.id for item in listed.items] == [f"{n:03d}.jpg" for n in range(40)]


def test_only_the_row_groups_of_the_images_are_read(shards: Path, monkeypatch) -> None:
    source = load_dataset(shards).source
    read = []
    original = pq.ParquetFile.iter_batches

    def iter_batches(self, *args, row_groups=None, **options):
        read.append(row_groups)
        return original(self, *args, row_groups=row_groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    assert dict(source.read(["012.jpg", "019.jpg", "031.jpg"])) == {
        f"{n:03d}.jpg": jpeg(n) for n in (12, 19, 31)
    }
    assert read == [[1], [0]]


def test_paths_that_are_missing_or_repeated_become_rows(tmp_path: Path) -> None:
    pq.write_table(table(range(3)), tmp_path / "a.parquet")
    pq.write_table(table(range(2, 5)), tmp_path / "b.parquet")
    pq.write_table(table([7], paths=False), tmp_path / "c.parquet")
    unsafe = table([8, 9, 10])
    paths = ["../up.jpg", "/abs.jpg", "C:\\x.jpg"]
    rows = [{"bytes": jpeg(n), "path": p} for n, p in zip((8, 9, 10), paths, strict=True)]
    pq.write_table(unsafe.set_column(0, "image", pa.array(rows, STRUCT)), tmp_path / "d.parquet")
    dataset = load_dataset(tmp_path)
    expected = {
        "000.jpg": 0,
        "001.jpg": 1,
        "003.jpg": 3,
        "004.jpg": 4,
        "a.parquet/000002": 2,
        "b.parquet/000000": 2,
        "c.parquet/000000": 7,
        "d.parquet/000000": 8,
        "d.parquet/000001": 9,
        "d.parquet/000002": 10,
    }
    assert [item.id for item in dataset.items] == list(expected)
    assert dict(dataset.source.read(list(expected))) == {
        key: jpeg(number) for key, number in expected.items()
    }


def test_new_shards_keep_the_ids_and_the_name(shards: Path) -> None:
    before = load_dataset(shards)
    pq.write_table(table(range(60, 70)), shards / "data/more.parquet")
    after = load_dataset(shards)
    assert (len(after), after.name) == (60, before.name)
    assert {item.id for item in before.items} < {item.id for item in after.items}


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_arrow(tmp_path: Path, kind: str) -> None:
    new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    path = str(tmp_path / "val-00000-of-00001.arrow")
    with pa.OSFile(path, "wb") as file, new(file, table([0]).schema) as writer:
        for begin in range(0, 30, 7):
            writer.write_table(table(range(begin, min(30, begin + 7))))
    dataset = load_dataset(tmp_path)
    assert dataset.counts() == {"validation": 30}
    wanted = [f"{n:03d}.jpg" for n in (29, 0, 13, 6, 7)]
    assert dict(dataset.source.read(wanted)) == {key: jpeg(int(key[:3])) for key in wanted}
    source = pickle.loads(pickle.dumps(dataset.source))
    assert source.read_one("021.jpg") == jpeg(21)
    assert len(check_dataset(dataset).passed) >= 8


def test_the_library_datasets_writes_what_is_read(tmp_path: Path) -> None:
    hub = pytest.importorskip("datasets")
    features = hub.Features({"img": hub.Image(), "label": hub.ClassLabel(names=NAMES)})
    images = [Image.fromarray(np.full((8, 8, 3), 20 * n, np.uint8)) for n in range(6)]
    columns = {"img": images, "label": [0, 1, 0, 1, 0, -1]}
    made = hub.Dataset.from_dict(columns, features=features)
    hub.DatasetDict({"train": made, "test": made.select([1, 2])}).save_to_disk(tmp_path / "disk")
    made.to_parquet(tmp_path / "one.parquet")
    saved = load_dataset(tmp_path / "disk")
    assert (saved.counts(), saved.class_names) == ({"train": 6, "test": 2}, ("hat", "shoe"))
    (key, *_) = (item.id for item in saved.items if item.split == "test")
    assert key == "test/data-00000-of-00001.arrow/000000"
    single = load_dataset(tmp_path / "one.parquet")
    assert single.labels() == ["hat", "shoe", "hat", "shoe", "hat", None]
    values = [int(np.asarray(image)[0, 0, 0]) for _, image in single.images()]
    assert values == [20 * n for n in range(6)]


def test_caches_of_a_saved_dataset_are_left_out(tmp_path: Path) -> None:
    path = str(tmp_path / "data.arrow")
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table([0]).schema) as writer:
        writer.write_table(table(range(4)))
    (tmp_path / "cache-1.arrow").write_bytes((tmp_path / "data.arrow").read_bytes())
    state = {"_split": "test", "_data_files": [{"filename": "data.arrow"}]}
    (tmp_path / "state.json").write_text(json.dumps(state))
    assert load_dataset(tmp_path).counts() == {"test": 4}


def test_columns_without_metadata(tmp_path: Path) -> None:
    plain = table(range(4)).replace_schema_metadata(None)
    plain = plain.append_column("mask", plain.column("image"))
    pq.write_table(plain.rename_columns(["photo", "label", "image"]), tmp_path / "a.parquet")
    dataset = load_dataset(tmp_path)
    assert dataset.labels() == ["0", "1", "-1", "0"]
    assert dataset.source.remarks == ("the images are in the column 'image'; not used: 'photo'",)


def test_damaged_files_and_rows_fail_alone(shards: Path) -> None:
    whole = (shards / "data/train-00000-of-00002.parquet").read_bytes()
    (shards / "data/train-00000-of-00002.parquet").write_bytes(whole[: len(whole) // 2])
    (shards / "data/notes-00000-of-00001.arrow").write_bytes(b"no table")
    rows = [{"bytes": None, "path": "a.jpg"}, {"bytes": b"no image", "path": "b.jpg"}]
    extra = pa.table({"image": pa.array(rows, STRUCT)})
    pq.write_table(extra, shards / "data/extra.parquet")
    dataset = load_dataset(shards)
    found = dict(dataset.source.read([item.id for item in dataset.items]))
    reasons = {key: str(each) for key, each in found.items() if isinstance(each, OSError)}
    assert len(found) - len(reasons) == 26
    assert reasons.pop("a.jpg") == (
        "it has no bytes in its row. Save the dataset with its images in the files"
    )
    assert set(reasons) == {
        "data/notes-00000-of-00001.arrow",
        "data/train-00000-of-00002.parquet",
    }
    for reason in reasons.values():
        assert reason.startswith("it is damaged (")
        assert reason.endswith("Copy it again from the source")


def test_damage_inside_a_row_group_is_found_when_it_is_read(shards: Path) -> None:
    file = shards / "data/train-00001-of-00002.parquet"
    dataset = load_dataset(shards)
    data = bytearray(file.read_bytes())
    stamp = file.stat()
    column = pq.ParquetFile(file).metadata.row_group(0).column(0)
    begin = column.dictionary_page_offset or column.data_page_offset
    data[begin : begin + 200] = bytes(200)
    with file.open("r+b") as opened:
        opened.write(data)
    dataset = load_dataset(shards)
    assert stamp.st_size == file.stat().st_size
    found = dict(dataset.source.read([item.id for item in dataset.items]))
    bad = {key: str(each) for key, each in found.items() if isinstance(each, OSError)}
    assert bad
    assert set(bad) <= {f"{n:03d}.jpg" for n in range(25, 40)}
    for reason in bad.values():
        assert reason.startswith("it is in the damaged file 'data/train-00001-of-00002.parquet' (")


def test_a_changed_file_is_not_mixed_with_its_listing(shards: Path) -> None:
    source = load_dataset(shards).source
    pq.write_table(table(range(100, 110)), shards / "data/test-00000-of-00001.parquet")
    ((_, error),) = source.read(["041.jpg"])
    assert str(error) == (
        "it is in 'data/test-00000-of-00001.parquet', which has changed since it was listed"
    )


def test_wrong_labels_and_files_without_images_are_refused(tmp_path: Path) -> None:
    wrong = table(range(3))
    wrong = wrong.set_column(1, "label", pa.array([0, 5, 1]))
    path = tmp_path / "a.parquet"
    pq.write_table(wrong.replace_schema_metadata(table([0]).schema.metadata), path)
    dataset = load_dataset(path)
    (item,) = dataset.items
    ((_, error),) = dataset.source.read([item.id])
    assert str(error) == "it has the label 5 in the column 'label' of 2 classes. Correct the file"
    schema = pa.schema([("a", pa.int64())])
    with pa.OSFile(str(tmp_path / "b.arrow"), "wb") as file, pa.ipc.new_stream(file, schema):
        pass
    with pytest.raises(DatasetError) as caught:
        load_dataset(tmp_path / "b.arrow")
    assert str(caught.value) == (
        f"{tmp_path / 'b.arrow'} has no column of images, which are structures of `bytes` and "
        "`path`."
    )
    with pytest.raises(UsageError, match="a source needs a named dataset or a manifest"):
        load_dataset(path, source=tmp_path)


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        (["hat", "shoe"], NAMES, ["hat", "shoe"]),
        ([0, 1], 5, ["0", "1"]),
        ([0, 1], {"hat": 0}, ["0", "1"]),
        ([[0], [1]], NAMES, [None, None]),
        ([0, 1], NAMES, ["hat", "shoe"]),
    ],
)
def test_metadata_that_contradict_a_column_are_ignored(tmp_path, labels, names, expected) -> None:
    found = table(range(2)).drop_columns("label").append_column("label", pa.array(labels))
    features = {"label": {"_type": "ClassLabel", "names": names}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(found.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    assert [item.label for item in load_dataset(tmp_path).items] == expected
    nested = found.replace_schema_metadata({"huggingface": "[" * 60_000})
    pq.write_table(nested, tmp_path / "a.parquet")
    assert len(load_dataset(tmp_path)) == 2


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_names_of_columns_and_paths_with_other_meanings(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    rows = [{"bytes": jpeg(1), "path": f"{path.name}/000001"}, {"bytes": jpeg(2), "path": None}]
    found = pa.table({"the.image": pa.array(rows, STRUCT), "label": ["x", "y"]})
    if suffix == ".parquet":
        pq.write_table(found, path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, found.schema) as writer:
            writer.write_table(found)
    dataset = load_dataset(path)
    assert [(i.id, i.label, dataset.source.read_one(i.id)) for i in dataset.items] == [
        (f"{path.name}/000000", "x", jpeg(1)),
        (f"{path.name}/000001", "y", jpeg(2)),
    ]


def test_wrong_offsets_in_an_arrow_file_do_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    found = table(range(8))
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, found.schema) as writer:
        writer.write_table(found)
    ends = np.cumsum([0, *(len(f"{n:03d}.jpg") for n in range(8))]).astype("<i4").tobytes()
    data = path.read_bytes()
    assert data.count(ends) == 1
    path.write_bytes(data.replace(ends, ends[:-8] + b"\xff\xff\xff\x7f\xf0\xff\xff\xff"))
    dataset = load_dataset(path)
    ((_, error),) = dataset.source.read([item.id for item in dataset.items])
    assert str(error).startswith("it is damaged (")


def test_too_large_values_are_refused(shards: Path, monkeypatch) -> None:
    monkeypatch.setattr(image_tables, "MAX_BYTES", 100)
    ((_, error),) = load_dataset(shards).source.read(["003.jpg"])
    assert "the limit is" in str(error)


def test_images_beside_tables_come_first_unless_the_tables_are_shards(tmp_path: Path, make) -> None:
    make(tmp_path, ["banner.png"])
    pq.write_table(table(range(4)), tmp_path / "export.parquet")
    assert [item.id for item in load_dataset(tmp_path).items] == ["banner.png"]
    pq.write_table(table(range(4, 9)), tmp_path / "train-00000-of-00001.parquet")
    assert len(load_dataset(tmp_path)) == 5
    (tmp_path / "train-00000-of-00001.parquet").unlink()
    pq.write_table(pa.table({"path": ["banner.png"]}), tmp_path / "list-00000-of-00001.parquet")
    assert len(load_dataset(tmp_path)) == 1


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("data/train-00000-of-00002-0a1b2c.parquet", "train"),
        ("default/validation/0000.parquet", "validation"),
        ("cifar10-test.arrow", "test"),
        ("dev.parquet", "validation"),
        ("images.parquet", None),
        ("contest-00000-of-00001.parquet", None),
    ],
)
def test_splits_in_file_names(name: str, split: str | None) -> None:
    assert split_in(name) == split
