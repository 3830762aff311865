"""Programs that tests start."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

LIMIT = 240.0
"""Seconds until a program that a test started is killed."""


@contextlib.contextmanager
def started(
    words: Sequence[Any], *, seconds: float = LIMIT, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """Start a program; kill it when the block ends, or after a number of seconds."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, **{**pipes, **options})
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        process.kill()
        process.wait(timeout=90)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def children_of(process: subprocess.Popen[Any]) -> list[int]:
    """Return the processes that a program has started; none where the system has no /proc."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(each) for each in path.read_text().split()] if path.exists() else []


def wait_for_end(processes: Iterable[int]) -> None:
    """Wait until processes have ended; fail after a number of seconds."""
    deadline = time.monotonic() + LIMIT
    while left := [each for each in processes if _is_alive(each)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def _is_alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def run(words: Sequence[Any], **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run a program to its end, and return its exit status and output."""
    options = {"capture_output": True, "text": True, "timeout": LIMIT, **options}
    return subprocess.run(words, check=False, **options)
