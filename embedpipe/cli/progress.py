"""The progress of a command: bars on a terminal, lines with a time stamp in a log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .._text import in_words, printable

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Log", "bars", "one_bar"]

LOG_SECONDS = 10.0
"""Minimum seconds between two lines of a log."""

LOG_SHARE = 0.05
"""Minimum share of the work between two lines, unless `LOG_MAX_SECONDS` seconds have passed."""

LOG_MAX_SECONDS = 60.0
"""Seconds after which a line is written, however small the progress."""

_STAGES = {
    "scan": "Scanning",
    "embed": "Embedding",
    "download": "Downloading",
    "import": "Importing",
}


class Log:
    """Lines of progress: time stamp, finished work, its share of all work, and time left."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._stage: str | None = None
        self._ended = self._written = False
        self._begun = self._last = (time.monotonic(), 0)

    def stage(self, stage: str, done: int, total: int) -> None:
        """Report the number of finished items of a stage; `total` is 0 if unknown."""
        self._report(stage, done, total, lambda: _counted(stage, done, total), at_once=False)

    def text(self, done: int, total: int, text: str) -> None:
        """Report finished and total units with a text; the first line is written at once."""
        self._report("", done, total, lambda: printable(text), at_once=not self._written)

    def line(self, done: int, total: int, text: str) -> None:
        """Write a text at once."""
        self._report("", done, total, lambda: printable(text), at_once=True)

    def _report(
        self, stage: str, done: int, total: int, text: Callable[[], str], *, at_once: bool
    ) -> None:
        now = time.monotonic()
        if stage != self._stage:
            self._last = (self._begun[0] if self._stage is None else now, 0)
            # The time before the first report of a stage may include the loading of a network.
            self._begun = (now, done) if stage else self._last
            self._stage = stage
            self._ended = self._written = False
        waited = now - self._last[0]
        share = (done - self._last[1]) / total if total else 0.0
        due = waited >= LOG_SECONDS and (share >= LOG_SHARE or waited >= LOG_MAX_SECONDS)
        due = due or (waited >= LOG_SECONDS and not self._written)
        last = 0 < total <= done and self._written and not self._ended
        if not (at_once or due or last):
            return
        self._written, self._ended, self._last = True, 0 < total <= done, (now, done)
        line = text()
        if total:
            line += f" ({_percent(done, total)})"
        advanced = done - self._begun[1]
        # A text of the caller may contain the time left already.
        if advanced > 0 and done < total and " left" not in line:
            left = (now - self._begun[0]) * (total - done) / advanced
            line += f", about {in_words(left)} left"
        self._write(f"{datetime.now().astimezone().isoformat(timespec='seconds')} {line}")


def _counted(stage: str, done: int, total: int) -> str:
    name = _STAGES.get(stage, stage)
    return f"{name} {done:,} of {total:,}" if total else f"{name} {done:,}"


def _percent(done: int, total: int) -> str:
    return f"{100 * min(done, total) // total} %"


@contextlib.contextmanager
def bars(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function of stage, finished units and total units that shows a bar per stage."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        tasks: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(_STAGES.get(stage, stage), total=total or None)
            shown.update(tasks[stage], completed=done, total=total or None)

        yield progress


@contextlib.contextmanager
def one_bar(console: Console) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function of finished units, total units and a text that shows one bar."""
    from rich.progress import BarColumn, Progress, TextColumn

    columns = BarColumn(bar_width=24), TextColumn("{task.description}", markup=False)
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("", total=None)

        def update(done: int, total: int, text: str) -> None:
            shown.update(task, completed=done, total=total, description=printable(text))

        yield update
