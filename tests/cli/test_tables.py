"""Tables of labels in the commands."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from embedpipe.cli.main import app
from tests.conftest import make_image

NAMES = ["=1+1.jpg", "@b.jpg", "-c.jpg", "two\nlines.jpg", "e.jpg", "f.jpg", "g, h.jpg", "'=i.jpg"]
SUFFIXES = [".csv", ".jsonl", ".parquet"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command on eight photos with difficult names."""
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for seed, name in enumerate(NAMES):
        make_image(seed).save(tmp_path / "photos" / name, quality=90)

    def run(*words: object) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, [str(word) for word in words])
        return result.exit_code, result.stdout, result.stderr

    return run


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_train_and_import_read_a_table_in_the_same_way(
    run: Callable[..., Any], tmp_path: Path, suffix: str
) -> None:
    names = [name for name in NAMES if name != "'=i.jpg"]  # pandas does not escape them
    labels = [1.0, 2.0, None, 1.0, 2.0, 2.0, 1.0]
    status = [None, None, None, None, "unsure", "label", "Skip"]
    label = [1.0, 2.0, None, 1.0, 2.0, 2.0, None]
    frame = pd.DataFrame({"path": names, "label": labels, "status": status})
    file = write(frame, tmp_path / f"labels{suffix}")
    code, out, err = run(
        *("train", "photos", "--labels", file, "--backbone", "toy", "--json"),
        *("--output", "head.safetensors"),
    )
    assert code == 0, err
    assert (json.loads(out)["labelled"], json.loads(out)["classes"]) == (4, ["1", "2"])
    file = write(pd.DataFrame({"path": names, "label": label, "status": status}), file)
    form = suffix.removeprefix(".")
    code, out, err = run("labels", "import", "photos", file, "--format", form, "--who", "a")
    assert code == 0, err
    with closing(sqlite3.connect(tmp_path / "workspace" / "labels.sqlite")) as log:
        rows = log.execute("SELECT path, kind, label FROM current ORDER BY path").fetchall()
    assert rows == sorted(
        [
            ("=1+1.jpg", "label", "1"),
            ("@b.jpg", "label", "2"),
            ("two\nlines.jpg", "label", "1"),
            ("e.jpg", "unsure", None),
            ("f.jpg", "label", "2"),
            ("g, h.jpg", "skip", None),
        ]
    )


def test_picks_are_escaped_for_spreadsheets_and_can_be_read(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    more = ("--backbone", "toy", "--json")
    code, _, err = run("select", "photos", "-n", 8, "--output", "picks.csv", *more)
    assert code == 0, err
    with (tmp_path / "picks.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["path"] for row in rows} == {
        *("'=1+1.jpg", "'@b.jpg", "'-c.jpg", "''=i.jpg"),
        *("two\nlines.jpg", "e.jpg", "f.jpg", "g, h.jpg"),
    }
    for number, row in enumerate(rows):
        row["label"] = ["+hat", "shoe"][number % 2]
    with (tmp_path / "filled.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    code, out, err = run(
        *("train", "photos", "--labels", "filled.csv", *more, "--output", "head.safetensors")
    )
    assert code == 0, err
    assert (json.loads(out)["labelled"], json.loads(out)["classes"]) == (8, ["+hat", "shoe"])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_command_reads_predictions_as_labels(
    run: Callable[..., Any], tmp_path: Path, suffix: str
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("path,label\ne.jpg,hat\nf.jpg,shoe\n")
    more = ("--backbone", "toy", "--quiet")
    model = ("--output", "head.safetensors", *more)
    assert run("train", "photos", "--labels", labels, *model)[0] == 0
    file = tmp_path / "photos" / f"predicted{suffix}"
    predict = ("predict", "photos", "--model", "head.safetensors", "--output", file, *more)
    assert run(*predict)[0] == 0
    if suffix == ".csv":
        with file.open(encoding="utf-8", newline="") as stream:
            (header, *rows) = csv.reader(stream)
        assert header[:3] == ["path", "label", "confidence"]
        assert {"'=1+1.jpg", "'@b.jpg", "'-c.jpg", "''=i.jpg"} <= {row[0] for row in rows}
    form = suffix.removeprefix(".")
    for words in (
        ("train", "photos", "--labels", file, *model),
        ("select", "photos", "-n", 1, "--labels", file, *more),
        ("check", "photos", "--labels", file, *more),
        ("embed", file, *more),
        ("labels", "import", "photos", file, "--format", form),
    ):
        code, out, err = run(*words)
        assert (code, out) == (1, ""), words
        assert err == (
            f"embedpipe: {file}: these labels are predictions of `predict`, not labels of a "
            "person. To use them as labels, remove the column 'confidence'.\n"
        )
    export = ("labels", "export", "photos", "--format", "csv", "--output", "out.csv", "--json")
    code, out, err = run(*export, "--predictions", file)
    assert code == 0, err
    assert json.loads(out)["items"] == len(NAMES)


def test_within_confines_a_manifest(run: Callable[..., Any], tmp_path: Path) -> None:
    make_image(9).save(tmp_path / "secret.jpg")
    manifest = tmp_path / "photos" / "m.csv"
    manifest.write_text("path\ne.jpg\n../secret.jpg\n")
    code, out, err = run("embed", manifest, "--within", "photos", "--backbone", "toy")
    assert (code, out) == (1, "")
    assert err == (
        f"embedpipe: {manifest}, line 3: the path '../secret.jpg' leads to "
        f"'{tmp_path}/secret.jpg', outside of '{tmp_path}/photos'; correct the row or allow "
        "another folder.\n"
    )
    manifest.write_text("path\ne.jpg\n")
    code, out, err = run("embed", manifest, "--within", "photos", "--backbone", "toy", "--json")
    assert code == 0, err
    assert json.loads(out)["items"] == 1
    code, out, err = run("embed", "photos", "--within", "photos", "--backbone", "toy")
    assert (code, out) == (2, "")
    assert err == (
        "embedpipe: `within` needs a manifest (.csv, .jsonl, .parquet); 'photos' is no manifest. "
        "Leave `within` out.\n"
    )
