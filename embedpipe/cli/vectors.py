"""Command ``import-vectors``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .._options import DatasetOptions
from ..errors import UsageError
from .options import Embed
from .session import Session, failures_of

__all__ = ["import_vectors"]


def import_vectors(
    session: Session,
    data: DatasetOptions,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Vectors of the images: a .npy file with a file of paths, .npz, .parquet, "
            "Lightly's .csv or .lance",
            show_default=False,
        ),
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option(help="The same as FILE", metavar="FILE", show_default=False)
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the vectors, for --backbone imported:NAME. Files with vectors of the "
            "same encoder can have the same name [default: from the file]",
            show_default=False,
        ),
    ] = None,
    paths: Annotated[
        Path | None,
        typer.Option(
            help="For .npy and .npz: file with the path of each vector, as lines of .txt, a list "
            "in .json, or the column `path` of .csv, .jsonl or .parquet [default: the file beside "
            "the .npy file with the same name]",
            show_default=False,
        ),
    ] = None,
    skip_unknown: Annotated[
        bool,
        typer.Option("--skip-unknown", help="Leave out vectors of images not in the dataset"),
    ] = False,
) -> None:
    """Import vectors that another program computed. After an error, no vector is imported.

    Then all commands use them with --backbone imported:NAME. Images without a vector are listed.
    An import that was interrupted is completed by the same command.
    """
    from ..embedding.imported_names import IMPORTED, spec_name
    from ..embedding.vector_files import VectorSource

    given = [each for each in (file, vectors) if each is not None]
    if len(given) != 1:
        raise UsageError(f"give one file of vectors; got {len(given)}.")
    source = VectorSource(given[0].expanduser(), paths, skip_unknown=skip_unknown, again=True)
    options = Embed(vectors=source)
    if name is not None:
        options = Embed(backbone=IMPORTED + name, vectors=source)
    embeddings = session.embed(data, options, again=True)
    report, backbone = embeddings.report, IMPORTED + str(spec_name(embeddings.spec))
    result = {
        "dataset": report.dataset,
        "backbone": backbone,
        "spec_id": report.spec_id,
        "items": report.items,
        "embedded": report.embedded,
        "reused": report.reused,
        "failed": report.failed,
        "failures": failures_of([embeddings]),
        "dim": report.dim,
        "notes": report.notes,
        "seconds": report.seconds,
    }
    session.finish(
        result,
        f"{backbone}: {report.items} items of {report.dataset}, {report.embedded} imported, "
        f"{report.reused} stored before or copies, {report.failed} without a vector; "
        f"{report.dim} dimensions",
    )
