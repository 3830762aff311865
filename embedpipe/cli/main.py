"""The commands."""

from __future__ import annotations

import typer

from . import cache, embedding, listing, loops, training

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


@app.callback()
def _top() -> None:
    """Keep the commands as sub-commands."""


for module in (loops, embedding, training):
    module.register(app)
cache.register(app)
listing.register(app)


def main() -> None:
    """Run the command line."""
    app()
