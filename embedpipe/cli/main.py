"""The commands."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NoReturn

import typer
import typer.core

from .._scripts import INTERRUPTED, WRONG_USAGE, interrupt_on_signals
from .._versions import own_version
from . import cache, check, compare, embed, label, labels, replay, run, train
from . import list as list_command
from .output import Output, complain, wants_json

__all__ = ["app", "main"]

_WrongUsage: type[Exception] = typer.BadParameter.__mro__[1]
"""The base of the parser's errors, of whichever parser Typer brings."""


class _Commands(typer.core.TyperGroup):
    """The commands; errors before a command begins are JSON too, where that is asked for."""

    def main(self, args: Any = None, *rest: Any, **options: Any) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        self._output = Output(wants_json(words))
        return super().main(args, *rest, **options)

    def make_context(self, *args: Any, **options: Any) -> Any:
        with self._errors_as_json():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with self._errors_as_json():
            return super().invoke(ctx)

    @contextlib.contextmanager
    def _errors_as_json(self) -> Iterator[None]:
        try:
            yield
        except _WrongUsage as error:
            self._add_error(_message_of(error), "WrongUsage", WRONG_USAGE)
            raise
        except KeyboardInterrupt:
            self._add_error(complain("interrupted."), "Interrupted", INTERRUPTED)
            raise typer.Exit(INTERRUPTED) from None

    def _add_error(self, message: str, kind: str, status: int) -> None:
        output: Output | None = getattr(self, "_output", None)
        if output is not None and output.as_json:
            output.error(" ".join(message.split()), kind, status)
            output.flush()


def _message_of(error: Exception) -> str:
    """Return the message of an error of the parser, with the name of the option."""
    describe: Callable[[], str] = getattr(error, "format_message", lambda: str(error))
    return describe()


app = typer.Typer(
    name="embedpipe",
    cls=_Commands,
    help="Embed a folder of images once; then choose what to label, retrain a head and see the "
    "result in seconds on a CPU.\n\nExit status: 0 done, 1 failed, 2 wrong usage, 3 done but too "
    "many images failed, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)
    ] = False,
) -> None:
    if version:
        typer.echo(f"embedpipe {own_version()}")
        raise typer.Exit


for module in (run, compare, replay, embed, train, label, labels, check, cache, list_command):
    module.register(app)


def main() -> None:
    """Run the command line; a request to terminate is taken like an interruption."""
    interrupt_on_signals()
    for stream in (sys.stdout, sys.stderr):  # a name must not fail for want of a character
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit as end:
        _leave(end)


def _leave(end: SystemExit) -> NoReturn:
    """End the process at once: native thread pools of libraries may abort when it winds down."""
    # As the interpreter does: wait for other threads, then run what was registered for the end.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):  # the reader of the output is gone
        sys.stdout.flush()
        sys.stderr.flush()
    if not isinstance(end.code, int | None):
        raise end
    os._exit(end.code or 0)
