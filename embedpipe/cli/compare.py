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
from .options import Embed, EmbedArguments
from .parameters import Use
from .session import Session, command
from .study import StudyArguments, StudyRun

if TYPE_CHECKING:
    from ..embedding import Embeddings
    from ..experiments.grid_file import DatasetEntry, GridOptions

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "compare")(compare)


def compare(
    session: Session,
    where: Annotated[
        DatasetOptions,
        Use(
            dataset={
                "help": "A .yaml file that describes the grid, or what `embedpipe run` takes: a "
                "registered name, a folder, an archive or a manifest"
            }
        ),
    ],
    imbalance: ImbalanceOptions,
    how: EmbedArguments,
    experiment: ExperimentFields,
    doing: StudyArguments,
    backbones: Annotated[
        str | None,
        typer.Option(
            help="Several, separated by commas, in place of --backbone", show_default=False
        ),
    ] = None,
    target: Annotated[
        float, typer.Option(help="Count labels to this share of the accuracy with all labels")
    ] = 0.95,
    accuracy: Annotated[
        float | None, typer.Option(help="Count labels to this accuracy instead", show_default=False)
    ] = None,
) -> None:
    """Compare strategies, with as many seeds as it takes to tell them apart.

    Every cell of the grid is a run that is kept: killed and run again, the command continues, and
    with another strategy or more seeds it computes only what is new. Choosing at random is always
    among them.
    """
    from .._specs import split_specs
    from ..experiments import Experiment
    from ..experiments.grid_file import DatasetEntry, GridOptions, read_grid
    from ..experiments.summary import check_target
    from ..reports import comparison_of, write_comparison, write_figure

    check_target(target, accuracy)
    running = StudyRun(session, doing)
    experiment = doing.with_seeds(experiment)
    name = str(where.dataset)
    if name.lower().endswith((".yaml", ".yml")):
        grid = _with_typed(session, name, read_grid(name), experiment, how)
    else:
        grid = GridOptions([DatasetEntry(**vars(where), **vars(imbalance))], experiment, how)
    if backbones is not None:
        grid = replace(grid, backbones=split_specs(backbones))
    options = vars(grid.experiment)
    Experiment.check(**options)  # before anything is embedded

    def opened(entry: DatasetEntry, backbone: str) -> Embeddings:
        changes = {"backbone": backbone, "max_failures": how.max_failures}
        return session.embed(entry, Embed(**{**vars(grid.embed), **changes}))

    problems = grid.problems(opened)
    results = running.run(Experiment(problems, workspace=session.workspace, **options).run)
    summary = results.summary(target, accuracy=accuracy)
    report = running.report(results)
    write_comparison(report, comparison_of(results, summary, command=session.typed))
    if doing.figure is not None:
        write_figure(results, doing.figure)
    result = {
        "summary": summary.to_json(),
        "results": str(running.folder(results) / "results.parquet"),
        "report": str(report),
        "runs": len(set(results.table.column("run_id").to_pylist())),
        "failures": [str(failure) for failure in results.failures],
        **session.failed_images(),
    }
    running.finish(results, result, summary)


NOT_BESIDE_A_FILE = {
    **{each.name: each.name for each in (*fields(DatasetOptions), *fields(ImbalanceOptions))},
    **{each.name: f"embed: {each.name}" for each in fields(EmbedOptions)},
    "backbone": "backbone",
}
"""Where a grid file has the options that have no meaning beside one."""
del NOT_BESIDE_A_FILE["dataset"], NOT_BESIDE_A_FILE["require_cached"]

KEYS = {"seed_offset": "seeds", **{each.name: "labelling" for each in fields(OracleOptions)}}
"""The keys of a grid file for options with other names."""


def _with_typed(
    session: Session, path: str, grid: GridOptions, experiment: ExperimentFields, how: Embed
) -> GridOptions:
    """Return the grid of a file with the options that were typed beside it.

    An option that the file sets as well, or that belongs into the file, is refused.
    """
    changes = {}
    for name, typed in session.given.items():
        if name in NOT_BESIDE_A_FILE:
            raise UsageError(
                f"{typed} has no effect beside a grid file: write `{NOT_BESIDE_A_FILE[name]}` in "
                f"{path} instead."
            )
        key = KEYS.get(name, name)
        if key in grid.given or (key == "backbones" and grid.backbones):
            raise UsageError(f"{typed} and `{key}` in {path} say the same thing: give one of them.")
        if hasattr(experiment, key):
            changes[key] = getattr(experiment, key)
    return replace(
        grid,
        experiment=replace(grid.experiment, **changes),
        embed=replace(grid.embed, require_cached=how.require_cached or grid.embed.require_cached),
    )
