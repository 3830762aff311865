"""The registration of all commands, and the command ``list``."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Annotated, Any, NoReturn

import typer
import typer.core

from .._scripts import INTERRUPTED, WRONG_USAGE, interrupt_on_signals
from .._versions import own_version
from ..errors import UnknownNameError
from . import (
    cache,
    check,
    compare,
    embed,
    label,
    label_studio,
    labels,
    models,
    replay,
    report,
    run,
    search,
    train,
    vectors,
)
from .output import Output, print_error, wants_json
from .session import Session, add_command

__all__ = ["app", "main"]

_WrongUsage: type[Exception] = typer.BadParameter.__mro__[1]
"""Base class of the parser's errors. Its module depends on the version of Typer."""


class _Commands(typer.core.TyperGroup):
    """The commands; with ``--json``, errors of the parser are JSON too."""

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
            self._add_error(print_error("interrupted."), "Interrupted", INTERRUPTED)
            raise typer.Exit(INTERRUPTED) from None

    def _add_error(self, message: str, kind: str, status: int) -> None:
        output: Output | None = getattr(self, "_output", None)
        if output is not None and output.as_json:
            output.error(" ".join(message.split()), kind, status)
            output.flush()


def _message_of(error: Exception) -> str:
    """Return the message of a parser error, with the name of the option."""
    describe: Callable[[], str] = getattr(error, "format_message", lambda: str(error))
    return describe()


app = typer.Typer(
    name="embedpipe",
    cls=_Commands,
    help="Embed a folder of images once; then choose images to label, train a model and measure "
    "its accuracy in seconds on a CPU.\n\nExit status: 0 done; 1 failed; 2 wrong usage; 3 done, "
    "but too many images failed; 130 interrupted.",
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


KINDS = {
    "datasets": "datasets",
    "backbones": "backbones",
    "strategies": "strategies",
    "heads": "heads",
    "policies": "continual",
    "methods": "continual",
    "formats": "labels",
}
"""The registries, and the packages that contain them."""


def list_(
    session: Session,
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS), show_default=False)],
) -> None:
    """List the registered names of a kind, one per line."""
    if kind not in KINDS:
        raise UnknownNameError("list", kind, KINDS)
    registry = getattr(importlib.import_module(f"embedpipe.{KINDS[kind]}"), kind)
    entries: dict[str, str] = registry.describe()
    width = max(map(len, entries), default=0)
    lines = [f"{name:<{width}}  {text}" for name, text in entries.items()]
    rows = [
        {"name": name, "description": text, **_card(kind, name)} for name, text in entries.items()
    ]
    session.finish({kind: rows}, "\n".join(lines) or f"no {kind} yet")


def _card(kind: str, name: str) -> dict[str, Any]:
    """Return the card of a backbone for JSON, if it has one."""
    if kind != "backbones":
        return {}
    from ..backbones import CARDS

    return {"card": asdict(CARDS[name]) if name in CARDS else None}


COMMANDS: dict[str, Callable[..., None]] = {
    "demo": run.demo,
    "run": run.run,
    "compare": compare.compare,
    "replay": replay.replay,
    "embed": embed.embed,
    "import-vectors": vectors.import_vectors,
    "select": embed.select,
    "search": search.search,
    "train": train.train,
    "predict": train.predict,
    "export-model": models.export_model,
    "serve": models.serve,
    "annotate": label.annotate,
    "label": label.label,
    "label-studio": label_studio.label_studio,
    "check": check.check,
    "report": report.report,
    "list": list_,
}

GROUPS: dict[str, tuple[str, dict[str, Callable[..., None]]]] = {
    "labels": (
        "Import and export labels.",
        {"import": labels.import_, "export": labels.export},
    ),
    "cache": (
        "List, verify and clean up the cache.",
        {
            "list": cache.list_,
            "verify": cache.verify,
            "gc": cache.gc,
            "drop": cache.drop,
            "forget": cache.forget,
        },
    ),
}


def _add_commands() -> None:
    for name, function in COMMANDS.items():
        add_command(app, name, function)
    for group_name, (text, functions) in GROUPS.items():
        group = typer.Typer(help=text, no_args_is_help=True)
        for name, function in functions.items():
            add_command(group, name, function)
        app.add_typer(group, name=group_name)


_add_commands()


def main() -> None:
    """Run the command line; SIGTERM and SIGHUP act like Ctrl-C."""
    interrupt_on_signals()
    for stream in (sys.stdout, sys.stderr):  # a file name can have any characters
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit as end:
        _leave(end)


def _leave(end: SystemExit) -> NoReturn:
    """End the process at once: native thread pools can abort at the interpreter's normal end."""
    # Wait for other threads and run the exit functions, as the interpreter does.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):  # the output is closed
        sys.stdout.flush()
        sys.stderr.flush()
    if not isinstance(end.code, int | None):
        raise end
    os._exit(end.code or 0)
