"""Command ``compare``."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._specs import split_specs
from ..errors import UsageError
from .loops import class_and_count
from .options import (
    DatasetChoice,
    Download,
    EmbedChoice,
    LabellingChoice,
    Source,
    ThinChoice,
    TrackerChoice,
    Within,
)
from .session import Session, command, refuse_failures

if TYPE_CHECKING:
    from ..embedding import Embeddings
    from ..experiments import Experiment, Results
    from ..experiments.grid_file import DatasetEntry, GridFile

__all__ = ["register"]

FILES = (".yaml", ".yml")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "compare")(compare)


@dataclass(frozen=True)
class GridChoice:
    """What is combined with what; what is not given is left to the grid file or the default."""

    strategies: Annotated[
        str | None,
        typer.Option(
            help="What chooses, separated by commas: 'auto,margin,combine(margin^2, diversity)' "
            "[default: auto]",
            show_default=False,
        ),
    ] = None
    initials: Annotated[
        str | None,
        typer.Option(
            help="What chooses the first batch; same: the strategy itself, or typiclust where it "
            "needs labels [default: same]",
            show_default=False,
        ),
    ] = None
    heads: Annotated[
        str | None,
        typer.Option(help="See `embedpipe list heads` [default: logistic]", show_default=False),
    ] = None
    modes: Annotated[
        str | None,
        typer.Option(
            help="How heads are trained from round to round: cumulative, half_cumulative, "
            "incremental, replay [default: cumulative]",
            show_default=False,
        ),
    ] = None
    seeds: Annotated[
        int | None, typer.Option(help="How many [default: 5]", min=1, show_default=False)
    ] = None
    first_seed: Annotated[int, typer.Option(help="The first of them", min=0)] = 0
    initial_size: Annotated[
        int | None,
        typer.Option(help="Items in the first batch [default: 50]", min=1, show_default=False),
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option(help="Items in every further batch [default: 50]", min=1, show_default=False),
    ] = None
    rounds: Annotated[
        int | None,
        typer.Option(help="Rounds after the first batch [default: 10]", min=0, show_default=False),
    ] = None
    skip: Annotated[
        int | None,
        typer.Option(
            help="Leave out so many of the top-ranked items of each query [default: 0]",
            min=0,
            show_default=False,
        ),
    ] = None
    baseline: Annotated[
        str | None,
        typer.Option(
            help="What the others are compared with [default: random]", show_default=False
        ),
    ] = None
    index: Annotated[
        str | None,
        typer.Option(
            help="How strategies find neighbours: exact, or ivf or hnsw for millions of items "
            "[default: exact]",
            show_default=False,
        ),
    ] = None
    name: Annotated[
        str | None,
        typer.Option(help="Of the folder of the results in the workspace", show_default=False),
    ] = None

    def options(self) -> dict[str, Any]:
        """Return what was given, as `Experiment` takes it."""
        given = {
            field.name: value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) is not None and field.name != "first_seed"
        }
        for several in ("strategies", "initials", "heads", "modes"):
            if several in given:
                given[several] = split_specs(given[several])
        if self.seeds is not None or self.first_seed:
            count = self.seeds or 5
            given["seeds"] = list(range(self.first_seed, self.first_seed + count))
        return given


def compare(
    session: Session,
    dataset: Annotated[
        str,
        typer.Argument(
            help="A .yaml file that describes the grid, or what `embedpipe run` takes: a "
            "registered name, a folder, an archive or a manifest",
            show_default=False,
        ),
    ],
    how: EmbedChoice,
    grid: GridChoice,
    answering: LabellingChoice,
    thinning: ThinChoice,
    tracking: TrackerChoice,
    source: Source = None,
    download: Download = False,
    within: Within = None,
    backbones: Annotated[
        str | None,
        typer.Option(
            help="Several, separated by commas, in place of --backbone", show_default=False
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes at work at once; the results are the same [default: one for each "
            "processor]",
            min=0,
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        float, typer.Option(help="Count labels to this share of the accuracy with all labels")
    ] = 0.95,
    accuracy: Annotated[
        float | None, typer.Option(help="Count labels to this accuracy instead", show_default=False)
    ] = None,
    bound: Annotated[
        bool, typer.Option(help="Find the accuracy with all labels, by one fit to the whole pool")
    ] = True,
    output: Annotated[
        Path | None,
        typer.Option(help="File for the report [default: in the results]", show_default=False),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="Also draw the curves for print: .pdf, .svg or .png", show_default=False),
    ] = None,
) -> None:
    """Compare strategies, with as many seeds as it takes to tell them apart.

    Every cell of the grid is a run that is kept: killed and run again, the command continues, and
    with another strategy or more seeds it computes only what is new. Choosing at random is always
    among them.
    """
    from ..experiments.grid_file import DatasetEntry, GridFile, read_grid
    from ..experiments.summary import check_target
    from ..reports import check_figure

    check_target(target, accuracy)
    if figure is not None:
        check_figure(figure)
    kept = session.tracker(tracking)
    started = time.monotonic()
    options = {**grid.options(), **_labelling(answering)}
    options |= {} if bound else {"upper_bound": False}
    if dataset.lower().endswith(FILES):
        said = read_grid(dataset)
        _refuse_twice(session, dataset, said)
        if how.require_cached:
            said = dataclasses.replace(said, embed={**said.embed, "require_cached": True})
    else:
        rare = dict(class_and_count(text) for text in thinning.rare)
        entry = DatasetEntry(
            dataset,
            source,
            download,
            long_tailed=thinning.long_tailed,
            rare=rare,
            within=None if within is None else str(within),
        )
        embedding = how.options()
        said = GridFile((entry,), (embedding.pop("backbone"),), embedding, {})
    if backbones:
        said = dataclasses.replace(said, backbones=tuple(split_specs(backbones)))
    experiment = _experiment(session, said, how.max_failures, options)
    with kept as tracker, session.counting() as tell:
        results = experiment.run(
            workers=workers,
            progress=lambda now: tell(now.rounds, now.of_rounds, str(now)),
            on_run=None if tracker is None else tracker.log_run,
        )
    if session.common.debug:
        for failure in results.failures:
            session.remark(failure.trace)
    summary = results.summary(target, accuracy=accuracy)
    _finish(session, results, summary, output, figure, time.monotonic() - started)


def _experiment(
    session: Session, grid: GridFile, limit: str | None, changes: dict[str, Any]
) -> Experiment:
    from ..experiments import Experiment

    options = {**grid.options, **changes}
    Experiment.check(**options)

    def opened(entry: DatasetEntry, backbone: str) -> Embeddings:
        choice = DatasetChoice(
            entry.dataset,
            entry.source,
            entry.download,
            None if entry.within is None else Path(entry.within),
        )
        return session.embed(
            choice, EmbedChoice(backbone=backbone, max_failures=limit, **grid.embed)
        )

    index = options.get("index", "exact")
    problems = grid.problems(opened, index)
    return Experiment(problems, workspace=session.workspace, **options)


NOT_WITH_A_FILE = {
    "source": "source", "download": "download", "long_tailed": "long_tailed", "rare": "rare",
    "within": "within", "weights": "embed: weights", "precision": "embed: precision",
    "runtime": "embed: runtime", "scaled_decode": "embed: scaled_decode", "backbone": "backbone",
}  # fmt: skip
"""Options that a grid file has a place for and that have no meaning beside one."""

IN_A_FILE = {
    **{name: name for name in ("strategies", "initials", "heads", "modes", "seeds")},
    **{name: name for name in ("initial_size", "batch_size", "rounds", "skip", "baseline")},
    **{name: name for name in ("index", "name")},
    "first_seed": "seeds", "bound": "upper_bound",
    "noise": "labelling", "noise_kind": "labelling", "abstain": "labelling",
}  # fmt: skip
"""The key of a grid file that says the same as an option."""


def _refuse_twice(session: Session, path: str, grid: GridFile) -> None:
    """Refuse options that a grid file sets as well, or that it would ignore.

    Raises
    ------
    UsageError
        With the option and the key of the file.
    """
    for name, typed in session.given.items():
        if name in NOT_WITH_A_FILE:
            raise UsageError(
                f"{typed} has no effect beside a grid file: write `{NOT_WITH_A_FILE[name]}` in "
                f"{path} instead."
            )
        key = IN_A_FILE.get(name)
        if key in grid.options or (name == "backbones" and grid.names_backbones):
            raise UsageError(
                f"{typed} and `{key or 'backbones'}` in {path} say the same thing: give one of "
                "them."
            )


def _labelling(choice: LabellingChoice) -> dict[str, Any]:
    """Return how the labeller behaves, if that was given."""
    from ..active import Labelling

    if choice == LabellingChoice():
        return {}
    return {"labelling": Labelling(choice.noise, choice.noise_kind, choice.abstain)}


def _finish(
    session: Session,
    results: Results,
    summary: Any,
    output: Path | None,
    figure: Path | None,
    seconds: float,
) -> None:
    from ..reports import comparison_of, write_comparison, write_figure

    assert results.folder is not None
    report = output or results.folder / "report.html"
    write_comparison(report, comparison_of(results, summary, command=session.typed))
    if figure is not None:
        write_figure(results, figure)
    result = {
        "summary": summary.to_json(),
        "results": str(results.folder / "results.parquet"),
        "report": str(report),
        "runs": len(set(results.table.column("run_id").to_pylist())),
        "failures": [str(failure) for failure in results.failures],
        **session.failed_images(),
        "seconds": round(seconds, 2),
    }
    session.finish(result, f"{summary}\n\nresults: {result['results']}\nreport: {report}")
    refuse_failures(results.failures)
