"""Datasets from manifests."""

import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedpipe.datasets import Item, load_dataset
from embedpipe.errors import DatasetError


@pytest.fixture
def write(tmp_path):
    """Write a manifest and return its path."""

    def write(text, name="list.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def message(path, **options):
    with pytest.raises(DatasetError) as raised:
        load_dataset(path, **options)
    return str(raised.value)


def test_columns_beyond_the_path_are_optional_and_others_ignored(write):
    path = write("size,path,bucket,split,label\n3,b.png,1,Valid, hat \n4,a.png,,,\n")
    dataset = load_dataset(path)
    assert dataset.items == (Item("a.png"), Item("b.png", "hat", "validation", "1"))
    assert dataset.class_names == ("hat",)


def test_byte_order_mark_blank_rows_quotes_and_windows_line_ends(write):
    path = write(b'\xef\xbb\xbfpath,label\r\n"a, b.png",hat\r\n\r\n , \r\n./x//c.png,\r\n')
    assert load_dataset(path).items == (Item("a, b.png", "hat"), Item("x/c.png"))


def test_numbers_are_labels_as_text(write, tmp_path):
    table = pa.table({"path": ["a.png", "b.png", "c.png"], "label": [3.0, None, float("nan")]})
    pq.write_table(table, tmp_path / "m.parquet")
    assert load_dataset(tmp_path / "m.parquet").labels() == ["3", None, None]
    path = write('{"path": "a.png", "label": 3}\n\n{"path": "b.png", "label": null}\n', "m.jsonl")
    assert load_dataset(path).labels() == ["3", None]


def test_absolute_paths_are_relative_inside_the_folder_and_stay_outside(write, tmp_path, make):
    outside = tmp_path.with_name(tmp_path.name + "-outside")
    contents = make(outside, ["x.png"]) | make(tmp_path, ["in/a.png"])
    dataset = load_dataset(write(f"path\n{tmp_path}/in/a.png\n{outside}/x.png\n"))
    assert [item.id for item in dataset.items] == sorted([f"{outside}/x.png", "in/a.png"])
    assert dataset.source.read_one(f"{outside}/x.png") == contents["x.png"]
    assert dataset.source.read_one("in/a.png") == contents["in/a.png"]


def test_missing_images_are_listed_and_reading_them_is_an_error(write):
    dataset = load_dataset(write("path\ngone.png\n"))
    ((name, error),) = dataset.source.read(["absent.png"])
    assert (name, type(error)) == ("absent.png", FileNotFoundError)


NFC, NFD = "caf\u00e9/\u00e9.png", "cafe\u0301/e\u0301.png"


@pytest.mark.parametrize(
    ("there", "listed", "kind"),
    [
        (NFD, NFC, "Unicode form"),
        (NFC, NFD, "Unicode form"),
        ("a/b.png", "a\\b.png", "slashes"),
        (NFD, NFC.replace("/", "\\"), "slashes"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_the_hint_for_a_path_in_another_form(write, tmp_path, make, there, listed, kind, packed):
    make(tmp_path, [there])
    source = tmp_path
    if packed:
        source = tmp_path / "all.zip"
        with zipfile.ZipFile(source, "w") as archive:
            archive.write(tmp_path / there, there)
    dataset = load_dataset(write(f"path\n{listed}\nmissing.png\n"), source=source)
    reasons = {item: str(error) for item, error in dataset.source.read([listed, "missing.png"])}
    hint = f"the path {there!r} differs only in its {kind}: use that one"
    assert hint in reasons[listed]
    assert "differs" not in reasons["missing.png"]


def test_no_hint_for_a_broken_link(write, tmp_path):
    (tmp_path / "\u00e9.png").symlink_to("nowhere")
    source = load_dataset(write("path\n\u00e9.png\n")).source
    ((_, error),) = source.read(["\u00e9.png"])
    assert isinstance(error, FileNotFoundError)
    assert "differs" not in str(error)


def test_the_hint_for_a_given_path_in_another_form(tmp_path, make):
    make(tmp_path, [NFD])
    for given in (tmp_path / NFC, tmp_path / "caf\u00e9", [tmp_path / NFC, tmp_path / NFD]):
        assert "differs only in its Unicode form" in message(given)


def test_paths_relative_to_a_folder_or_an_archive(write, shop, pack):
    root, contents = shop
    path = write("path\ntrain/hat/a.png\ntest/hat/y.TIFF\n")
    wrapped = write("path\nshop-main/train/hat/a.png\n", "wrapped.csv")
    for source in (root, pack(root, ".zip"), pack(root, ".tar.gz")):
        dataset = load_dataset(path, source=source)
        assert dataset.source.read_one("test/hat/y.TIFF") == contents["test/hat/y.TIFF"]
    source = load_dataset(wrapped, source=pack(root, ".zip")).source
    assert source.read_one("shop-main/train/hat/a.png") == contents["train/hat/a.png"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_hugging_face_metadata(tmp_path, suffix):
    path = tmp_path / f"metadata{suffix}"
    if suffix == ".csv":
        path.write_text("file_name,label\na.png,hat\n")
    elif suffix == ".jsonl":
        path.write_text(json.dumps({"file_name": "a.png", "label": "hat"}))
    else:
        pq.write_table(pa.table({"file_name": ["a.png"], "label": ["hat"]}), path)
    assert load_dataset(path).items == (Item("a.png", "hat"),)


def test_a_manifest_without_paths_lists_its_columns(write, tmp_path):
    path = write("file_name,label\na.png,hat\n")
    assert message(path) == (
        f"{path}, line 1: no column 'path'; found 2 columns: 'file_name', 'label'."
    )
    path = write('{"image": "a.png"}\n', "m.jsonl")
    assert message(path) == f"{path}, line 1: no column 'path'; found 1 column: 'image'."
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"image": ["a"]}), path)
    assert message(path) == f"{path}: no column 'path'; found 1 column: 'image'."
    path = write("")
    assert message(path) == f"{path}, line 1: no column 'path'; found no columns."


def test_faults_are_reported_with_their_line(write):
    path = write("path,label\na.png,hat\nb.png,hat\n./a.png,coat\n")
    assert message(path) == (
        f"{path}, line 4: 'a.png' is listed twice, also in line 2; keep one of them."
    )
    path = write("path,label\n,hat\n")
    assert message(path) == f"{path}, line 2: the path is blank. Fill it in or remove the row."
    path = write("path,split\na.png,holdout\n")
    assert message(path) == (
        f"{path}, line 2: the split is 'holdout'; known splits: train, training, trn, "
        "validation, valid, val, dev, eval, test, testing, tst."
    )
    path = write("path,label\na.png,hat, red\n")
    assert message(path) == (
        f"{path}, line 2: 3 fields, but the header has 2 columns. Put a field that contains a "
        "comma in double quotes."
    )
    path = write('{"path": "a.png"}\n{"path"\n', "m.jsonl")
    assert message(path) == f"{path}, line 2: invalid JSON: Expecting ':' delimiter (column 8)."
    path = write('["a.png"]\n', "m.jsonl")
    assert message(path) == f"{path}, line 1: expected a JSON object, one per line."


def test_invalid_manifests(write):
    path = write("path\n")
    assert message(path) == f"{path}: no images are listed: the manifest has no rows."
    path = write(b"path\ncaf\xe9.png\n")
    assert message(path) == f"{path}, line 2: the text is not UTF-8. Save the file as UTF-8."
    path = write("hello", "m.parquet")
    assert message(path).startswith(f"{path} is not a valid Parquet file: ")


def test_a_source_that_does_not_exist(write, tmp_path):
    assert message(write("path\na.png\n"), source=tmp_path / "absent") == (
        f"no such source: '{tmp_path / 'absent'}'; give the folder or the archive (.zip, .tar, "
        ".tar.gz, .tgz, .tar.bz2, .tbz2, .tar.xz, .txz) that the manifest's paths are relative to."
    )


def test_a_source_that_is_empty(write, tmp_path):
    zipfile.ZipFile(tmp_path / "x.zip", "w").close()
    source = load_dataset(write("path\na.png\n"), source=tmp_path / "x.zip").source
    with pytest.raises(DatasetError, match="no images in archive"):
        source.read_one("a.png")
