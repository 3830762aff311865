"""The command `annotate`, which asks in the terminal: it continues after a kill at any time."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import pytest
from PIL import Image
from typer.testing import CliRunner

from embedpipe.cli.main import app
from embedpipe.labels import LabelLog
from tests.processes import started

QUESTION = re.compile(r"round (\d+), (\d+) of (\d+): (.*)")
OPTIONS = (
    *("--batch-size", "3", "--rounds", "2", "--initial-size", "6"),
    *("--backbone", "toy"),
)


@pytest.fixture
def folder(photos: Callable[..., Path]) -> Path:
    return photos(30, classes=1)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


def annotating(
    folder: Path, workspace: Path, *more: str
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Start the command, with pipes in place of a terminal."""
    line = [sys.executable, "-m", "embedpipe", "annotate", str(folder), *OPTIONS, *more]
    line += ["--workspace", str(workspace), "--who", "ann"]
    return started(line, stdin=subprocess.PIPE, text=False, bufsize=0)


def until_asked(stream: IO[bytes]) -> str:
    """Return the text up to the next prompt, or to the end of the stream."""
    text = b""
    while not re.search(rb"(^|\n)label[^\n]*: $", text):
        character = stream.read(1)
        if not character:
            break
        text += character
    return text.decode()


def path_in(text: str) -> str:
    (found,) = QUESTION.findall(text)
    return str(found[3])


def by_path(workspace: Path) -> dict[str, str | None]:
    with LabelLog(workspace / "labels.sqlite") as log:
        (dataset,) = {event.dataset for event in log.events()}
        return {path: now.label for path, now in log.current(dataset).items()}


def test_after_a_kill_the_next_question_follows(
    folder: Path, workspace: Path, tmp_path: Path
) -> None:
    lines = "".join(f"={word}\n" for word in ["even", "odd"] * 15)
    whole = CliRunner().invoke(
        app,
        ["annotate", str(folder), *OPTIONS, "--workspace", str(tmp_path / "other"), "--json"],
        input=lines,
    )
    assert whole.exit_code == 0, whole.stderr
    expected = [path for _, _, _, path in QUESTION.findall(whole.stderr)]
    assert len(set(expected)) == 12
    asked: list[str] = []
    with annotating(folder, workspace) as process:
        assert process.stdin is not None and process.stderr is not None
        for number in range(7):
            asked.append(path_in(until_asked(process.stderr)))
            process.stdin.write(f"={['even', 'odd'][number % 2]}\n".encode())
        until_asked(process.stderr)  # the next question acknowledges the answer
    assert list(by_path(workspace)) == sorted(asked)
    with annotating(folder, workspace, "--json") as process:
        out, err = process.communicate(b"=odd\n=even\n=odd\n=even\n=odd\n", timeout=60)
    asked += [path for _, _, _, path in QUESTION.findall(err.decode())]
    assert asked == expected
    result = json.loads(out)
    assert result["rounds"][-1]["round"] == 2
    assert result["rounds"][-1]["labelled"] == result["labelled"] == 12
    assert result["classes"] == {"even": 6, "odd": 6}
    assert result["output"] == str(workspace / "labels.sqlite")
    assert result["advice"]["advice"] in ("continue", "stop", "stop soon", "unknown")


@pytest.mark.slow
def test_kills_at_random_times_change_no_question_and_lose_no_answer(
    folder: Path, workspace: Path, tmp_path: Path
) -> None:
    def answer_all(where: Path, seconds: float | None = None) -> tuple[list[str], int]:
        """Answer until the end, or until a kill some seconds after the first question."""
        answered: list[str] = []
        with annotating(folder, where) as process:
            assert process.stdin is not None and process.stderr is not None
            timer = threading.Timer(seconds or 0.0, process.kill)
            with contextlib.suppress(BrokenPipeError):
                while QUESTION.search(text := until_asked(process.stderr)) and text.endswith(": "):
                    path = path_in(text)
                    if seconds is not None and not answered:
                        timer.start()
                    process.stdin.write(f"=class {int(path[-5]) % 2}\n".encode())
                    answered.append(path)
            status = process.wait(timeout=60)
            timer.cancel()
        return answered, status

    asked, status = answer_all(tmp_path / "whole")
    kept = by_path(tmp_path / "whole")
    assert (len(kept), status) == (12, 0)
    assert set(asked) == set(kept)
    acknowledged: set[str] = set()
    killed = 0
    while status != 0 or killed == 0:
        answered, status = answer_all(workspace, random.uniform(0.0, 0.2) if killed < 8 else None)
        killed += status != 0
        acknowledged |= set(answered[:-1])  # the next question acknowledges the answer before
        with LabelLog(workspace / "labels.sqlite") as log:
            stored = [str(event.path) for event in log.events()]
        assert len(stored) == len(set(stored))
        assert acknowledged <= set(stored)
        if len(stored) == len(kept) and not list(workspace.glob("datasets/*/annotate-*.json")):
            break  # killed on the way out: it would begin another annotation
    assert by_path(workspace) == kept


