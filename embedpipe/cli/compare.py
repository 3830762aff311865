"""Command ``compare``."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Annotated

import typer

from .._options import (
    DatasetOptions,
    EmbedOptions,
    ExperimentFields,
    ImbalanceOptions,
    OracleOptions,
)
from ..errors import UsageError
from .label_log import with_true_labels
from .options import Embed, EmbedArguments
from .parameters import Use
from .session import Session
from .study import StudyArguments, StudyRun

if TYPE_CHECKING:
    from ..embedding import Embeddings
    from ..experiments.grid_file import DatasetEntry, GridOptions

__all__ = ["compare"]


def compare(
    session: Session,
    data: Annotated[
        DatasetOptions,
        Use(
            dataset={
                "help": "A .yaml file that describes the grid, or a dataset: a registered name, a "
                "folder, an archive or a manifest"
            }
        ),
    ],
    imbalance: ImbalanceOptions,
    embed_options: EmbedArguments,
    experiment: ExperimentFields,
    run_options: StudyArguments,
    backbones: Annotated[
        str | None,
        typer.Option(
            help="Backbones, separated by commas, instead of --backbone", show_default=False
        ),
    ] = None,
    target: Annotated[
        float,
        typer.Option(
            help="Report the number of labels needed for this share of the accuracy with all labels"
        ),
    ] = 0.95,
    accuracy: Annotated[
        float | None,
        typer.Option(
            help="Report the number of labels needed for this accuracy, instead of --target",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Compare strategies with several seeds, and test the differences for significance.

    Every run is stored, so the command continues after an interruption. With another strategy or
    more seeds, it computes only the new runs. Random selection is always included.
    """
    from .._specs import split_specs
    from ..experiments import Experiment
    from ..experiments.grid_file import DatasetEntry, GridOptions, read_grid
    from ..experiments.summary import check_target
    from ..reports import comparison_of, write_comparison, write_figure

    check_target(target, accuracy)
    study = StudyRun(session, run_options)
    experiment = run_options.with_seeds(experiment)
    name = str(data.dataset)
    if name.lower().endswith((".yaml", ".yml")):
        grid = _with_typed(session, name, read_grid(name), experiment, embed_options)
    else:
        grid = GridOptions(
            [DatasetEntry(**vars(data), **vars(imbalance))], experiment, embed_options
        )
    if backbones is not None:
        grid = replace(grid, backbones=split_specs(backbones))
    options = vars(grid.experiment)
    Experiment.check(**options)  # wrong options end the command before the embedding

    def opened(entry: DatasetEntry, backbone: str) -> Embeddings:
        changes = {"backbone": backbone, "max_failures": embed_options.max_failures}
        embeddings = session.embed(
            entry, Embed(**{**vars(grid.embed), **changes}), uses_classes=True
        )
        return with_true_labels(session, embeddings)[0]

    problems = grid.problems(opened)
    results = study.run(Experiment(problems, workspace=session.workspace, **options).run)
    summary = results.summary(target, accuracy=accuracy)
    report = study.report(results)
    write_comparison(report, comparison_of(results, summary, command=session.typed))
    if run_options.figure is not None:
        write_figure(results, run_options.figure)
    result = {
        "summary": summary.to_json(),
        "results": str(study.folder(results) / "results.parquet"),
        "report": str(report),
        "runs": len(set(results.table.column("run_id").to_pylist())),
        "failures": [str(failure) for failure in results.failures],
        **session.failed_images(),
    }
    study.finish(results, result, summary)


KEYS_IN_FILE = {
    **{each.name: each.name for each in (*fields(DatasetOptions), *fields(ImbalanceOptions))},
    **{each.name: f"embed: {each.name}" for each in fields(EmbedOptions)},
    "backbone": "backbone",
}
"""Options that cannot be typed with a grid file, and the keys that set them in the file."""
del KEYS_IN_FILE["dataset"], KEYS_IN_FILE["require_cached"]

OTHER_KEYS = {"seed_offset": "seeds", **{each.name: "labelling" for each in fields(OracleOptions)}}
"""Options whose key in a grid file differs from their name, and the keys."""


def _with_typed(
    session: Session,
    path: str,
    grid: GridOptions,
    experiment: ExperimentFields,
    embed_options: Embed,
) -> GridOptions:
    """Return the grid of a file, changed by the options on the command line.

    Options that the file sets too, or that only the file can set, are refused.
    """
    changes = {}
    for name, typed in session.given.items():
        if name in KEYS_IN_FILE:
            raise UsageError(
                f"{typed} cannot be combined with a grid file: write `{KEYS_IN_FILE[name]}` in "
                f"{path} instead."
            )
        key = OTHER_KEYS.get(name, name)
        if key in grid.given or (key == "backbones" and grid.backbones):
            raise UsageError(f"{typed} and `{key}` in {path} set the same option: give only one.")
        if hasattr(experiment, key):
            changes[key] = getattr(experiment, key)
    return replace(
        grid,
        experiment=replace(grid.experiment, **changes),
        embed=replace(
            grid.embed, require_cached=embed_options.require_cached or grid.embed.require_cached
        ),
    )
