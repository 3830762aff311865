"""Commands ``label`` and ``annotate``: a person labels, in a page or in the terminal."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._options import DatasetOptions
from .label_log import login_name
from .options import EmbedArguments, Head
from .session import Session, command

if TYPE_CHECKING:
    from ..labelling import AnnotatedRound

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    command(app, "annotate")(annotate)
    command(app, "label")(label)


def label(
    session: Session,
    where: DatasetOptions,
    how: EmbedArguments,
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
    head: Head = "logistic",
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

    # before anything is embedded
    get_strategy(strategy), get_strategy(initial), get_head(head)
    embeddings = session.embed(where, how)
    with LabelLog(session.workspace.labels) as log:
        labelling = LabellingSession(
            embeddings,
            log,
            strategy=strategy,
            initial=initial,
            head=head,
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


def annotate(
    session: Session,
    where: DatasetOptions,
    how: EmbedArguments,
    batch_size: Annotated[
        int,
        typer.Option(help="Images per round: those with the least certain predictions", min=1),
    ] = 10,
    rounds: Annotated[int, typer.Option(help="Rounds after two classes have labels", min=1)] = 5,
    initial_size: Annotated[
        int,
        typer.Option(help="Images at a time before there are two classes, by core-set", min=1),
    ] = 20,
    who: Annotated[
        str | None,
        typer.Option(help="Who labels [default: your login name]", show_default=False),
    ] = None,
    whole_paths: Annotated[
        bool,
        typer.Option(
            "--whole-paths", help="Show paths whole, though a folder's name may tell the class"
        ),
    ] = False,
    head: Head = "logistic",
    seed: Annotated[int, typer.Option(help="The same seed asks the same", min=0)] = 0,
) -> None:
    """Label images in the terminal, those first of which the head is least certain.

    Type the number of a class or a name; nothing accepts what is suggested, s skips, u takes the
    last answer back, q stops, ? helps. Every answer is kept at once; run the same command again to
    go on. The labels that a dataset brings are not shown.
    """
    from ..heads import get_head
    from ..labelling import Annotation, LabellingSession, Terminal
    from ..labels import LabelLog

    get_head(head)  # before anything is embedded
    embeddings = session.embed(where, how)
    person = who or login_name()
    folder = session.workspace.items_of(embeddings.dataset.name).parent
    done: list[AnnotatedRound] = []
    with LabelLog(session.workspace.labels) as log:
        labelling = LabellingSession(
            embeddings,
            log,
            strategy="least_confidence",
            initial="coreset",
            head=head,
            seed=seed,
            who=person,
        )
        annotation = Annotation(
            labelling,
            Terminal(environment=os.environ, copy=folder / "asked"),
            _plan_of(folder, person),
            batch_size,
            rounds,
            initial_size,
            whole_paths=whole_paths,
        )
        for each in annotation.run():
            done.append(each)
            session.remark(f"\n{each}")
        counts = labelling.counts()
    session.finish(
        {
            "rounds": [each.summary() for each in done],
            "labelled": sum(counts.values()),
            "classes": counts,
            "advice": _advice(done),
            "output": str(session.workspace.labels),
        },
        _text(done, counts, session.workspace.labels),
    )


def _plan_of(folder: Path, person: str | None) -> Path:
    """Return the file that remembers what a person is asked."""
    digest = hashlib.sha256((person or "").encode("utf-8", "surrogateescape")).hexdigest()
    return folder / f"annotate-{digest[:12]}.json"


def _advice(rounds: list[AnnotatedRound]) -> dict[str, Any] | None:
    model = rounds[-1].model if rounds else None
    return None if model is None else model.advice


def _text(rounds: list[AnnotatedRound], counts: dict[str, int], log: Path) -> str:
    stopped = bool(rounds) and rounds[-1].stopped
    lines = [f"{log}: {sum(counts.values())} labels, {len(counts)} classes"]
    advice = _advice(rounds)
    if advice is not None and advice.get("reason"):
        lines.append(f"advice: {advice['advice']}: {advice['reason']}")
    lines += ["stopped; run the same command again to go on"] if stopped else []
    return "\n".join(lines)
