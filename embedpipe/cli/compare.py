"""Command ``compare``."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .._options import (
    RAY_OPTIONS,
    DatasetOptions,
    EmbedOptions,
    ExperimentFields,
    ImbalanceOptions,
    OracleOptions,
)
from ..errors import UsageError
from .label_log import with_true_labels
from .options import Embed, EmbedArguments
from .output import print_error
from .parameters import Use
from .session import Session
from .strategy_checks import check_texts
from .study import StudyArguments, StudyRun
from .target import target_of

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
    target_share: Annotated[
        float,
        typer.Option(
            help="Report the number of labels needed for this share of the accuracy with all labels"
        ),
    ] = 0.95,
    accuracy: Annotated[
        float | None,
        typer.Option(
            help="Report the number of labels needed for this accuracy, instead of --target-share",
            show_default=False,
        ),
    ] = None,
    figure_kind: Annotated[
        str,
        typer.Option(
            help="Content of the figure: curves, rounds (differences in each round), differences "
            "(of the mean accuracies), labels (to the target) or wins (over several datasets)"
        ),
    ] = "curves",
    palette: Annotated[
        str | None,
        typer.Option(
            help="Colours of the strategies in the report and the figure: names with colours "
            "(margin=#d62728,random=grey), a .yaml file of them, or a palette of plotly (Set2)",
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
    from ..reports.figures import KINDS
    from ..reports.palettes import read_palette

    experiment, target_share = _with_old_target(session, experiment, target_share)
    check_target(target_share, accuracy)
    colours = None if palette is None else read_palette(palette)
    study = StudyRun(session, run_options, figure_kind, KINDS)
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
    # Wrong options end the command before the embedding.
    texts = Experiment.check(**options).texts
    for backbone in grid.backbones or [grid.embed.backbone]:
        check_texts(texts, replace(grid.embed, backbone=backbone))

    def opened(entry: DatasetEntry, backbone: str) -> Embeddings:
        changes = {"backbone": backbone, "max_failures": embed_options.max_failures}
        if run_options.executor != "local":
            changes |= {"executor": run_options.executor, "address": run_options.address}
        embeddings = session.embed(
            entry, Embed(**{**vars(grid.embed), **changes}), uses_classes=True
        )
        return with_true_labels(session, embeddings)[0]

    given = grid.experiment.target
    if given is not None:
        options = {
            **options,
            "target": lambda embeddings: target_of(session, embeddings, given, embed_options),
        }
    problems = grid.problems(opened)
    results = study.run(Experiment(problems, workspace=session.workspace, **options).run)
    summary = results.summary(target_share, accuracy=accuracy)
    report = study.report(results)
    compared = comparison_of(results, summary, command=session.typed)
    if isinstance(colours, dict):  # a file can be shared by several studies
        shown = {row.name for group in compared.groups for row in group.rows}
        for name in colours.keys() - shown:
            session.remark(f"the palette has a colour for {name}, which is not in this study.")
        colours = {name: colour for name, colour in colours.items() if name in shown}
    write_comparison(report, compared, palette=colours)
    if run_options.figure is not None:
        write_figure(
            results,
            run_options.figure,
            kind=figure_kind,
            width=run_options.figure_width,
            palette=colours,
            summary=summary,
        )
    result = {
        "summary": summary.to_json(),
        "headline": ". ".join(filter(None, summary.headline)),
        "results": str(study.folder(results) / "results.parquet"),
        "report": str(report),
        "runs": len(set(results.table.column("run_id").to_pylist())),
        "failures": [str(failure) for failure in results.failures],
        **session.failed_images(),
    }
    study.finish(results, result, summary)


def _with_old_target(
    session: Session, experiment: ExperimentFields, share: float
) -> tuple[ExperimentFields, float]:
    """Return the options; a number as target has its old meaning, that of ``--target-share``."""
    try:
        number = float(experiment.target)
    except (TypeError, ValueError):
        return experiment, share
    if Path(experiment.target).exists():
        return experiment, share
    if not session.common.quiet:
        print_error(
            f"`--target {experiment.target}` is now `--target-share {experiment.target}`; the next "
            "version will not accept the old name."
        )
    return replace(experiment, target=None), number


KEYS_IN_FILE = {
    **{each.name: each.name for each in (*fields(DatasetOptions), *fields(ImbalanceOptions))},
    **{each.name: f"embed: {each.name}" for each in fields(EmbedOptions)},
    "backbone": "backbone",
}
"""Options that cannot be typed with a grid file, and the keys that set them in the file."""
for _name in ("dataset", "require_cached", *RAY_OPTIONS):
    del KEYS_IN_FILE[_name]

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
