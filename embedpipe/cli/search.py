"""Command ``search``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from .._options import DatasetOptions
from .._text import printable
from .options import EmbedArguments
from .session import Session

__all__ = ["search"]


def search(
    session: Session,
    data: DatasetOptions,
    embed_options: EmbedArguments,
    query: Annotated[
        str | None, typer.Argument(help="Words, such as 'red hat'", show_default=False)
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(help="Image file to search with, instead of words", show_default=False),
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Maximum number of images", min=1)] = 20,
) -> None:
    """Find images by words or by an example image.

    Prints the score and the path of each image, the most similar first. A score is the cosine of
    the vectors of the image and of the query. Words need a backbone with a text tower, such as
    clip_b32.
    """
    from ..active import search as find
    from ..active.search import check_query

    check_query(query, image)
    dataset = session.load(data)
    if query is not None:
        _check_words(embed_options)
    embeddings = session.embed(dataset, embed_options)
    started = time.monotonic()
    found = find(embeddings, query, image=image, n=n, workspace=session.workspace)
    seconds = time.monotonic() - started
    path = dataset.source.path
    results: list[dict[str, Any]] = []
    for rank, (row, score) in enumerate(zip(found.rows, found.scores, strict=True), start=1):
        item = embeddings.items[row].id
        results.append({"rank": rank, "id": item, "path": path(item), "score": float(score)})
    result = {
        "query": query,
        "image": None if image is None else str(image),
        "n": len(results),
        "results": results,
        "seconds": round(seconds, 4),
    }
    lines = [f"{each['score']:.4f}\t{printable(each['id'])}" for each in results]
    session.finish(result, "\n".join(lines))


def _check_words(embed_options: EmbedArguments) -> None:
    """Refuse a backbone without a text tower before the embedding, which may take long."""
    from ..embedding.texts import check_text_tower

    check_text_tower(embed_options)
