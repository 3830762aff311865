"""Commands ``embed`` and ``select``."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import DatasetChoice, EmbedChoice, HeadChoice
from .session import Session, command

if TYPE_CHECKING:
    from ..embedding import Embeddings
    from ..strategies import Selection

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    command(app, "embed")(embed)
    command(app, "select")(select)


def embed(
    session: Session,
    where: DatasetChoice,
    how: EmbedChoice,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try images again that failed before")
    ] = False,
    executor: Annotated[
        str, typer.Option(help="local, or ray: a cluster that shares the file system")
    ] = "local",
) -> None:
    """Fill the cache: embed every image that has no vector yet.

    Safe to kill, to run again, and to run several times at once.
    """
    report = session.embed(where, how, retry_failed=retry_failed, executor=executor).report
    speed = ""
    if report.images_per_second is not None:
        speed = f", {report.images_per_second:.0f} images/s"
    session.finish(
        asdict(report),
        f"{report.dataset}: {report.items} items, {report.embedded} embedded, "
        f"{report.reused} reused, {report.failed} failed; {report.dim} dimensions; "
        f"{report.seconds:.1f} s{speed}",
    )


def select(
    session: Session,
    where: DatasetChoice,
    n: Annotated[
        int, typer.Option("-n", help="How many items to choose", min=1, show_default=False)
    ],
    how: EmbedChoice,
    head: HeadChoice,
    strategy: Annotated[str, typer.Option(help="See `embedpipe list strategies`")] = "coreset",
    seed: Annotated[int, typer.Option(help="The same seed gives the same picks", min=0)] = 0,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="What is labelled: .csv, .jsonl or .parquet with the columns path and label",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write the picks there, with an empty label column to fill in", show_default=False
        ),
    ] = None,
) -> None:
    """Pick what to label next."""
    from ..active import select as choose
    from ..heads import heads
    from ..labels import read_labels, table_format
    from ..strategies import strategies

    strategies[strategy], heads[head.head]  # a wrong name is told before the images are embedded
    if output is not None:
        table_format(output)
        _spare_labels(output)
    known = {} if labels is None else read_labels(labels)
    embeddings = session.embed(where, how)
    started = time.monotonic()
    chosen = choose(embeddings, n, strategy, labels=known or None, head=head.head, seed=seed)
    seconds = time.monotonic() - started
    picks = _picks(embeddings, chosen)
    if output is not None:
        _write_picks(output, picks)
    result = {
        "strategy": strategy,
        "n": len(picks),
        "picks": picks,
        "diagnostics": {name: _plain(value) for name, value in chosen.diagnostics.items()},
        "seconds": round(seconds, 4),
    }
    session.finish(result, "\n".join(pick["id"] for pick in picks))


def _picks(embeddings: Embeddings, chosen: Selection) -> list[dict[str, Any]]:
    source = embeddings.dataset.source
    return [
        {
            "rank": rank,
            "id": embeddings.items[row].id,
            "path": source.path(embeddings.items[row].id),
            "score": float(score),
        }
        for rank, (row, score) in enumerate(zip(chosen.rows, chosen.scores, strict=True), start=1)
    ]


def _spare_labels(output: Path) -> None:
    """Refuse to write over labels that someone has filled in."""
    from ..errors import EmbedpipeError, UsageError
    from ..labels import read_labels

    if not output.exists():
        return
    try:
        filled_in = len(read_labels(output))
    except EmbedpipeError:
        return  # not a label file
    if filled_in:
        raise UsageError(
            f"{output} holds {filled_in} labels that would be lost: choose another --output."
        )


def _write_picks(output: Path, picks: list[dict[str, Any]]) -> None:
    from ..labels import write_table

    columns: dict[str, list[Any]] = {
        "path": [pick["id"] for pick in picks],
        "label": ["" for _ in picks],
        "rank": [pick["rank"] for pick in picks],
        "score": [pick["score"] for pick in picks],
    }
    write_table(columns, output)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
