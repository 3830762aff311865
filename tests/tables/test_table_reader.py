"""CSV of people and programs: accepted files, and messages with line numbers."""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.errors import DatasetError, LabelError
from embedpipe.tables import column_of, read_table, sure_labels, whole_numbers
from embedpipe.tables.csv_text import records

RIGHT = {"path": ["1.jpg", "2.jpg"], "label": ["cat", "dog"]}


def read(folder, content, **options):
    file = folder / "t.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(file, ["path", "label"], ["status", "bucket"], **options)


@pytest.mark.parametrize(
    "content",
    [
        "path,label\n1.jpg,cat\n2.jpg,dog",
        "path;label\n1.jpg;cat\n2.jpg;dog\n",
        "path\tlabel\n1.jpg\tcat\n2.jpg\tdog\n",
        b"\xef\xbb\xbfpath,label\r\n1.jpg,cat\r\n2.jpg,dog\r\n",
        "path,label\r1.jpg,cat\r2.jpg,dog\r",
        "path;label\r\n1.jpg;cat\r\n2.jpg;dog\r\n".encode("utf-16"),
        "\ufeffpath\tlabel\r\n1.jpg\tcat\r\n2.jpg\tdog\r\n".encode("utf-16-be"),
        "path,label\n1.jpg,cat\n2.jpg,dog\n".encode("utf-32"),
        "sep=;\r\npath;label\r\n1.jpg;cat\r\n2.jpg;dog\r\n",
        "SEP=,\npath,label\n1.jpg,cat\n2.jpg,dog\n",
        "sep=|\npath|label\n1.jpg|cat\n2.jpg|dog\n",
        "\n,,\npath,label\n\n1.jpg,cat\n,\n,,,,\n  \n2.jpg,dog\n;\n"[:-2],
        " path , label \n 1.jpg , cat \n2.jpg\t,\tdog\n",
        '"path" , "label"\n"1.jpg" , " cat"\n "2.jpg","dog" \n',
        "path,label\n1.jpg,cat\n\ufeffpath, label\n2.jpg,dog\n",
        'note,path,label\n"a, b\nc\n\n",1.jpg,cat\n"",2.jpg,dog\n',
        'path;label;note, with a comma\n1.jpg;cat;"x;y"\n2.jpg;dog;"say ""no"""\n',
        "path,note,label,note\n1.jpg,,cat,\n2.jpg,,dog,\n",
        "path,label,\n1.jpg,cat,\n2.jpg,dog,\n",
    ],
)
def test_csv_as_people_and_programs_write_it(tmp_path, content):
    assert read(tmp_path, content).columns == RIGHT


def test_only_quoted_paths_keep_their_spaces(tmp_path):
    table = read(tmp_path, 'path,label\n" 1.jpg "," cat "\n 2.jpg ,5" nail\n')
    assert table.columns == {"path": [" 1.jpg ", "2.jpg"], "label": ["cat", '5" nail']}


def fields(line, count, delimiter):
    found = f"{count} field{'' if count == 1 else 's'}, but the header has 2 columns"
    return f"{line}: {found}. Put a field that contains a {delimiter} in double quotes."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\n1.jpg,cat,red\n", fields(2, 3, "comma")),
        ("path;label\n1.jpg;cat;red\n", fields(2, 3, "semicolon")),
        ("path\tlabel\n\n1.jpg\n", fields(3, 1, "tab")),
        ("path,label\n1.jpg,cat2.jpg,dog\n", fields(2, 3, "comma")),
        ("sep=;\npath;label\n1.jpg;cat;red\n", fields(3, 3, "semicolon")),
        ('path,label\n"a\nb",x\n1.jpg\n', fields(4, 1, "comma")),
        (
            'path,label\n1.jpg,cat\n2.jpg,"dog\n3.jpg,cat\n',
            "3: an opening quote has no closing quote. Add the closing quote, or write a "
            'quote that is part of the text as "".',
        ),
        (
            'path,label\n1.jpg,"a"b"\n',
            "2: text after a closing quote. Put the whole field in quotes, and write a quote that "
            'is part of the text as "".',
        ),
        (
            "path,label,label\n1.jpg,cat,dog\n",
            "1: 2 columns have the name 'label'. Keep one of them.",
        ),
        (
            "path,label, label\n1.jpg,cat,dog\n",
            "1: 2 columns have the name 'label'. Keep one of them.",
        ),
        (
            "path,name\n1.jpg,cat\n",
            "1: no column 'label'; found 2 columns: 'path', 'name'.",
        ),
        (b"path,label\n1.jpg,caf\xe9\n", "2: the text is not UTF-8. Save the file as UTF-8."),
        (
            "path,label\n1.jpg,cat\n".encode("utf-16-le"),
            "1: null character found, as in UTF-16 without a byte-order mark. Save the file as "
            "UTF-8.",
        ),
        (b"\xff\xfep\x00a\x00\x00\xd8", "1: the text is not UTF-16. Save the file as UTF-8."),
    ],
)
def test_csv_that_is_refused(tmp_path, content, message):
    with pytest.raises(DatasetError) as error:
        read(tmp_path, content, error=DatasetError)
    assert str(error.value) == f"{tmp_path / 't.csv'}, line {message}"


CELLS = st.text(st.sampled_from(" ,;\t\"\r\nab'=é"), max_size=5)


