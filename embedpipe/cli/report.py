"""Command ``report``."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._text import printable
from .._urls import public_word
from .check import CheckOptions
from .label_log import DATASET, FILE, GivenLabels, KnownLabels
from .options import DatasetWithLabels, EmbedArguments, ImagesWithLabels, LabelSourceOrOwn
from .session import Session

if TYPE_CHECKING:
    from ..reports import DataReport

__all__ = ["report"]

_KEPT = (
    "source", "within", "folder_labels", "every", "backbone", "weights", "image_size", "pooling",
    "precision", "workspace",
)  # fmt: skip
"""Options of this command that the commands of the next steps need too."""

_STAGES = {"map": "Computing the map", "pictures": "Reading pictures"}


def report(
    session: Session,
    data: ImagesWithLabels,
    embed_options: EmbedArguments,
    labels: LabelSourceOrOwn,
    options: CheckOptions,
    layout: Annotated[
        str,
        typer.Option(
            help="Layout of the map: components (two principal components), neighbours (UMAP), or "
            "auto (UMAP if it is installed)"
        ),
    ] = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            help="File for the page [default: reports/<dataset>.html in the workspace]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a page about a dataset: its content, its problems, and the next steps.

    The page shows classes with pictures, sizes and formats of the files, copies, outliers, damaged
    files, and a map of the images. It works for images without labels too. The command changes no
    file of the dataset.
    """
    from ..index.layouts import resolve_layout
    from ..reports import data_report_of, write_data_report

    resolve_layout(layout)  # a wrong option ends the command before the embedding
    options.check()
    given = GivenLabels(session, labels)
    embeddings = session.embed(data, embed_options, uses_classes=True, again=True)
    known = given.or_true(embeddings)
    started = time.monotonic()
    checked = options.run(session, embeddings, known)
    with session.counting() as update:
        page = data_report_of(
            embeddings,
            checked,
            layout=layout,
            target=_target(session, data),
            training=_training(known, labels.labels),
            command=session.typed,
            progress=lambda stage, done, total: update(done, total, _STAGES[stage]),
        )
    path = output or session.workspace.reports / f"{embeddings.dataset.name}.html"
    written = write_data_report(path, page)
    result = {
        "dataset": embeddings.dataset.name,
        "report": str(written),
        **page.counts,
        **known.facts(),
        "seconds": round(time.monotonic() - started, 4),
    }
    session.finish(result, _text(page, written))


def _target(session: Session, data: DatasetWithLabels) -> str:
    """Return the dataset and its options, quoted for a shell."""
    names: Sequence[str] = [data.dataset] if isinstance(data.dataset, str) else data.dataset
    words = [shlex.quote(public_word(name)) for name in names]
    for name in _KEPT:
        if name in session.given:
            flag, _, value = session.given[name].partition(" ")
            words += [flag, shlex.quote(public_word(value))]
    return printable(" ".join(words))


def _training(known: KnownLabels, choice: Any) -> str:
    """Return the option of ``train`` for the labels, quoted for a shell."""
    value = {DATASET: "dataset", FILE: str(choice)}.get(str(known.source))
    return "" if value is None else printable(f"--labels {shlex.quote(value)}")


def _text(page: DataReport, path: Path) -> str:
    lines = [page.headline, *(f"  {problem.text}" for problem in page.problems)]
    if not page.problems:
        lines.append(f"  {page.summary}")
    return "\n".join([*map(printable, lines), f"report: {path}"])
