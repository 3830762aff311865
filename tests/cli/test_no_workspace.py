"""A command that fails before its work creates no workspace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.main import get_command

from embedpipe.cli.main import app
from tests.cli.conftest import Outcome

TOY = ("--backbone", "toy")
MISSING = {
    "embed": [],
    "search": ["hat"],
    "import-vectors": ["vectors.npy"],
    "select": ["-n", 3],
    "train": ["--output", "m"],
    "predict": ["--model", "m"],
    "run": [],
    "compare": [],
    "replay": [],
    "check": [],
    "report": [],
    "label": [],
    "label-studio": [],
    "annotate": [],
    "labels import": ["labels.csv", "--format", "csv"],
    "labels export": ["--output", "out.csv", "--format", "csv"],
}
"""Every command with a dataset, and its required options."""

WRONG = {
    "embed": ["--max-failures", "some"],
    "search": ["hat", "--backbone", "nothing"],
    "import-vectors": ["vectors.npy", "--folder-labels", "nothing"],
    "select": ["-n", 3, "--strategy", "nothing"],
    "train": ["--output", "m", "--head", "nothing"],
    "predict": ["--model", "nothing"],
    "run": ["--head", "nothing"],
    "compare": ["--strategies", "nothing"],
    "replay": ["--policy", "nothing"],
    "check": ["--index", "nothing"],
    "report": ["--layout", "nothing"],
    "label": ["--strategy", "nothing"],
    "label-studio": ["--strategy", "nothing"],
    "annotate": ["--head", "nothing"],
    "labels import": ["labels.csv", "--format", "nothing"],
    "labels export": ["--output", "out.csv", "--format", "nothing"],
}

NO_LABELS = {
    "train": ["--output", "m", *TOY],
    "labels export": ["--output", "out.csv", "--format", "csv"],
    "label": ["--url"],
    "label-studio": ["--project", 1, *TOY],
    "embed": ["--require-cached", *TOY],
    "search": ["hat", *TOY],
    "import-vectors": ["nothing.npy"],
    "labels import": ["strangers.csv", "--format", "csv"],
    "select": ["-n", 3, "--labels", "nothing.csv", *TOY],
    "select ": ["-n", 3, "--metadata", "nothing.csv", *TOY],
    "check": ["--labels", "nothing.csv", *TOY],
    "report": ["--labels", "nothing.csv", *TOY],
}


@pytest.fixture
def fails(
    tmp_path: Path, photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Return a function that runs a command, which must fail and create nothing."""
    monkeypatch.delenv("EMBEDPIPE_WORKSPACE", raising=False)
    home, folder = tmp_path / "home", photos()
    home.mkdir()
    (home / "strangers.csv").write_text("path,label\nstranger.jpg,hat\n")
    monkeypatch.chdir(home)

    def run(command: str, dataset: str, words: list[object]) -> None:
        given = dataset or str(folder)
        outcome = Outcome([*command.split(), given, *map(str, words)])
        assert outcome.status in (1, 2), outcome.err
        assert [path.name for path in home.iterdir()] == ["strangers.csv"]
        assert sorted(path.name for path in folder.iterdir()) == ["class0", "class1", "class2"]

    return run


def test_the_table_contains_every_command_with_a_dataset() -> None:
    found = set()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        for inner in getattr(command, "commands", {}):
            found.add(f"{name} {inner}")
        if not hasattr(command, "commands"):
            found.add(name)
    without = {"demo", "list", "export-model", "serve"}
    assert {name for name in found if not name.startswith("cache")} == {*without, *MISSING}


@pytest.mark.parametrize("command", MISSING)
def test_with_a_missing_dataset(fails: Callable[..., None], command: str) -> None:
    fails(command, "./nowhere", MISSING[command])


@pytest.mark.parametrize("command", WRONG)
def test_with_a_wrong_option(fails: Callable[..., None], command: str) -> None:
    fails(command, "", WRONG[command])


@pytest.mark.parametrize("command", NO_LABELS)
def test_without_labels_or_vectors(fails: Callable[..., None], command: str) -> None:
    fails(command, "", NO_LABELS[command])


@pytest.mark.parametrize("command", ["list", "verify", "gc", "drop --spec 1 --yes", "forget x"])
def test_commands_of_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.delenv("EMBEDPIPE_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    Outcome(["cache", *command.split()])
    assert list(tmp_path.iterdir()) == []
