"""Numeric metadata of images."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedpipe.errors import LabelError
from embedpipe.labels import read_metadata

IDS = ["a/1.jpg", "b/1.jpg"]


def write(tmp_path, text, name="numbers.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_numbers_are_aligned_with_the_items(tmp_path, suffix):
    path = tmp_path / f"numbers.{suffix}"
    if suffix == "csv":
        path.write_text(
            "path,x,flag,y,text\nb/1.jpg,2,true,0.5,p\nc.jpg,,,,\na/1.jpg,3,false,1,q\n"
        )
    elif suffix == "jsonl":
        path.write_text(
            '{"path": "b/1.jpg", "x": 2, "flag": true, "y": 0.5}\n'
            '{"path": "a/1.jpg", "x": 3, "flag": false, "y": 1}\n'
        )
    else:
        columns = {
            "path": ["b/1.jpg", "a/1.jpg"],
            "x": [2, 3],
            "flag": [True, False],
            "y": [0.5, 1],
        }
        pq.write_table(pa.table(columns), path)
    found = read_metadata(path, IDS)
    assert {name: values.tolist() for name, values in found.items()} == {
        "x": [3, 2],
        "flag": [0, 1],
        "y": [1, 0.5],
    }
    assert all(values.dtype == np.float64 for values in found.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "file,x\na,1\n",
            "{path}, line 1: no column 'path'; found 2 columns: 'file', 'x'.",
        ),
        (
            "path,x\na/1.jpg,1\n",
            "{path}: 1 of 2 images have no row, for example 'b/1.jpg'. Add a row for each image.",
        ),
        (
            "path,x\na/1.jpg,1\n./a/1.jpg,2\n",
            "{path}, line 3: second row for 'a/1.jpg'. Keep one of the two.",
        ),
        (
            "path,x\na/1.jpg,1\nb/1.jpg,NA\n",
            "{path}, line 3: the value of 'x' for 'b/1.jpg' is missing or infinite. Fill it in.",
        ),
        (
            "path;x\na/1.jpg;0,5\nb/1.jpg;2,0\n",
            "{path}: no column besides 'path' contains only numbers. Write decimals with a point: "
            "0.5.",
        ),
    ],
)
def test_a_table_that_does_not_match_is_refused(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(LabelError) as caught:
        read_metadata(path, IDS)
    assert str(caught.value) == message.format(path=path)


def test_a_missing_or_damaged_file_is_refused(tmp_path):
    with pytest.raises(LabelError) as caught:
        read_metadata(tmp_path / "x.csv", IDS)
    assert str(caught.value) == f"there is no table at {tmp_path / 'x.csv'}."
    with pytest.raises(LabelError, match="is not a valid Parquet file"):
        read_metadata(write(tmp_path, "no parquet", "x.parquet"), IDS)