def test_messages_between_rounds_and_at_the_end(folder: Path, workspace: Path) -> None:
    line = ["annotate", str(folder), *OPTIONS, "--workspace", str(workspace)]
    outcome = CliRunner().invoke(app, line, input="hat\nshoe\nhat\nq\n")
    log = workspace / "labels.sqlite"
    assert outcome.exit_code == 0
    first, *rest = outcome.stdout.splitlines()
    assert first == f"{log}: 3 labels, 2 classes"
    assert rest[-1] == "stopped; run the same command again to continue"
    assert "\nround 0: 3 labels, classes: 2" in outcome.stderr
    (asked,) = log.parent.glob("datasets/*/asked.jpg")
    (*_, last) = QUESTION.findall(outcome.stderr)
    assert asked.read_bytes() == (folder / last[3].replace("…", "class0")).read_bytes()
    again = CliRunner().invoke(app, [*line, "--json"], input="")
    assert "going on with round 0\n\nround 0, 4 of 6: " in again.stderr
    assert json.loads(again.stdout)["labelled"] == 3
    other = CliRunner().invoke(app, [*line, "--who", "bob", "--whole-paths"], input="")
    assert "going on" not in other.stderr
    assert re.search(r"round 1, 1 of 3: (class0/)?\d{4}\.jpg\n", other.stderr)


def test_a_misspelt_head_is_refused(folder: Path, workspace: Path) -> None:
    line = ["annotate", str(folder), "--head", "logistc", "--workspace", str(workspace)]
    outcome = CliRunner().invoke(app, line)
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("embedpipe: unknown head 'logistc'. Did you mean 'logistic'?")
    assert not workspace.exists()


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: ours, and the program's."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


def test_in_a_real_terminal_that_shows_images(
    terminal: tuple[int, int], folder: Path, workspace: Path
) -> None:
    ours, theirs = terminal
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    environment |= {"TERM": "xterm-kitty", "XDG_DATA_HOME": os.environ["XDG_DATA_HOME"]}
    line = [sys.executable, "-m", "embedpipe", "annotate", folder, *OPTIONS]
    with started(
        [*line, "--workspace", workspace], text=False, stdin=theirs, stdout=theirs, stderr=theirs,
        env=environment, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = b""
        while not shown.endswith(b"label: "):
            shown += os.read(ours, 65536)
        os.write(ours, "größe\nq\n".encode())
        rest = b""
        while chunk := read_or_end(ours):
            rest += chunk
        assert process.wait(timeout=60) == 0
    assert b"new class: gr\xc3\xb6\xc3\x9fe" in rest
    (path,) = by_path(workspace)
    chunks = re.findall(rb"\x1b_G[^;]*;([^\x1b]*)\x1b\\", shown)
    image = Image.open(io.BytesIO(base64.b64decode(b"".join(chunks))))
    with Image.open(folder / path) as original:
        assert image.size == (192, round(192 * original.height / original.width))


def read_or_end(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # on Linux, the other end is closed
        return b""


def test_annotate_for_a_target(
    folder: Path, photos: Callable[..., Path], workspace: Path, tmp_path: Path
) -> None:
    shop = photos(4, name="shop")
    words = ["annotate", str(folder), *OPTIONS, "--target", str(shop), "--workspace"]
    answers = "\n".join(["hat", "shoe"] * 3 + ["hat", "q", ""])
    outcome = CliRunner().invoke(app, [*words, str(workspace), "--json"], input=answers)
    assert outcome.exit_code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    assert (found["target"]["name"].partition("-")[0], found["target"]["items"]) == ("shop", 4)
    assert found["labelled"] == 7
