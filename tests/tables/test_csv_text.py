"""Cells that a spreadsheet would run as formulas."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.labels.exchange import Labelled, formats
from embedpipe.tables import guard, read_table, unguard, write_table

FORMULAS = ["=1+1", "+49 170", "-x", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "--5", "-5x"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_has_an_apostrophe_and_is_read_back(text, tmp_path):
    assert guard(text) == f"'{text}"
    file = write_table({"path": [text.strip() + ".jpg"], "label": [text]}, tmp_path / "t.csv")
    with file.open(encoding="utf-8", newline="") as stream:
        (_, row) = csv.reader(stream)
    assert [cell[0] for cell in row] == ["'", "'"]
    table = read_table(file, ["path", "label"])
    assert table.columns == {"path": [text.strip() + ".jpg"], "label": [text.strip()]}


@pytest.mark.parametrize("text", ["cat", "'s-Gravenhage", "1.5", "-5", "-0.5", "a=b", "", "'"])
def test_other_texts_stay_as_they_are(text):
    assert guard(text) == unguard(text) == text


@given(st.text(st.sampled_from("'=+-@\t\r\na5.＝"), max_size=8))
def test_every_text_is_read_back(text):
    written = guard(text)
    assert unguard(written) == text
    assert written[:1] not in tuple("=+@\t\r\n＝") or not written
    assert not written.startswith("-") or float(written) <= 0


def test_numbers_are_written_as_they_are(tmp_path):
    file = write_table({"path": ["a"], "score": [-0.5], "rank": [-3]}, tmp_path / "t.csv")
    assert file.read_text() == "path,score,rank\na,-0.5,-3\n"


def test_a_line_break_in_a_name_survives(tmp_path):
    names = ["two\nlines.jpg", "two\r\nlines.jpg", "c\rr.jpg", " blank.jpg", "blank "]
    for suffix in (".csv", ".jsonl", ".parquet"):
        file = write_table({"path": names}, tmp_path / f"t{suffix}")
        assert read_table(file, ["path"]).columns == {"path": names}


def test_files_for_other_programs_are_not_guarded(tmp_path):
    items = [Labelled("=1.jpg", "-x"), Labelled("'=1.jpg", "hat")]
    folder = formats["huggingface"].write(tmp_path / "hub", items, lambda path: b"bytes")
    text = (folder / "metadata.csv").read_text()
    assert text == "file_name,label\n=1.jpg,-x\n'=1.jpg,hat\n"
    assert formats["huggingface"].read(folder) == items
    file = formats["csv"].write(tmp_path / "labels.csv", items)
    assert file.read_text() == "path,label\n'=1.jpg,'-x\n''=1.jpg,hat\n"
    assert formats["csv"].read(file) == items
