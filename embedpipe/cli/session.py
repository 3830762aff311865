"""What surrounds a command: its dataset, its output, its progress."""

from __future__ import annotations

import contextlib
import math
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from .. import _workspace
from .._text import printable
from ..errors import RunError, UsageError
from .failures import FailureLimit, failures_of
from .options import Common, DatasetChoice, EmbedChoice, ImagesChoice, TrackerChoice, expand
from .output import TOO_MANY_FAILURES, Output, complain, ending
from .progress import Log, bars, one_bar

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..embedding import Embeddings
    from ..experiments import Failure
    from ..tracking import Tracker

__all__ = ["Session", "command", "refuse_failures"]

NAMED = 5
"""Failures that are named on standard error; JSON has all."""


class Session:
    """One run of one command.

    Parameters
    ----------
    common
        The options that every command takes.
    output
        Where the result goes.
    given
        The options that were typed, by the name of the parameter, as ``"--seeds 3"``.
    """

    def __init__(self, common: Common, output: Output, given: Mapping[str, str]) -> None:
        self.common, self.given = common, given
        self.workspace = _workspace.Workspace(common.workspace)
        self.typed = printable(shlex.join(["embedpipe", *sys.argv[1:]]))
        self._output = output
        self._failures: list[dict[str, Any]] = []
        self._exceeded: str | None = None

    def load(self, choice: DatasetChoice | ImagesChoice) -> Dataset:
        """Return the dataset that is meant."""
        from ..datasets import load_dataset
        from ..datasets.load import beside_name

        for name in [choice.dataset] if isinstance(choice.dataset, str) else choice.dataset:
            beside = beside_name(name)
            if beside is not None:
                self.remark(beside)
        with self.progress() as progress:

            def tell(done: int, total: int | None) -> None:
                if progress is not None:
                    progress("download", done, total or 0)

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

        limit = None if how.max_failures is None else FailureLimit.parse(how.max_failures)
        options = EmbedOptions(**how.options(), **more)
        dataset = self.load(choice)
        for suffix, count in dataset.skipped.items():
            self.remark(f"skipped {count} {suffix}: not a format that is read; convert them first")
        with self.progress() as progress:
            embeddings = embed(
                dataset, workspace=self.workspace, options=options, progress=progress
            )
        for note in embeddings.report.notes:
            self.remark(note)
        self._note_failures(embeddings, limit)
        return embeddings

    def _note_failures(self, embeddings: Embeddings, limit: FailureLimit | None) -> None:
        """Name the first failures, keep all for the result, and hold them against the limit."""
        found, known = failures_of(embeddings), self._failures
        self._failures = [*known, *(each for each in found if each not in known)]
        for failure in embeddings.failures[:NAMED]:
            self.remark(
                f"could not {failure.stage} {printable(failure.path)}: {printable(failure.error)}"
            )
        if len(embeddings.failures) > NAMED:
            self.remark(f"… and {len(embeddings.failures) - NAMED} more that failed.")
        remarks = embeddings.report.remarks
        for path, text in remarks[:NAMED]:
            self.remark(f"{printable(path)}: {printable(text)}")
        if len(remarks) > NAMED:
            self.remark(f"… and {len(remarks) - NAMED} more remarks; `check --json` lists all.")
        self.remark_vanished([failure.path for failure in embeddings.vanished])
        images = len(embeddings.dataset) + len(embeddings.vanished)
        if limit is not None and limit.is_exceeded(len(found), images):
            self._exceeded = (
                f"{len(found)} of {images} images of {embeddings.dataset.name} failed, more than "
                f"--max-failures {limit.text}. The work is done without them."
            )

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

    def remark_vanished(self, paths: Sequence[str]) -> None:
        """Name the files that were items at the last scan and are gone."""
        if paths:
            names = ", ".join(map(printable, paths[:NAMED]))
            more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
            self.remark(f"{len(paths)} vanished since the last scan: {names}{more}")

    @contextlib.contextmanager
    def counting(self) -> Iterator[Callable[[int, int, str], None]]:
        """Give a function to tell progress with: what is done, of how much, and a sentence."""
        from rich.console import Console

        console = Console(stderr=True)
        if self.common.quiet:
            yield lambda done, total, text: None
        elif console.is_terminal:
            with one_bar(console) as tell:
                yield tell
        else:
            yield Log(self.remark).text

    @contextlib.contextmanager
    def rounds(self) -> Iterator[Callable[[int, int, str], None]]:
        """Give a function that writes a line for each round, with a time stamp in a log."""
        if sys.stderr.isatty() or self.common.quiet:
            yield lambda done, total, text: self.remark(f"  {printable(text)}")
        else:
            yield Log(self.remark).line

    def remark(self, text: str) -> None:
        """Write a remark to standard error, unless asked to be quiet."""
        if not self.common.quiet:
            with contextlib.suppress(OSError):  # the terminal is gone, and the work goes on
                print(printable(text, keep="\n"), file=sys.stderr)  # noqa: T201

    def finish(self, result: dict[str, Any], text: str, *, now: bool = False) -> None:
        """Write the result: one JSON object if asked for, `text` otherwise.

        Parameters
        ----------
        result
            The object. Where images failed, they are added under ``failures`` and their number
            under ``failed``, unless the command has failures of its own.
        text
            The same in words.
        now
            Write it at once, because the command goes on.
        """
        if self._failures and "failures" not in result:
            result = {"failed": len(self._failures), **result, "failures": self._failures}
        self._output.result(result, text, now=now)

    def failed_images(self) -> dict[str, list[dict[str, Any]]]:
        """Return the images that failed, if any, for a command whose ``failures`` are runs."""
        return {"failed_images": self._failures} if self._failures else {}

    def end(self) -> None:
        """End with the status of too many failures, if there are."""
        if self._exceeded is not None:
            line = complain(self._exceeded)
            self._output.error(line, "TooManyFailures", TOO_MANY_FAILURES)
            raise typer.Exit(TOO_MANY_FAILURES)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None] | None]:
        """Give a function to tell stages with: which, what is done, of how much; None if quiet."""
        from rich.console import Console

        console = Console(stderr=True)
        if self.common.quiet:
            yield None
        elif console.is_terminal:
            with bars(console) as progress:
                yield progress
        else:
            yield Log(self.remark).stage


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


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function ``f(session, ...)`` as a command of `app`.

    The command takes the common options; an error of ours ends it with one line on standard error
    and the exit status of the contract.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        def with_session(context: typer.Context, common: Common, **values: Any) -> None:
            output = Output(common.json)
            with output.reserved(), ending(output, common.debug):
                _check_finite(context)
                session = Session(common, output, _given(context))
                function(session, **values)
                session.end()

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
    added = {"common": Common, "context": typer.Context}
    own += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
        for name, kind in added.items()
    ]
    outer.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
    outer.__annotations__ = {**hints, **added}


def _given(context: typer.Context) -> dict[str, str]:
    """Return the options that were typed, by the name of the parameter: ``"--seeds 3"``."""
    typed = {}
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            values = value if isinstance(value, (list, tuple)) else [value]
            typed[name] = (
                option if isinstance(value, bool) else " ".join(map(str, [option, *values]))
            )
    return typed


def _check_finite(context: typer.Context) -> None:
    """Refuse NaN and infinity, which pass every check of a range."""
    for name, value in context.params.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{name.replace('_', '-')} {value}: give a finite number.")


def _help_of(function: Callable[..., None]) -> str:
    import inspect

    return inspect.cleandoc(function.__doc__ or "")
