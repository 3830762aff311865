"""Commands ``label`` and ``annotate``: labelling in the browser or in the terminal."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._options import DatasetOptions
from ..errors import RunError, UsageError
from .class_names import ClassNames, prior_of, read_class_names
from .label_finding import recorded_workspaces, remember
from .label_log import login_name
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
    from ..datasets import Dataset
    from ..labelling import AnnotatedRound

__all__ = ["annotate", "label", "load_folder"]

LEAST_CONFIDENT_IN_TARGET = "combine(least_confidence, target_similarity)"
"""Strategy of `annotate` with a target."""


def label(
    session: Session,
    data: DatasetWithLabels,
    embed_options: EmbedArguments,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port on this machine [default: 8765, or a free port if 8765 is in use]",
            min=1,
            max=65535,
            show_default=False,
        ),
    ] = None,
    strategy: LaterStrategy = "auto",
    initial: FirstStrategy = "auto",
    target: TargetName = None,
    classes: ClassNames = None,
    head: Head = "auto",
    seed: Annotated[int, typer.Option(help="Random seed", min=0)] = 0,
    who: Annotated[
        str | None,
        typer.Option(help="Name of the annotator [default: your login name]", show_default=False),
    ] = None,
    open_browser: Annotated[
        bool,
        typer.Option(
            "--open/--no-open",
            help="Open the page in the browser; never with --json, without a terminal or display, "
            "or if the variable CI is set",
        ),
    ] = True,
    url: Annotated[
        bool,
        typer.Option("--url", help="Print the address of the running page of this dataset again"),
    ] = False,
) -> None:
    """Label images in the browser, on this machine.

    Embeds new images, then opens the page, prints its address with its token, and serves the page
    until Ctrl-C. Labels are stored in labels.sqlite in the workspace at once.

    With --classes, the page suggests these classes before the first label. This needs a backbone
    with a text tower, such as clip_b32.
    """
    from ..active.words import text_vectors, texts_of
    from ..heads import get_head
    from ..labelling import LabellingSession
    from ..labels import LabelLog
    from ..server import LabellingServer, address_stored
    from ..strategies import get_strategy

    if url:
        _print_address(session, data)
        return
    # An unknown name is an error before the embedding, which may take long.
    chosen, first, _ = get_strategy(strategy), get_strategy(initial), get_head(head)
    check_strategies([first, chosen], target, embed_options)
    names = read_class_names(classes, embed_options)
    embeddings = session.embed(load_folder(session, data), embed_options)
    used_in = target_of(session, embeddings, target, embed_options)
    folder = session.workspace.dataset_folder(embeddings.dataset.name)
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
            who=who or login_name(),
            target=used_in,
            texts=text_vectors(embeddings, texts_of(first, chosen), workspace=session.workspace),
        )
        for name in names:
            if name not in labelling.classes():
                labelling.add_class(name)
        server = LabellingServer(labelling, session.workspace, port=port)
        with (
            contextlib.suppress(KeyboardInterrupt),  # Ctrl-C is the normal end
            contextlib.closing(server),
            address_stored(folder, server.url),
        ):
            result = {"url": server.url, **target_facts(used_in)}
            session.finish(result, server.url, now=True)
            sys.stdout.flush()  # for programs that wait for the address
            place = "Open this address in a browser on this machine"
            if open_browser and _can_open(session) and _open(server.url_to_open):
                place = "The page opens in your browser"
            session.remark(f"{place}. Press Ctrl-C to end.")
            server.run()
        count = sum(labelling.counts().values())
        session.remark(f"{count} labels are stored. Run the same command again to continue.")


def load_folder(session: Session, data: DatasetWithLabels) -> Dataset:
    """Load the dataset, and refuse a single image."""
    dataset = session.load(data)
    if dataset.listed:
        (item,) = dataset.items
        raise UsageError(
            f"{item.id!r} is a single image. To label it, give its folder: "
            f"{dataset.source.location!r}."
        )
    return dataset


def _print_address(session: Session, data: DatasetWithLabels) -> None:
    """Print the address of the running page of a dataset."""
    from ..server import running_address

    names = [each.name for each in fields(DatasetOptions)]
    plain = DatasetOptions(**{name: getattr(data, name) for name in names})  # asks no question
    dataset = session.load(plain)
    places = [session.workspace, *recorded_workspaces(dataset)]
    addresses = (running_address(each.dataset_folder(dataset.name)) for each in places)
    address = next(filter(None, addresses), None)
    if address is None:
        raise RunError(
            f"no labelling page of {dataset.name!r} is running. Start it with `embedpipe label`."
        )
    session.finish({"url": address}, address)


def _can_open(session: Session) -> bool:
    """Return whether a person sees this terminal and a browser can show a window."""
    if session.common.json or os.environ.get("CI"):
        return False
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        return False
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open(url: str) -> bool:
    import webbrowser

    return webbrowser.open(url)


def annotate(
    session: Session,
    data: DatasetWithLabels,
    embed_options: EmbedArguments,
    batch_size: Annotated[
        int,
        typer.Option(help="Images per round: those with the least certain predictions", min=1),
    ] = 10,
    rounds: Annotated[
        int, typer.Option(help="Maximum number of rounds after two classes have labels", min=1)
    ] = 5,
    initial_size: Annotated[
        int,
        typer.Option(help="Images per batch until two classes have labels", min=1),
    ] = 20,
    who: Annotated[
        str | None,
        typer.Option(help="Name of the annotator [default: your login name]", show_default=False),
    ] = None,
    whole_paths: Annotated[
        bool,
        typer.Option(
            "--whole-paths", help="Show whole paths, although folder names can reveal the class"
        ),
    ] = False,
    target: TargetName = None,
    head: Head = "auto",
    seed: Annotated[int, typer.Option(help="Random seed", min=0)] = 0,
) -> None:
    """Label images in the terminal, the least certain predictions first.

    Type the number of a class, or a name. An empty line accepts the suggestion, s skips, u undoes
    the last answer, q stops, ? shows help. Answers are stored at once; run the same command again
    to continue. Labels that the dataset contains are not shown. With a target, uncertainty is
    multiplied by the similarity to the target.
    """
    from ..heads import get_head
    from ..labelling import Annotation, LabellingSession, Terminal
    from ..labels import LabelLog

    get_head(head)  # an unknown name is an error before the embedding
    embeddings = session.embed(load_folder(session, data), embed_options)
    used_in = target_of(session, embeddings, target, embed_options)
    person = who or login_name()
    folder = session.workspace.dataset_folder(embeddings.dataset.name)
    done: list[AnnotatedRound] = []
    with LabelLog(session.workspace.labels) as log:
        remember(session, embeddings.dataset, data)
        labelling = LabellingSession(
            embeddings,
            log,
            strategy="least_confidence" if used_in is None else LEAST_CONFIDENT_IN_TARGET,
            initial="coreset",
            head=head,
            seed=seed,
            who=person,
            target=used_in,
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
            **target_facts(used_in),
            "output": str(session.workspace.labels),
        },
        _summary(done, counts, session.workspace.labels),
    )


def _plan_of(folder: Path, person: str | None) -> Path:
    """Return the file with the current questions of an annotator."""
    digest = hashlib.sha256((person or "").encode("utf-8", "surrogateescape")).hexdigest()
    return folder / f"annotate-{digest[:12]}.json"


def _advice(rounds: list[AnnotatedRound]) -> dict[str, Any] | None:
    model = rounds[-1].model if rounds else None
    return None if model is None else model.advice


def _summary(rounds: list[AnnotatedRound], counts: dict[str, int], log: Path) -> str:
    stopped = bool(rounds) and rounds[-1].stopped
    lines = [f"{log}: {sum(counts.values())} labels, {len(counts)} classes"]
    advice = _advice(rounds)
    if advice is not None and advice.get("reason"):
        lines.append(f"advice: {advice['advice']}: {advice['reason']}")
    lines += ["stopped; run the same command again to continue"] if stopped else []
    return "\n".join(lines)
