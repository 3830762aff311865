"""Commands that run in this process, each test with its own workspace."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from embedpipe.cli.main import app


class Outcome:
    """The exit status, standard output and standard error of a command."""

    def __init__(self, arguments: list[str]) -> None:
        result = CliRunner().invoke(app, arguments)
        self.status, self.out, self.err = result.exit_code, result.stdout, result.stderr

    def json(self) -> dict[str, Any]:
        assert self.status == 0, self.err
        assert self.out.count("\n") == 1
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed

    def error(self) -> tuple[int, str]:
        assert self.out == ""
        return self.status, self.err.removesuffix("\n")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Return a function that runs a command with its own workspace and the toy backbone."""
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "workspace"))

    def run(*arguments: object) -> Outcome:
        words = [str(argument) for argument in arguments]
        takes_backbone = words[0] in ("embed", "select", "run", "train", "predict")
        if takes_backbone and "--backbone" not in words:
            words += ["--backbone", "toy"]
        return Outcome(words)

    return run


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Labels of six of the twelve photos, by their path."""
    path = tmp_path / "labels.csv"
    rows = [f"class{n % 3}/{n:04d}.jpg,{'abc'[n % 3]}" for n in range(6)]
    path.write_text("\n".join(["path,label", *rows]))
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
