"""Command ``label-studio``: suggestions and an order of the tasks for Label Studio."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .class_names import ClassNames, prior_of, read_class_names
from .label import load_folder
from .label_finding import remember
from .options import (
    DatasetWithLabels,
    EmbedArguments,
    FirstStrategy,
    Head,
    LaterStrategy,
    TargetName,
)
from .session import Session
from .strategy_checks import check_strategies
from .target import target_facts, target_of

if TYPE_CHECKING:
    from ..server.label_studio import Client

__all__ = ["label_studio"]

ADDRESS, KEY, TOKEN = "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "EMBEDPIPE_TOKEN"
"""Environment variables: Label Studio's address, an access token there, and our own token."""


def label_studio(
    session: Session,
    data: DatasetWithLabels,
    embed_options: EmbedArguments,
    project: Annotated[
        int | None,
        typer.Option(
            help=f"Id of a project to set up and keep ordered; needs an access token in {KEY}",
            min=1,
            show_default=False,
        ),
    ] = None,
    label_studio_url: Annotated[
        str | None,
        typer.Option(
            help=f"Address of Label Studio [default: {ADDRESS} or http://localhost:8080]",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; any other than 127.0.0.1 requires a token: that in "
            f"{TOKEN}, or a new one, which is printed"
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on", min=1, max=65535)] = 9090,
    public_url: Annotated[
        str | None,
        typer.Option(
            help="Address of this service as Label Studio reaches it, if it runs elsewhere, such "
            "as http://host.docker.internal:9090",
            show_default=False,
        ),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(
            help="Name of the Choices control with the class [default: `choice`, or the only one]",
            show_default=False,
        ),
    ] = None,
    strategy: LaterStrategy = "auto",
    initial: FirstStrategy = "auto",
    target: TargetName = None,
    classes: ClassNames = None,
    head: Head = "auto",
    seed: Annotated[int, typer.Option(help="Random seed", min=0)] = 0,
) -> None:
    """Serve Label Studio: suggest classes, order tasks, and store the labels that are given there.

    Embeds new images, then serves Label Studio's ML-backend requests until Ctrl-C. Labels given in
    Label Studio are stored in labels.sqlite in the workspace, and the model is trained on them.
    With --project, a tab with the images to label next is kept up to date.
    """
    from ..active.words import text_vectors, texts_of
    from ..heads import get_head
    from ..labelling import LabellingSession
    from ..labels import LabelLog
    from ..server.label_studio import BackendOptions, LabelStudioBackend
    from ..strategies import get_strategy

    # Unknown names and a wrong token are errors before the embedding, which may take long.
    chosen, first, _ = get_strategy(strategy), get_strategy(initial), get_head(head)
    check_strategies([first, chosen], target, embed_options)
    client = None if project is None else _client(label_studio_url)
    names = read_class_names(classes, embed_options)
    embeddings = session.embed(load_folder(session, data), embed_options)
    used_in = target_of(session, embeddings, target, embed_options)
    with LabelLog(session.workspace.labels) as log:
        remember(session, embeddings.dataset, data)
        labelling = LabellingSession(
            embeddings,
            log,
            prior=prior_of(session, embeddings, names),
            strategy=strategy,
            initial=initial,
            head=head,
            seed=seed,
            target=used_in,
            texts=text_vectors(embeddings, texts_of(first, chosen), workspace=session.workspace),
        )
        backend = LabelStudioBackend(
            labelling,
            options=BackendOptions(host, port, public_url, os.environ.get(TOKEN) or None, control),
            project=None if client is None or project is None else (client, project),
            remark=session.remark,
        )
        with contextlib.suppress(KeyboardInterrupt), contextlib.closing(backend):
            result = {"url": backend.url, "token": backend.token, **target_facts(used_in)}
            session.finish(result, backend.url, now=True)
            sys.stdout.flush()  # for programs that wait for the address
            if backend.token is not None:
                session.remark(f"Token (the password of any user name): {backend.token}")
            if project is None:
                session.remark("Connect this address in Label Studio: Settings, Model.")
            session.remark("Press Ctrl-C to end.")
            backend.run()
        count = sum(labelling.counts().values())
        session.remark(f"{count} labels are stored. Run the same command again to continue.")


def _client(url: str | None) -> Client:
    """Return Label Studio's API with the user's access token."""
    from ..server.label_studio import Client

    token = os.environ.get(KEY, "").strip()
    if not token:
        raise UsageError(
            f"--project needs an access token of Label Studio: create one on your account page "
            f"there, and set the variable {KEY}."
        )
    return Client(url or os.environ.get(ADDRESS) or "http://localhost:8080", token)
