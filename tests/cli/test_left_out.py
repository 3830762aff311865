"""Copies of test images are left out, and their number is in every output and report."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from embedpipe.cli.main import app

FACT = "<dt>copies of test images left out</dt><dd>{}</dd>"


@pytest.fixture
def folder(tmp_path: Path, photos: Callable[..., Path]) -> Callable[[int], Path]:
    """Return a function that makes a dataset with a test split, and copies of it in training."""

    def make(copies: int) -> Path:
        given = photos(30)
        root = tmp_path / "split"
        for at, path in enumerate(sorted(given.rglob("*.jpg"))):
            split = "test" if at % 3 == 0 else "train"
            target = root / split / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        for path in sorted((root / "test").rglob("*.jpg"))[:copies]:
            shutil.copy(path, root / "train" / path.parent.name / f"copy-{path.name}")
        return root

    return make


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "workspace"))

    def run(*arguments: object) -> Result:
        words = [*map(str, arguments), "--backbone", "toy"]
        outcome = CliRunner().invoke(app, words)
        assert outcome.exit_code == 0, outcome.stderr
        return outcome

    return run


SIZES = ("--initial-size", 6, "--batch-size", 3, "--rounds", 2)


def parsed(outcome: Result) -> tuple[dict[str, Any], str]:
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found, Path(found["report"]).read_text(encoding="utf-8")


@pytest.mark.parametrize("copies", [0, 1, 4])
def test_run_and_compare_report_the_number_of_copies(
    call: Callable[..., Result], folder: Callable[[int], Path], copies: int
) -> None:
    root = folder(copies)
    found, page = parsed(call("run", root, *SIZES, "--json"))
    assert found["copies_left_out"] == copies
    assert FACT.format(copies) in page
    text = call("run", root, *SIZES, "--quiet").stdout
    assert (f"copies of test images left out: {copies}\n" in text) == (copies > 0)

    grid = ("compare", root, *SIZES, "--seeds", 1, "--strategies", "margin", "--workers", 0)
    compared, page = parsed(call(*grid, "--json"))
    assert {row["copies_left_out"] for row in compared["summary"]} == {copies}
    assert FACT.format(copies) in page
    text = call(*grid, "--quiet").stdout
    assert (f"copies of test images left out: {copies}" in text) == (copies > 0)


def test_replay_reports_the_number_of_copies(
    call: Callable[..., Result], folder: Callable[[int], Path]
) -> None:
    words = ("replay", folder(3), "--stream", "random", "--experiences", 2, "--seeds", 1)
    outcome = call(*words, "--workers", 0, "--retain", 2, "--json")
    found, page = parsed(outcome)
    assert found["copies_left_out"] == 3
    assert FACT.format(3) in page
    assert "copies of test images left out: 3" in outcome.stderr


def test_the_advice_is_in_the_output_and_in_the_report(
    call: Callable[..., Result], folder: Callable[[int], Path]
) -> None:
    words = ("run", folder(0), *SIZES, "--initial", "coreset", "--strategy", "margin")
    outcome = call(*words)
    assert "coreset, then margin" in outcome.stderr
    assert "random, then random" in outcome.stderr
    (line,) = [line for line in outcome.stdout.splitlines() if "Advice" in line]
    assert line.startswith(("Advice: ", "No advice yet. "))
    report = outcome.stdout.splitlines()[-1].removeprefix("report: ")
    assert line.replace("'", "&#39;") in Path(report).read_text(encoding="utf-8")
    random = call(*words[:-4], "--initial", "random", "--strategy", "random", "--no-baseline")
    assert re.search(r"\n(Advice: |No advice yet\. )", random.stdout)
