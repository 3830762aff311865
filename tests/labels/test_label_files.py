"""Label files of every file type, valid and damaged."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.errors import LabelError
from embedpipe.labels import read_labels, write_labels
from embedpipe.tables import tidy

FORMATS = [".csv", ".jsonl", ".parquet"]


def file_of(folder, suffix, rows, columns=("path", "label")):
    path = folder / f"labels{suffix}"
    if suffix == ".csv":
        lines = [columns, *[["" if cell is None else cell for cell in row] for row in rows]]
        path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    elif suffix == ".jsonl":
        path.write_text(
            "".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows)
        )
    else:
        cells = {name: [row[i] for row in rows] for i, name in enumerate(columns)}
        pq.write_table(pa.table(cells), path)
    return path


def error_of(path):
    with pytest.raises(LabelError) as error:
        read_labels(path)
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", FORMATS)
def test_blank_labels_are_left_out_and_order_is_kept(tmp_path, suffix):
    rows = [("b/1.jpg", "hat"), ("a/1.jpg", ""), ("a/2.jpg", None), ("c.jpg", " "), ("a.jpg", "x")]
    path = file_of(tmp_path, suffix, rows)
    assert list(read_labels(path).items()) == [("b/1.jpg", "hat"), ("a.jpg", "x")]


@pytest.mark.parametrize("suffix", FORMATS)
def test_whole_numbers_are_labels(tmp_path, suffix):
    assert read_labels(file_of(tmp_path, suffix, [("a", 3), ("b", -1)])) == {"a": "3", "b": "-1"}


@pytest.mark.parametrize("suffix", FORMATS)
def test_other_columns_are_ignored(tmp_path, suffix):
    path = file_of(tmp_path, suffix, [(1, "hat", "a.jpg")], ("id", "label", "path"))
    assert read_labels(path) == {"a.jpg": "hat"}


@pytest.mark.parametrize("suffix", FORMATS)
def test_spaces_around_a_label_are_removed_but_those_of_a_path_are_kept(tmp_path, suffix):
    given = '" a.jpg "' if suffix == ".csv" else " a.jpg "  # quoted cells keep their spaces
    path = file_of(tmp_path, suffix, [(given, " hat ")])
    assert read_labels(path) == {" a.jpg ": "hat"}


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_path_may_occur_twice_with_the_same_label(tmp_path, suffix):
    path = file_of(tmp_path, suffix, [("a", "hat"), ("a", None), ("a", "hat")])
    assert read_labels(path) == {"a": "hat"}


@pytest.mark.parametrize(
    ("suffix", "where"), [(".csv", "line 4"), (".jsonl", "line 3"), (".parquet", "row 2")]
)
def test_a_path_with_two_labels(tmp_path, suffix, where):
    path = file_of(tmp_path, suffix, [("a", "hat"), ("b", "hat"), ("a", "shoe")])
    assert error_of(path) == (
        f"{path}, {where}: 'a' is labelled 'shoe' here, but 'hat' earlier in the file. Keep one of "
        "the two."
    )


@pytest.mark.parametrize(
    ("suffix", "where"), [(".csv", ", line 1"), (".jsonl", ", line 1"), (".parquet", "")]
)
def test_a_missing_column(tmp_path, suffix, where):
    path = file_of(tmp_path, suffix, [("a", "hat")], ("file", "label"))
    assert error_of(path) == (f"{path}{where}: no column 'path'; found 2 columns: 'file', 'label'.")


@pytest.mark.parametrize(
    ("suffix", "where"), [(".csv", ", line 1"), (".jsonl", ", line 1"), (".parquet", "")]
)
def test_both_columns_missing(tmp_path, suffix, where):
    path = file_of(tmp_path, suffix, [("a",)], ("Path",))
    assert error_of(path) == (
        f"{path}{where}: no columns 'path' and 'label'; found 1 column: 'Path'."
    )


@pytest.mark.parametrize(
    ("suffix", "where"), [(".csv", "line 2"), (".jsonl", "line 1"), (".parquet", "row 0")]
)
def test_a_blank_path(tmp_path, suffix, where):
    path = file_of(tmp_path, suffix, [("  ", "hat")])
    assert error_of(path) == f"{path}, {where}: the path is blank. Fill it in or remove the row."


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_byte_order_mark(tmp_path, suffix):
    path = file_of(tmp_path, suffix, [("ä.jpg", "hat")])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_labels(path) == {"ä.jpg": "hat"}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_windows_line_ends(tmp_path, suffix):
    path = file_of(tmp_path, suffix, [("a", "hat"), ("b", "shoe")])
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert read_labels(path) == {"a": "hat", "b": "shoe"}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_text_that_is_not_utf_8(tmp_path, suffix):
    path = tmp_path / f"labels{suffix}"
    path.write_bytes(b"path,label\n\xe4.jpg,hat\n")
    assert error_of(path) == f"{path}, line 2: the text is not UTF-8. Save the file as UTF-8."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ", line 1: no columns 'path' and 'label'; found no columns."),
        (
            "path|label\na|hat\n",
            ", line 1: no columns 'path' and 'label'; found 1 column: 'path|label'.",
        ),
        ("path,label,label\n", ", line 1: 2 columns have the name 'label'. Keep one of them."),
        (
            "path,label\na,hat,red\n",
            ", line 2: 3 fields, but the header has 2 columns. Put a field that contains a comma "
            "in double quotes.",
        ),
        (
            "path,label\na\n",
            ", line 2: 1 field, but the header has 2 columns. Put a field that contains a comma in "
            "double quotes.",
        ),
        (
            'path,label\n"a"b,hat\n',
            ", line 2: text after a closing quote. Put the whole field in quotes, and write a "
            'quote that is part of the text as "".',
        ),
    ],
)
def test_a_broken_csv(tmp_path, text, message):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    assert error_of(path) == f"{path}{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"path": "a", "label": "b"}\n{"path',
            ", line 2: invalid JSON: Unterminated string starting at (column 2).",
        ),
        ("[1]\n", ", line 1: expected a JSON object, one per line."),
        ("{}\n", ", line 1: no columns 'path' and 'label'; found no columns."),
        (
            '{"path": "a", "label": ["b"]}\n',
            ", line 1: the label is ['b']; expected text or a number.",
        ),
        (
            '{"path": "a", "label": "hat", "label": "shoe"}\n',
            ", line 1: 2 columns have the name 'label'. Keep one of them.",
        ),
        (
            '{"path": 7, "label": "b"}\n',
            ", line 1: the path is 7; expected text.",
        ),
    ],
)
def test_a_broken_jsonl(tmp_path, text, message):
    path = tmp_path / "labels.jsonl"
    path.write_text(text)
    assert error_of(path) == f"{path}{message}"


def test_a_file_that_is_not_parquet(tmp_path):
    path = tmp_path / "labels.parquet"
    path.write_bytes(b"path,label\n" * 10)
    assert error_of(path).startswith(f"{path} is not a valid Parquet file: ")


def test_an_unknown_suffix(tmp_path):
    path = tmp_path / "labels.txt"
    assert error_of(path) == (
        f"{path} is not a table: its name must end in .csv, .jsonl or .parquet."
    )


def test_no_file(tmp_path):
    path = tmp_path / "labels.csv"
    assert error_of(path) == f"there is no label file at {path}."


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
paths = texts.filter(lambda text: text.strip() and tidy(text) == text)
labels = texts.map(str.strip).filter(bool)


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=60, deadline=None)
@given(mapping=st.dictionaries(paths, labels, max_size=8))
def test_written_labels_are_read_back(tmp_path_factory, suffix, mapping):
    path = tmp_path_factory.mktemp("labels") / f"labels{suffix}"
    assert write_labels(mapping, path) == path
    assert list(read_labels(path).items()) == list(mapping.items())


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"": "hat"}, "the label 'hat' has a blank path. Give the path of its image."),
        ({"a": " "}, "the label of 'a' is blank. Leave out items without a label."),
        ({"./a": "hat"}, "the path './a' has empty parts or a '.'. Write 'a'."),
        ({"a": "hat "}, "the label 'hat ' of 'a' begins or ends with a space. Remove the space."),
        ({"\udce4.jpg": "hat"}, "'\\udce4.jpg' is not valid Unicode. Rename the file."),
    ],
)
def test_labels_that_a_reader_would_change_are_not_written(tmp_path, mapping, message):
    with pytest.raises(LabelError) as error:
        write_labels(mapping, tmp_path / "labels.csv")
    assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []


def test_the_text_of_a_csv(tmp_path):
    path = write_labels({'a,"b".jpg': "hat", "c": "=1"}, tmp_path / "labels.csv")
    assert path.read_bytes() == b'path,label\n"a,""b"".jpg",hat\nc,\'=1\n'


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_any_usual_separator_and_line_end(tmp_path, separator, ending):
    rows = [("path", "label", "rank"), ("a/1.jpg", "hat", "1"), ("b/1.jpg", "", "2")]
    text = ending.join(separator.join(row) for row in rows) + ending
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_labels(tmp_path / "labels.csv") == {"a/1.jpg": "hat"}


def test_concatenated_files(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("path,label\na.jpg,hat\npath,label\nb.jpg,shoe\n")
    assert read_labels(path) == {"a.jpg": "hat", "b.jpg": "shoe"}
