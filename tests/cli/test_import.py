"""The option `--import`: registrations of a module, in commands and worker processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import run

MODULE = '''
from embedpipe.strategies import Random, strategies
from tests.processes import run


@strategies.register("by_chance")
class ByChance(Random):
    """Every item is equally likely."""
'''
MAIN = "from embedpipe.cli.main import main; main()"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, which holds the module of a strategy."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "workspace"))
    (tmp_path / "by_chance_here.py").write_text(MODULE)
    return tmp_path


def call(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a command in its own process, because imports cannot be undone."""
    program = [sys.executable, "-c", MAIN, *map(str, words)]
    return run(program)


@pytest.mark.parametrize("module", ["by_chance_here", "by_chance_here.py"])
def test_a_module_of_the_working_directory_is_listed(folder: Path, module: str) -> None:
    done = call("list", "strategies", "--json", "--import", module)
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row["name"]: row["description"] for row in json.loads(done.stdout)["strategies"]}
    assert rows["by_chance"] == "Every item is equally likely."


def test_worker_processes_import_the_module(folder: Path) -> None:
    done = call(
        *("compare", "digits", "--backbone", "toy", "--json", "--quiet", "--no-upper-baseline"),
        *("--strategies", "by_chance", "--initials", "random", "--initial-size", 20),
        *("--batch-size", 10, "--rounds", 1, "--seeds", 1, "--workers", 2),
        *("--import", "by_chance_here.py"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["runs"], found["failures"]) == (2, [])
    assert {row["strategy"] for row in found["summary"]} == {"by_chance", "random"}


def test_a_missing_module_is_an_error_in_one_line(folder: Path) -> None:
    done = call("list", "strategies", "--import", "no_such_module")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "embedpipe: cannot import 'no_such_module': ModuleNotFoundError: No module named "
        "'no_such_module'. Give the path of a .py file, or the name of a module that is installed "
        "or in the current directory.\n"
    )
