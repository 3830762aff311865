"""Programs that tests start."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator, Sequence
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
        process.wait(timeout=10)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def run(words: Sequence[Any], **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run a program to its end, and return its exit status and output."""
    options = {"capture_output": True, "text": True, "timeout": LIMIT, **options}
    return subprocess.run(words, check=False, **options)