@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=5),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_cells_are_those_of_the_standard_library(rows, delimiter, end):
    """Quoted cells are not changed."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["path", "label"], *rows])
    found = [cells for _, cells in records(text.getvalue(), "t.csv", ("path", "label"))]
    kept = [row for row in rows if any(cell.strip() for cell in row)]
    assert found == [["path", "label"], *kept]


def test_line_numbers_are_those_at_which_rows_begin(tmp_path):
    content = 'sep=,\npath,label\n\n1.jpg,cat\n"2\n.jpg",dog\n3.jpg,cat\n'
    assert list(read(tmp_path, content).places) == [4, 5, 7]


def test_an_unclosed_quote_in_a_long_file_is_found_at_once(tmp_path):
    content = 'path,label\n1.jpg,"cat\n' + "2.jpg,dog\n" * 200_000
    with pytest.raises(LabelError, match="line 2: an opening quote has no closing quote"):
        read(tmp_path, content)


def test_objects_may_lack_keys_that_are_not_required(tmp_path):
    file = tmp_path / "t.jsonl"
    lines = [{"path": "1.jpg", "label": 1.0}, {"label": None, "path": "2.jpg", "bucket": "x"}]
    file.write_text("\n".join(map(json.dumps, lines)))
    table = read_table(file, ["path", "label"], ["bucket"])
    assert table.columns == {"path": ["1.jpg", "2.jpg"], "label": ["1", ""], "bucket": ["", "x"]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"path": "1.jpg", "label": {"name": "cat"}}',
            "the label is {'name': 'cat'}; expected text or a number",
        ),
        ('{"path": ["1.jpg"], "label": "cat"}', "the path is ['1.jpg']; expected text"),
        (
            '{"path": "1.jpg", "label": "\\ud800"}',
            "the label '\\ud800' contains invalid Unicode",
        ),
        (
            '{"path": "1\\u0000.jpg", "label": "cat"}',
            "the path '1\\x00.jpg' contains a null character. Remove the character",
        ),
        (
            '{"path": "1.jpg", "label": "cat", " label": "dog"}',
            "2 columns have the name 'label'. Keep one of them",
        ),
        ('{"path": "1.jpg"}', "no column 'label'; found 1 column: 'path'"),
    ],
)
def test_objects_that_are_refused(tmp_path, line, message):
    file = tmp_path / "t.jsonl"
    file.write_text('{"path": "0.jpg", "label": "cat"}\n' + line)
    with pytest.raises(LabelError) as error:
        read_table(file, ["path", "label"])
    assert str(error.value) == f"{file}, line 2: {message}."


def test_a_column_with_blanks_around_its_name_and_others_of_any_type(tmp_path):
    file = tmp_path / "t.parquet"
    table = pa.table({" path": ["1.jpg"], "label ": [2.0], "box": [[1, 2]], "a.b": [{"c": 1}]})
    pq.write_table(table, file)
    assert read_table(file, ["path", "label"]).columns == {"path": ["1.jpg"], "label": ["2"]}
    assert read_table(file, ["path"], None).columns == {"path": ["1.jpg"], "label": ["2"]}
    with pytest.raises(LabelError) as error:
        read_table(file, ["path"], ["a.b"])
    assert str(error.value) == (
        f"{file}: the column 'a.b' has the type struct<c: int64>; expected text or numbers."
    )
    pq.write_table(pa.table({"path": [1], "label": ["cat"]}), file)
    with pytest.raises(LabelError) as error:
        read_table(file, ["path", "label"])
    assert str(error.value) == f"{file}: the column 'path' has the type int64; expected text."


@pytest.mark.parametrize(
    ("cells", "right"),
    [
        (["1.0", "", "2.0"], ["1", "", "2"]),
        (["1", "2.00", "-3.0", "-0.0"], ["1", "2", "-3", "0"]),
        (["1.0", "1.10"], ["1.0", "1.10"]),
        (["1.0", "01"], ["1.0", "01"]),
        (["1.0", "1e3"], ["1.0", "1e3"]),
        (["1.0", "cat"], ["1.0", "cat"]),
        (["1.0", "NA"], ["1.0", "NA"]),
        (["1.", "2.0"], ["1.", "2.0"]),
        (["+1.0"], ["+1.0"]),
        (["12345678901234567890.0"], ["12345678901234567890"]),
        (["", ""], ["", ""]),
        ([], []),
    ],
)
def test_only_a_column_of_whole_numbers_loses_its_fractions(cells, right):
    assert whole_numbers(cells) == right


def test_values_in_memory_are_the_cells_of_a_table():
    assert column_of([" a ", b"b", None, 3, True]) == ["a", "b", "", "3", "True"]
    assert column_of([1.0, float("nan"), 2]) == ["1", "", "2"]
    with pytest.raises(TypeError, match="list is not the value of one cell"):
        column_of([[1]])


@pytest.mark.parametrize("word", ["unsure", "Unsure", " SKIP ", "skip", "accepted"])
def test_unsure_and_skipped_rows_have_no_label(tmp_path, word):
    table = read(tmp_path, f"path,label,status\n1.jpg,cat,label\n2.jpg,dog,{word}\n3.jpg,dog,\n")
    assert sure_labels(table) == ["cat", "", "dog"]


def test_an_unknown_status_is_refused(tmp_path):
    table = read(tmp_path, "path,label,status\n1.jpg,cat,label\n2.jpg,dog,maybe\n")
    with pytest.raises(LabelError) as error:
        sure_labels(table)
    assert str(error.value) == (
        f"{tmp_path / 't.csv'}, line 3: the status is 'maybe'; expected label, accepted, skip, "
        "unsure or blank. If the column has another purpose, rename it."
    )
