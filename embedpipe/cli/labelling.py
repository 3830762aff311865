"""Command ``label``."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

import typer

from .label_log import login_name
from .options import DatasetChoice, EmbedChoice, HeadChoice
from .session import Session, command

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "label")(label)


def label(
    session: Session,
    where: DatasetChoice,
    how: EmbedChoice,
    head: HeadChoice,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port on this machine [default: 8765, or any that is free]",
            min=1,
            max=65535,
            show_default=False,
        ),
    ] = None,
    strategy: Annotated[
        str, typer.Option(help="Chooses what to label next, once there is a head")
    ] = "auto",
    initial: Annotated[str, typer.Option(help="Chooses the first images")] = "auto",
    seed: Annotated[int, typer.Option(help="The same seed gives the same choices", min=0)] = 0,
    who: Annotated[
        str | None,
        typer.Option(help="Who labels [default: your login name]", show_default=False),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser")] = (
        False
    ),
) -> None:
    """Label images in a page that only this machine can open.

    Embeds what is not embedded yet, then prints the page's address with its token, and serves it
    until Ctrl-C. Every label is in labels.sqlite in the workspace the moment the page shows it
    as saved.
    """
    from ..heads import get_head
    from ..labelling import LabellingSession
    from ..labels import LabelLog
    from ..server import LabellingServer
    from ..strategies import get_strategy

    # What is misspelt is said before anything is embedded.
    get_strategy(strategy), get_strategy(initial), get_head(head.head)
    embeddings = session.embed(where, how)
    with LabelLog(session.workspace.labels) as log:
        labelling = LabellingSession(
            embeddings,
            log,
            strategy=strategy,
            initial=initial,
            head=head.head,
            seed=seed,
            who=who or login_name(),
        )
        server = LabellingServer(labelling, session.workspace, port=port)
        session.finish({"url": server.url}, server.url, now=True)
        sys.stdout.flush()  # a program that waits for the address must not wait for a buffer
        session.remark("Open this address in a browser on this machine; Ctrl-C ends.")
        if open_browser:
            _open(server.url)
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how this ends
            server.run()
        count = sum(labelling.counts().values())
        session.remark(f"{count} labels are stored; run the same command again to go on.")


def _open(url: str) -> None:
    import webbrowser

    webbrowser.open(url)
