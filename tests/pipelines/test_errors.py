"""Errors of the pipelines: one line, and the exit status of the command line."""

from __future__ import annotations

import ast
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.processes import run, started

from .conftest import PIPELINES, Run

WRONG = {
    "annotate_cifar10.py": ("nosuch",),
    "avalanche_style.py": ("nosuch",),
    "clothing.py": (),
    "compare_modes.py": ("--data", "nosuch.npz"),
    "compare_strategies.py": ("nosuch",),
    "coreset.py": ("nosuch",),
    "replay_clear10.py": ("nosuch",),
    "webcam.py": ("nosuch",),
}


def test_every_pipeline_is_covered() -> None:
    assert set(WRONG) == {path.name for path in PIPELINES.glob("*.py")}
    for name in WRONG:
        last = ast.unparse(ast.parse((PIPELINES / name).read_text(encoding="utf-8")).body[-1])
        assert last == "if __name__ == '__main__':\n    ep.run_script(main)"


@pytest.mark.parametrize("name", list(WRONG))
def test_a_missing_dataset_is_an_error_in_one_line(name: str, tmp_path: Path) -> None:
    line = [sys.executable, str(PIPELINES / name), *WRONG[name], "--workspace", "w"]
    done = run(line, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith(f"{name}: ")
    assert done.stderr.count("\n") == 1


SCRIPT = """\
import sys, time
import embedpipe as ep

def main():
    what = sys.argv[1]
    if what == "sleep":
        print("ready", flush=True)
        time.sleep(60)
    raise {"usage": ep.errors.UsageError("no\\nsuch thing"), "run": ep.errors.RunError("lost"),
           "other": OSError("disk")}[what]

ep.run_script(main)
"""


@pytest.mark.parametrize(
    ("what", "status", "message"),
    [
        ("usage", 2, "s.py: no such thing\n"),
        ("run", 1, "s.py: lost\n"),
        ("other", 1, "s.py: OSError: disk (set EMBEDPIPE_DEBUG=1 for the traceback)\n"),
    ],
)
def test_errors_are_one_line(what: str, status: int, message: str, tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(SCRIPT)
    line = [sys.executable, str(tmp_path / "s.py"), what]
    done = run(line)
    assert (done.returncode, done.stderr) == (status, message)
    shown = run(
        line,
        env={**os.environ, "EMBEDPIPE_DEBUG": "1"},
    )  # fmt: skip
    assert "Traceback" in shown.stderr
    assert shown.stderr.endswith(message)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_message_of_an_interruption(how: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(SCRIPT)
    line = [sys.executable, str(tmp_path / "s.py"), "sleep"]
    with started(line) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(how)
        _, error = process.communicate(timeout=90)
    assert (process.returncode, error) == (130, "s.py: interrupted; run it again to continue.\n")


def test_replay_clear10_with_a_folder_of_a_registered_name(pipeline: Run, tmp_path: Path) -> None:
    (tmp_path / "clear10").mkdir()
    message = pipeline("replay_clear10.py", "clear10", status=1).stderr
    assert message.endswith("name, use './clear10'.\n")
    assert message.count("\n") == 1
