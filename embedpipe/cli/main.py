"""The commands."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from .._versions import own_version
from . import (
    annotating,
    cache,
    checking,
    comparing,
    embedding,
    labelling,
    labels,
    listing,
    loops,
    replaying,
    training,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="embedpipe",
    help="Embed a folder of images once; then choose what to label, retrain a head and see the "
    "result in seconds on a CPU.",
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


for module in (
    loops,
    comparing,
    replaying,
    embedding,
    training,
    annotating,
    labels,
    labelling,
    checking,
):
    module.register(app)
cache.register(app)
listing.register(app)


def main() -> None:
    """Run the command line; being told to terminate is taken like an interruption."""
    signal.signal(signal.SIGTERM, _interrupt)
    app()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
