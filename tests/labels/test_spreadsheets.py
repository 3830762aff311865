"""What people make of a CSV file with a spreadsheet or a shell."""

from pathlib import Path

import pytest

from embedpipe.labels import read_labels


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_any_usual_separator_and_line_end(tmp_path: Path, separator: str, ending: str) -> None:
    rows = [("path", "label", "rank"), ("a/1.jpg", "hat", "1"), ("b/1.jpg", "", "2")]
    text = ending.join(separator.join(row) for row in rows) + ending
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_labels(tmp_path / "labels.csv") == {"a/1.jpg": "hat"}


def test_files_put_one_behind_the_other(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("path,label\na.jpg,hat\npath,label\nb.jpg,shoe\n")
    assert read_labels(path) == {"a.jpg": "hat", "b.jpg": "shoe"}
