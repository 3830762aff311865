"""A table gives the same labels from all file types and in all readers."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from embedpipe.datasets import load_dataset
from embedpipe.errors import EmbedpipeError
from embedpipe.labels import read_labels, read_metadata
from embedpipe.labels.exchange import formats

SUFFIXES = (".csv", ".jsonl", ".parquet")

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
THOROUGH = settings(QUICK, max_examples=2000)

TROUBLE = st.sampled_from(
    [
        *("1", "1.0", "2.00", "-0.0", "01", "1e3", "1.10", "-0.5", "007.0", ".5", "1."),
        *("NA", "None", "nan", "null", "", " ", " cat ", "True", "false", "\u00a0x"),
        *("=1+1", "+49", "-", "@x", "'=1", "''=1", "'s-Gravenhage", "\t=x", "＝1"),
        *("a;b", "x,y", "t\tt", 'q"q', '"q"', "two\nlines", "two\r\nlines", "c\rr", "sep=;"),
        *("Größe 帽", "e\u0301", "path", "label", "\u2028", "\x85"),
    ]
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
WHOLE = st.sampled_from(["1", "2.0", "3.00", "-4", "-0.0", "", None])
COLUMNS = {
    "text": st.none() | TROUBLE | TEXT,
    "whole": WHOLE,
    "int": st.none() | st.integers(-(2**40), 2**40),
    "float": st.none() | st.just(math.nan) | st.integers(-300, 300).map(float),
    "half": st.none() | st.integers(-9, 9).map(lambda number: number / 2),
    "bool": st.none() | st.booleans(),
}
NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0/\\"), min_size=1, max_size=6
)


@st.composite
def tables(draw):
    """Paths, labels and buckets; the paths differ and have no blanks around them."""
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    paths = [f"d/{name.strip() or 'x'}{row}.jpg" for row, name in enumerate(names)]
    columns = {"path": paths}
    for name in ("label", "bucket"):
        kind = COLUMNS[draw(st.sampled_from(list(COLUMNS)))]
        columns[name] = draw(st.lists(kind, min_size=len(paths), max_size=len(paths)))
    return columns


def expected(values):
    """The expected cells of a column."""
    blank = [value is None or value != value for value in values]
    cells = ["" if none else str(value).strip() for none, value in zip(blank, values, strict=True)]
    if all(_is_whole(cell) for cell in cells if cell):
        return [cell and str(int(float(cell))) for cell in cells]
    return cells


def _is_whole(cell):
    head, dot, tail = cell.partition(".")
    digits = head.removeprefix("-")
    plain = digits.isascii() and digits.isdigit() and (digits == "0" or digits[0] != "0")
    return plain and (not dot or (bool(tail) and not tail.strip("0")))


def texts_of(values):
    """The cells as another program writes them to CSV, without apostrophes."""
    return ["" if value is None or value != value else str(value) for value in values]


@st.composite
def csv_files(draw, columns):
    """The bytes of a CSV file of another program or a person."""
    delimiter = draw(st.sampled_from(",;\t"))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = io.StringIO(newline="")
    if draw(st.booleans()):
        text.write(f"sep={delimiter}{end}")
    quoting = draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    written = {name: [guarded(cell) for cell in texts_of(columns[name])] for name in columns}
    if any("\r" in cell for cells in written.values() for cell in cells):
        quoting = csv.QUOTE_ALL  # Python's writer leaves a lone carriage return bare
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow([draw(st.sampled_from([name, f" {name}", f"{name} "])) for name in written])
    for row in zip(*written.values(), strict=True):
        writer.writerow(row)
        if draw(st.integers(0, 4)) == 0:
            text.write(draw(st.sampled_from(["", delimiter * 2, " ", delimiter * 5])) + end)
    whole = text.getvalue()
    if draw(st.booleans()) and not whole.endswith('"' + end):
        whole = whole.removesuffix(end)
    return whole.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))


def guarded(cell):
    """A cell with an apostrophe if it begins with apostrophes and a formula character."""
    return (
        f"'{cell}"
        if cell.startswith("'") and cell.lstrip("'")[:1] in "=+-@\t\r\n＝＋－＠"
        else cell
    )


def write_files(folder, columns, content):
    (folder / "t.csv").write_bytes(content)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.table(columns), folder / "t.parquet")


def labels_of_all_readers(file):
    """The label of each path that has one, by manifest, label file and import."""
    dataset = load_dataset(file)
    items = formats[file.suffix.removeprefix(".")].read(file)
    return [
        {item.id: item.label for item in dataset.items if item.label},
        read_labels(file),
        {item.path: item.label for item in items if item.is_sure},
    ]


def check(folder, data):
    columns = data.draw(tables())
    write_files(folder, columns, data.draw(csv_files(columns)))
    labels = expected(columns["label"])
    right = {path: label for path, label in zip(columns["path"], labels, strict=True) if label}
    buckets = dict(zip(columns["path"], expected(columns["bucket"]), strict=True))
    for suffix in SUFFIXES:
        file = folder / f"t{suffix}"
        assert labels_of_all_readers(file) == [right, right, right], suffix
        assert {i.id: i.bucket or "" for i in load_dataset(file).items} == buckets, suffix


@QUICK
@given(data=st.data())
def test_all_readers_give_the_same_labels(tmp_path, data):
    check(tmp_path, data)


@pytest.mark.slow
@THOROUGH
@given(data=st.data())
def test_all_readers_give_the_same_labels_2000(tmp_path, data):
    check(tmp_path, data)


@QUICK
@example(values=[1.0, None, 2.5])
@given(values=st.lists(COLUMNS["float"] | COLUMNS["half"], min_size=1, max_size=6))
def test_metadata_are_the_same_in_all_file_types(tmp_path, values):
    values = [*values, 0.25]
    columns = {"path": [f"{row}.jpg" for row in range(len(values))], "x": values}
    written = io.StringIO(newline="")
    csv.writer(written).writerows(
        zip(["path", *columns["path"]], ["x", *texts_of(values)], strict=True)
    )
    write_files(tmp_path, columns, written.getvalue().encode())
    there = [row for row, value in enumerate(values) if value is not None and value == value]
    missing = sorted(set(range(len(values))) - set(there))
    for suffix in SUFFIXES:
        found = read_metadata(tmp_path / f"t{suffix}", [columns["path"][row] for row in there])
        assert found["x"].tolist() == [values[row] for row in there]
        if missing:
            with pytest.raises(EmbedpipeError, match="the value of 'x'"):
                read_metadata(tmp_path / f"t{suffix}", columns["path"])


ARROW = {
    "large_string": (pa.array(["1.0", None, "2.0"], pa.large_string()), ["1", None, "2"]),
    "categories": (pa.array(["b", "a", "b"]).dictionary_encode(), ["b", "a", "b"]),
    "categories of numbers": (pa.array([7, None, 7]).dictionary_encode(), ["7", None, "7"]),
    "float32": (pa.array([0.1, None, 2.5], pa.float32()), ["0.1", None, "2.5"]),
    "float16": (pa.array(np.array([1, 2, 3], np.float16)), ["1", "2", "3"]),
    "uint64": (pa.array([2**64 - 1, 0, None], pa.uint64()), [str(2**64 - 1), "0", None]),
    "decimal": (pa.array([1, 2, None]).cast(pa.decimal128(25, 2)), ["1", "2", None]),
    "date": (
        pa.array([0, 19_000, None], pa.int32()).cast(pa.date32()),
        ["1970-01-01", "2022-01-08", None],
    ),
    "midnight": (
        pa.array([0, 86_400 * 10**9, None], pa.timestamp("ns")),
        ["1970-01-01", "1970-01-02", None],
    ),
    "time": (
        pa.array([0, 61 * 10**9 + 1, None], pa.timestamp("ns")),
        ["1970-01-01 00:00:00", "1970-01-01 00:01:01", None],
    ),
    "bool": (pa.array([True, False, None]), ["True", "False", None]),
    "binary": (pa.array([b"hat", "Größe".encode(), b""]), ["hat", "Größe", None]),
    "nothing": (pa.nulls(3), [None, None, None]),
}


@pytest.mark.parametrize("kind", ARROW)
def test_parquet_types_that_are_one_cell(tmp_path, kind):
    array, right = ARROW[kind]
    paths = ["0.jpg", "1.jpg", "2.jpg"]
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"path": pa.array(paths).dictionary_encode(), "label": array}), file)
    known = {path: label for path, label in zip(paths, right, strict=True) if label}
    assert labels_of_all_readers(file) == [known, known, known]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([{"a": {"b": 1}}, None]),
        pa.array([{"a": 1}, {"a": 2}]),
        pa.array([1, 2], pa.duration("s")),
    ],
    ids=["nested", "object", "duration"],
)
def test_types_that_are_not_one_cell_are_refused_by_all_readers(tmp_path, array):
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"path": ["0.jpg", "1.jpg"], "label": array}), file)
    message = f"{file}: the column 'label' has the type {array.type}; expected text or numbers."
    for read in (load_dataset, read_labels, formats["parquet"].read):
        with pytest.raises(EmbedpipeError) as error:
            read(file)
        assert str(error.value) == message


def test_pandas_writes_the_same_table_three_times(tmp_path):
    """Columns of pandas with missing values."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "path": ["a.jpg", "b.jpg", "c.jpg"],
            "label": pd.Categorical(["hat", None, "1.10"]),
            "bucket": [2014.0, float("nan"), 2015.0],
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "t.parquet")
    for suffix in SUFFIXES:
        known = {"a.jpg": "hat", "c.jpg": "1.10"}
        assert labels_of_all_readers(tmp_path / f"t{suffix}") == [known, known, known]
        buckets = [item.bucket for item in load_dataset(tmp_path / f"t{suffix}").items]
        assert buckets == ["2014", None, "2015"]
