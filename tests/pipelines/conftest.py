from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import processes

PIPELINES = Path(__file__).resolve().parent.parent.parent / "pipelines"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def pipeline(tmp_path: Path) -> Run:
    """Return a function that runs a pipeline in an empty folder, with a workspace of its own."""

    def run(name: str, *arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, str(PIPELINES / name), *map(str, arguments)]
        line += ["--workspace", str(tmp_path / "w")]
        done = processes.run(line, cwd=tmp_path)
        assert done.returncode == status, done.stderr
        return done

    return run
