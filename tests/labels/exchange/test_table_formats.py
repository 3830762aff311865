"""CSV, JSON Lines, Parquet, and Lightly's table of embeddings."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedpipe.errors import FormatError, UsageError
from embedpipe.labels import read_labels, write_table
from embedpipe.labels.exchange import Labelled, formats, read_lightly_embeddings

SOME = [Labelled("x/1.png", "hat"), Labelled("y/1.png", status="skip", who="ann")]


def error_of(read, path, text=None):
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FormatError) as error:
        read(path)
    return str(error.value).replace(str(path), "FILE")


def test_the_text_of_the_tables(tmp_path, export):
    assert export("csv", tmp_path, SOME).read_text() == (
        "path,label,status,who\nx/1.png,hat,label,\ny/1.png,,skip,ann\n"
    )
    assert export("jsonl", tmp_path, SOME).read_text() == (
        '{"path": "x/1.png", "label": "hat", "status": "label", "who": null}\n'
        '{"path": "y/1.png", "label": null, "status": "skip", "who": "ann"}\n'
    )
    table = pq.read_table(export("parquet", tmp_path, SOME))
    assert table.to_pylist()[1] == {
        **{"path": "y/1.png", "label": None, "status": "skip", "who": "ann"}
    }


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
def test_the_plain_reader_of_labels_reads_them_too(name, tmp_path, items, export):
    assert read_labels(export(name, tmp_path, items)) == {
        item.path: item.label for item in items if item.is_sure and item.status == "label"
    }


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
def test_score_and_model_without_a_prediction_are_about_something_else(name, tmp_path):
    """As in a filled-in table of picks, or in a table of cameras."""
    columns = {
        "path": ["a", "b"],
        "label": ["hat", None],
        "score": [22.6, 1.5],
        "model": ["X", "Y"],
    }
    file = write_table(columns, tmp_path / f"picks.{name}")
    assert formats[name].read(file) == [Labelled("a", "hat")]


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
def test_predictions_are_no_labels(name, tmp_path):
    path = tmp_path / f"predicted.{name}"
    columns = {"path": ["a.jpg"], "label": ["hat"], "confidence": [0.9], "probability_hat": [0.9]}
    write_table(columns, path)
    assert error_of(formats[name].read, path) == (
        "FILE: these labels are predictions of `predict`, not labels of a person. To use them as "
        "labels, remove the column 'confidence'."
    )
    write_table({key: each for key, each in columns.items() if key != "confidence"}, path)
    assert formats[name].read(path) == [Labelled("a.jpg", "hat")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,name\na,hat\n",
            "FILE, line 1: no column 'label'; found 2 columns: 'path', 'name'.",
        ),
        ("", "FILE, line 1: no columns 'path' and 'label'; found no columns."),
        ("path,label,path\n", "FILE, line 1: 2 columns have the name 'path'. Keep one of them."),
        (
            "path,label\na,b,hat\n",
            "FILE, line 2: 3 fields, but the header has 2 columns. Put a field that contains a "
            "comma in double quotes.",
        ),
        (
            'path,label\na,hat\n"b,hat\nc,hat\n',
            "FILE, line 3: an opening quote has no closing quote. Add the closing quote, or "
            'write a quote that is part of the text as "".',
        ),
        (b"path,label\na,h\xe4t\n", "FILE, line 2: the text is not UTF-8. Save the file as UTF-8."),
        (
            "path,label\na,hat\nb,hat\n./a,shoe\n",
            "FILE, line 4: 'a' is labelled 'shoe' here, but labelled 'hat' earlier in the file. "
            "Keep one of the two.",
        ),
        (
            "path,label\n/a,hat\n",
            "FILE, line 2: the path '/a' is outside the folder; expected a relative path without "
            "'..'.",
        ),
        (
            "path,label,prediction,score\na,,hat,high\n",
            "FILE, line 2: the score is 'high'; expected a number.",
        ),
        (
            "path,label,status\na,,maybe\n",
            "FILE, line 2: the status is 'maybe'; expected label, accepted, skip, unsure or blank.",
        ),
    ],
)
def test_an_invalid_csv(text, message, tmp_path):
    assert error_of(formats["csv"].read, tmp_path / "labels.csv", text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"path": "a", "label": "hat"}\n{"path": ',
            "FILE, line 2: invalid JSON: Expecting value (column 9).",
        ),
        ("[1]", "FILE, line 1: expected a JSON object, one per line."),
        ("\n{}", "FILE, line 2: no columns 'path' and 'label'; found no columns."),
        (
            '{"path": 3, "label": "hat"}',
            "FILE, line 1: the path is 3; expected text.",
        ),
        (
            '{"path": "a", "label": ["hat"]}',
            "FILE, line 1: the label is ['hat']; expected text or a number.",
        ),
        (
            '{"path": "a", "label": "\\ud800"}',
            "FILE, line 1: the label '\\ud800' contains invalid Unicode.",
        ),
        (
            '{"path": "a", "label": null, "prediction": "hat", "score": Infinity}',
            "FILE, line 1: the score is 'inf'; expected a finite number.",
        ),
        (
            "[" * 100_000,
            "FILE, line 1: invalid JSON: maximum recursion depth exceeded",
        ),
    ],
)
def test_invalid_json_lines(text, message, tmp_path):
    assert error_of(formats["jsonl"].read, tmp_path / "labels.jsonl", text).startswith(message)


def test_invalid_parquet(tmp_path):
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"path": ["a", "a"], "label": ["hat", "shoe"]}), path)
    assert error_of(formats["parquet"].read, path) == (
        "FILE, row 1: 'a' is labelled 'shoe' here, but labelled 'hat' earlier in the file. Keep "
        "one of the two."
    )
    pq.write_table(pa.table({"path": ["a"]}), path)
    assert error_of(formats["parquet"].read, path) == (
        "FILE: no column 'label'; found 1 column: 'path'."
    )
    assert error_of(formats["parquet"].read, path, "PAR1").startswith(
        "FILE is not a valid Parquet file: "
    )


def test_a_folder_where_a_file_should_be(tmp_path):
    assert error_of(formats["csv"].read, tmp_path) == "FILE cannot be read: Is a directory."


def test_lightly_finds_its_columns(tmp_path):
    items = [Labelled("x/1.png", "shoe"), Labelled("y/1.png", "hat"), Labelled("z, é.png")]
    matrix = np.array([[0.1, -2], [1e-30, 3], [16777217, 0.5]], dtype=np.float32)
    folder = formats["lightly"].write(tmp_path / "out", items, embeddings=matrix)
    with (folder / "embeddings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["filenames", "embedding_0", "embedding_1", "labels"]
    assert [row[0] for row in rows[1:]] == ["x/1.png", "y/1.png", "z, é.png"]
    assert [row[-1] for row in rows[1:]] == ["1", "0", "-1"]
    assert json.loads((folder / "classes.json").read_text()) == {"0": "hat", "1": "shoe"}
    paths, found, labels = read_lightly_embeddings(folder)
    assert paths == [item.path for item in items]
    assert found.dtype == np.float32
    assert labels.tolist() == [1, 0, -1]
    np.testing.assert_array_equal(found, matrix)


def test_any_float32_survives_lightly(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint32)
    numbers = bits.view(np.float32)
    matrix = numbers[np.isfinite(numbers)][:18_000].reshape(100, 180)
    items = [Labelled(f"{row}.png") for row in range(100)]
    folder = formats["lightly"].write(tmp_path / "out", items, embeddings=matrix)
    found = read_lightly_embeddings(folder / "embeddings.csv")[1]
    assert found.tobytes() == matrix.tobytes()


def test_lightly_from_elsewhere(tmp_path):
    path = tmp_path / "embeddings.csv"
    path.write_text(
        "filenames,embedding_0,masked,selected,labels\na/1.jpg,.5,0,1,7\nb.jpg,2,,,-1\n"
    )
    assert formats["lightly"].read(path) == [Labelled("a/1.jpg", "7")]
    assert formats["lightly"].read(tmp_path) == [Labelled("a/1.jpg", "7")]
    assert read_lightly_embeddings(path)[1].tolist() == [[0.5], [2.0]]
    (tmp_path / "classes.json").write_text('{"6": "hat"}')
    assert error_of(formats["lightly"].read, path) == (
        "FILE, line 2: classes.json has no class with the number 7."
    )


HEAD = "filenames,embedding_0,embedding_1,labels\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "filename,embedding_0,labels\n",
            "FILE, line 1: the first column must be 'filenames' and the last 'labels'; got "
            "'filename', 'labels'.",
        ),
        (
            "filenames,embedding_0,score,labels\n",
            "FILE, line 1: unknown column 'score'; expected embedding_<n>, masked or selected.",
        ),
        (
            "filenames,embedding_1,embedding_0,labels\n",
            "FILE, line 1: the columns must be embedding_0, embedding_1, ... in order.",
        ),
        (
            "filenames,embedding_0,masked,embedding_1,labels\n",
            "FILE, line 1: the columns embedding_<n> must be next to each other.",
        ),
        (f"{HEAD}a,1,2,0\n\nb,1,2,0\n", "FILE, line 3: blank line. Remove it."),
        (f"{HEAD}a,1,0\n", "FILE, line 2: 3 fields, but the header has 4 columns."),
        (f"{HEAD}a,1,x,0\n", "FILE, line 2: could not convert string to float: 'x'."),
        (f"{HEAD}a,1,1e39,0\n", "FILE, line 2: a number of the vector is not finite in float32."),
        (f"{HEAD}a,1,2,hat\n", "FILE, line 2: the label is 'hat'; expected a whole number."),
        (
            f"{HEAD}../a,1,2,0\n",
            "FILE, line 2: the path '../a' is outside the folder; expected a relative path without "
            "'..'.",
        ),
    ],
)
def test_a_table_that_lightly_would_refuse(text, message, tmp_path):
    path = tmp_path / "embeddings.csv"
    assert error_of(formats["lightly"].read, path, text) == message
    assert error_of(read_lightly_embeddings, path, text) == message


def test_a_repeated_path_in_lightlys_table(tmp_path):
    path = tmp_path / "embeddings.csv"
    assert error_of(read_lightly_embeddings, path, f"{HEAD}a,1,2,0\na,1,2,0\n") == (
        "FILE, line 3: second row for 'a'. Keep one of the two."
    )


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (None, "the format lightly needs `embeddings`, an (n, d) array."),
        (np.ones((2, 3)), "`embeddings` must have the shape (1, d); got (2, 3)."),
        (np.full((1, 3), np.nan), "`embeddings` must be finite; it contains NaN or infinity."),
    ],
)
def test_invalid_embeddings(embeddings, message, tmp_path):
    with pytest.raises(UsageError) as error:
        formats["lightly"].write(tmp_path / "out", [Labelled("a", "hat")], embeddings=embeddings)
    assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet", "huggingface"])
def test_classes_that_a_table_would_take_for_numbers_are_refused(name, tmp_path, export):
    items = [Labelled("a.png", "1"), Labelled("b.png", "2.0")]
    with pytest.raises(FormatError) as error:
        export(name, tmp_path, items)
    assert str(error.value) == (
        "the item 'b.png' has the label '2.0', which would be read without '.0', because all "
        "values are whole numbers. Rename the label, or choose the format label-studio."
    )
    assert list(tmp_path.iterdir()) == []
    more = [*items, Labelled("c.png", "1.10")]
    assert formats[name].read(export(name, tmp_path, more)) == more
