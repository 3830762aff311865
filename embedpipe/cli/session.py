"""What surrounds a command: its output, its progress, its errors."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from .. import _workspace
from ..errors import EmbedpipeError, RunError, UsageError
from .options import Common, DatasetChoice, EmbedChoice, ImagesChoice, TrackerChoice, expand

if TYPE_CHECKING:
    from rich.console import Console

    from ..datasets import Dataset
    from ..embedding import Embeddings
    from ..experiments import Failure
    from ..tracking import Tracker

__all__ = ["Session", "command", "refuse_failures"]

FAILURE, WRONG_USAGE, INTERRUPTED = 1, 2, 130

LOG_SECONDS = 20.0
"""How often progress is told where it is not a terminal."""

_STAGES = {"scan": "Scanning", "embed": "Embedding", "download": "Downloading"}


class Session:
    """One run of one command.

    Parameters
    ----------
    common
        The options that every command takes.
    """

    def __init__(self, common: Common) -> None:
        self.common = common
        self.workspace = _workspace.Workspace(common.workspace)
        self.typed = shlex.join(["embedpipe", *sys.argv[1:]])

    def load(self, choice: DatasetChoice | ImagesChoice) -> Dataset:
        """Return the dataset that is meant."""
        from ..datasets import load_dataset

        with self.progress() as progress:

            def tell(done: int, total: int | None) -> None:
                if progress is not None:
                    progress("download", done, total or done)

            return load_dataset(
                choice.dataset,
                source=choice.source,
                download=choice.download,
                directory=self.workspace.downloads,
                progress=tell,
                within=choice.within,
            )

    def embed(
        self, choice: DatasetChoice | ImagesChoice, how: EmbedChoice, **more: Any
    ) -> Embeddings:
        """Return the embeddings of the dataset that is meant."""
        from ..embedding import EmbedOptions, embed

        options = EmbedOptions(**asdict(how), **more)
        dataset = self.load(choice)
        for suffix, count in dataset.skipped.items():
            self.remark(f"skipped {count} {suffix}: not a format that is read; convert them first")
        with self.progress() as progress:
            embeddings = embed(
                dataset, workspace=self.workspace, options=options, progress=progress
            )
        for failure in embeddings.failures[:5]:
            self.remark(f"could not {failure.stage} {failure.path}: {failure.error}")
        if len(embeddings.failures) > 5:
            self.remark(f"… and {len(embeddings.failures) - 5} more that failed.")
        remarks = embeddings.report.remarks
        for path, text in remarks[:5]:
            self.remark(f"{path}: {text}")
        if len(remarks) > 5:
            self.remark(f"… and {len(remarks) - 5} more remarks; `check --json` lists all.")
        return embeddings

    def tracker(self, choice: TrackerChoice) -> contextlib.AbstractContextManager[Tracker | None]:
        """Return the tracker that is asked for, if any, to be used in a `with`.

        Raises
        ------
        UsageError
            If there is no tracker of that name, or its package is not installed.
        """
        if choice.tracker is None:
            return contextlib.nullcontext()
        from ..tracking import get_tracker

        return get_tracker(choice.tracker, self.workspace.tracking)

    @contextlib.contextmanager
    def counting(self) -> Iterator[Callable[[int, int, str], None]]:
        """Give a function to tell progress with: what is done, of how much, and a sentence."""
        from rich.console import Console

        console = Console(stderr=True)
        if self.common.quiet:
            yield lambda done, total, text: None
        elif console.is_terminal:
            with _one_bar(console) as tell:
                yield tell
        else:
            yield _now_and_then(self.remark)

    def remark(self, text: str) -> None:
        """Say something on standard error, unless asked to be quiet."""
        if not self.common.quiet:
            print(text, file=sys.stderr)  # noqa: T201

    def finish(self, result: dict[str, Any], text: str) -> None:
        """Print the result: one JSON object if asked for, `text` otherwise."""
        print(json.dumps(result) if self.common.json else text)  # noqa: T201

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None] | None]:
        """Give a function to tell stages with: which, what is done, of how much; None if quiet."""
        from rich.console import Console

        console = Console(stderr=True)
        if self.common.quiet:
            yield None
        elif console.is_terminal:
            with _bars(console) as progress:
                yield progress
        else:
            yield _Log(self.remark)


def refuse_failures(failures: Sequence[Failure]) -> None:
    """End a command whose results are written with an error, if a part of its work failed.

    Raises
    ------
    RunError
        If there is a failure.
    """
    if failures:
        count = len(failures)
        raise RunError(
            f"{count} task{'s' if count > 1 else ''} failed; {failures[0]}. The others are done; "
            "run the same command again to try what is missing."
        )


class _Log:
    """Progress for a log file: a line now and then."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._told = say, time.monotonic()

    def __call__(self, stage: str, done: int, total: int) -> None:
        if time.monotonic() - self._told > LOG_SECONDS:
            self._say(f"{_STAGES.get(stage, stage)} {done} of {total}")
            self._told = time.monotonic()


@contextlib.contextmanager
def _bars(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each stage."""
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
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(_STAGES.get(stage, stage), total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield progress


def _now_and_then(say: Callable[[str], None]) -> Callable[[int, int, str], None]:
    """Say a sentence for a log file, but not often."""
    told = time.monotonic() - LOG_SECONDS

    def tell(done: int, total: int, text: str) -> None:
        nonlocal told
        if time.monotonic() - told >= LOG_SECONDS:
            told = time.monotonic()
            say(text)

    return tell


@contextlib.contextmanager
def _one_bar(console: Console) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar with a sentence beside it."""
    from rich.progress import BarColumn, Progress, TextColumn

    columns = BarColumn(bar_width=24), TextColumn("{task.description}")
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=None)

        def tell(done: int, total: int, text: str) -> None:
            bars.update(task, completed=done, total=total, description=text)

        yield tell


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function ``f(session, ...)`` as a command of `app`.

    The command takes the common options; an error of ours ends it with one line on standard error
    and the exit status of the contract.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        def with_session(common: Common, **values: Any) -> None:
            with _errors_on_one_line(common.debug):
                function(Session(common), **values)

        with_session.__name__, with_session.__doc__ = function.__name__, function.__doc__
        _adopt_signature(with_session, function)
        app.command(name, help=_help_of(function))(expand(with_session))
        return function

    return register


def _adopt_signature(outer: Callable[..., None], inner: Callable[..., None]) -> None:
    import inspect
    from typing import get_type_hints

    hints = get_type_hints(inner, include_extras=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(inner).parameters.items()
        if name != "session"
    ]
    common = inspect.Parameter("common", inspect.Parameter.KEYWORD_ONLY, annotation=Common)
    outer.__signature__ = inspect.Signature([*own, common])  # type: ignore[attr-defined]
    outer.__annotations__ = {p.name: hints[p.name] for p in own} | {"common": Common}


def _help_of(function: Callable[..., None]) -> str:
    import inspect

    return inspect.cleandoc(function.__doc__ or "")


@contextlib.contextmanager
def _errors_on_one_line(debug: bool) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        _complain("interrupted; run the same command again to continue.", debug)
        raise typer.Exit(INTERRUPTED) from None
    except EmbedpipeError as error:
        _complain(str(error), debug)
        raise typer.Exit(WRONG_USAGE if isinstance(error, UsageError) else FAILURE) from None
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:  # whoever was reading has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILURE) from None
    # The last resort: a user never meets a traceback that was not asked for.
    except Exception as error:  # noqa: BLE001
        _complain(f"unexpected {type(error).__name__}: {error} (--debug shows where)", debug)
        raise typer.Exit(FAILURE) from None


def _complain(message: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    print(f"embedpipe: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
