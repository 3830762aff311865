"""Command ``replay``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._specs import split_specs
from ..errors import UnknownNameError, UsageError
from .options import DatasetChoice, EmbedChoice, TrackerChoice
from .session import Session, command, refuse_failures

if TYPE_CHECKING:
    from ..embedding import Embeddings
    from ..experiments.replay import ReplaySetting, ReplayStudy
    from ..experiments.replay_results import ReplayResults, ReplayRow

__all__ = ["register"]

NAMED = ("buckets", "folders")
"""Kinds of streams whose experiences the dataset names."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "replay")(replay)


@dataclass(frozen=True)
class StreamChoice:
    """What comes when."""

    stream: Annotated[
        str | None,
        typer.Option(
            help="What makes an experience: buckets, classes (some at a time), order (that of the "
            "file names, as for digits), folders (a domain each), random, or skewed (random, with "
            "other shares of the classes) [default: buckets if the dataset has them, otherwise "
            "classes]",
            show_default=False,
        ),
    ] = None
    experiences: Annotated[
        int | None,
        typer.Option(
            help="How many, for all but buckets and folders [default: two classes each, or 10]",
            show_default=False,
        ),
    ] = None
    protocol: Annotated[
        str,
        typer.Option(
            help="iid: a test set inside each experience; streaming: the next experience is the "
            "test"
        ),
    ] = "iid"
    leave_out: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Buckets or folders that are no part of the stream",
            show_default=False,
        ),
    ] = None

    def check(self) -> None:
        """Refuse what has no meaning, before anything is embedded.

        Raises
        ------
        UsageError
            If there is no such kind or protocol, or an option does not go with it.
        """
        from ..continual import KINDS, PROTOCOLS

        if self.stream is not None and self.stream not in KINDS:
            raise UnknownNameError("kind of stream", self.stream, KINDS)
        if self.protocol not in PROTOCOLS:
            raise UnknownNameError("protocol", self.protocol, PROTOCOLS)
        if self.stream is not None:
            self._check_kind(self.stream)

    def kind(self, embeddings: Embeddings) -> str:
        """Return what makes an experience of this dataset.

        Raises
        ------
        UsageError
            If an option does not go with it.
        """
        if self.stream is not None:
            return self.stream
        bucketed = any(item.bucket is not None for item in embeddings.items)
        kind = "buckets" if bucketed or self.leave_out else "classes"
        self._check_kind(kind)
        return kind

    def _check_kind(self, kind: str) -> None:
        if self.leave_out and kind not in NAMED:
            raise UsageError(
                f"--leave-out {self.leave_out}: it names buckets or folders, and a stream of kind "
                f"{kind!r} has none."
            )
        if self.experiences is not None and kind in NAMED:
            raise UsageError(
                f"--experiences {self.experiences}: a stream of {kind} has as many as there are; "
                "leave it out, or ask for another kind of stream."
            )


@dataclass(frozen=True)
class StudyChoice:
    """How the stream is learned."""

    policy: Annotated[
        str,
        typer.Option(
            help="What the buffer keeps, separated by commas: 'el2n,margin(take=easiest)', see "
            "`embedpipe list policies`; none: no buffer"
        ),
    ] = "random"
    retain: Annotated[
        str,
        typer.Option(
            help="How much of it, separated by commas: 0.05 is a share of each experience, 500 "
            "rows in all"
        ),
    ] = "0.05"
    head: Annotated[
        str,
        typer.Option(
            help='Separated by commas, see `embedpipe list heads`; with options: "mlp(hidden=64)"'
        ),
    ] = "logistic"
    bounds: Annotated[
        str,
        typer.Option(
            help="What else is learned, separated by commas: naive (no buffer), cumulative (a "
            "fresh head from all so far), joint (all at once); '' for nothing"
        ),
    ] = "naive,joint"
    baseline: Annotated[str, typer.Option(help="The policy that the others are compared with")] = (
        "random"
    )
    seeds: Annotated[int, typer.Option(help="How many", min=1)] = 5
    first_seed: Annotated[int, typer.Option(help="The first of them", min=0)] = 0
    mix: Annotated[
        str,
        typer.Option(
            help="concatenated: every row counts alike; balanced: the buffer counts as much as "
            "the new rows"
        ),
    ] = "concatenated"
    budget: Annotated[
        int | None,
        typer.Option(
            help="Label only so many rows of each experience [default: all]",
            min=1,
            show_default=False,
        ),
    ] = None
    strategy: Annotated[str, typer.Option(help="What chooses them")] = "margin"

    @property
    def policies(self) -> list[str]:
        """The policies that were asked for."""
        return split_specs(self.policy)

    def options(self) -> dict[str, Any]:
        """Return what was asked for, as `ReplayStudy` takes it; checked as far as it can be.

        Raises
        ------
        UsageError
            If something is not known by its name, or cannot be read.
        """
        from ..continual import MIXES, NO_BUFFER, get_policy
        from ..experiments.replay import BOUNDS
        from ..heads import get_head
        from ..strategies import get_strategy

        for option in ("policy", "retain", "head"):
            if not split_specs(getattr(self, option)):
                raise UsageError(f"--{option} is empty: give one, or several with commas.")
        policies = [name for name in self.policies if name != NO_BUFFER]
        heads, bounds = split_specs(self.head), split_specs(self.bounds)
        for name in (*policies, self.baseline):
            get_policy(name)
        for name in heads:
            get_head(name)
        for name in bounds:
            if name not in BOUNDS:
                raise UnknownNameError("bound", name, BOUNDS)
        if self.mix not in MIXES:
            raise UnknownNameError("mix", self.mix, MIXES)
        get_strategy(self.strategy)
        return {
            "policies": self.policies,
            "retains": [size_from(text) for text in split_specs(self.retain)],
            "heads": heads,
            "bounds": bounds,
            "seeds": list(range(self.first_seed, self.first_seed + self.seeds)),
            "mix": self.mix,
            "budget": self.budget,
            "strategy": self.strategy,
            "baseline": self.baseline,
        }


def replay(
    session: Session,
    where: DatasetChoice,
    how: EmbedChoice,
    coming: StreamChoice,
    learning: StudyChoice,
    tracking: TrackerChoice,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes at work at once; the results are the same [default: one for each "
            "processor]",
            min=0,
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File for the report [default: in the results]", show_default=False),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="Also draw the curves for print: .pdf, .svg or .png", show_default=False),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of the folder of the results in the workspace", show_default=False),
    ] = None,
) -> None:
    """Learn a dataset experience by experience, with a replay buffer, and see what is forgotten.

    After each experience the head is tested on all of them, which gives the accuracy matrix.
    Every run is kept: killed and run again, the command continues, and with another policy or
    more seeds it computes only what is new. The baseline is always among the policies.
    """
    from ..continual import NO_BUFFER
    from ..reports import check_figure, replay_of, write_replay, write_replay_figure

    if figure is not None:
        check_figure(figure)
    started = time.monotonic()
    kept = session.tracker(tracking)
    coming.check()
    options = {
        **learning.options(),
        "name": name,
    }  # what is misspelt is said before anything is embedded
    study = _study(session, session.embed(where, how), coming, options)
    with kept as tracker, session.counting() as tell:
        results = study.run(
            workers=workers,
            progress=lambda now: tell(now.rounds, now.of_rounds, str(now)),
            on_run=None if tracker is None else tracker.log_run,
        )
    if session.common.debug:
        for failure in results.failures:
            session.remark(failure.trace)
    summary = results.summary()
    _remark(session, results)
    assert results.folder is not None
    report = output or results.folder / "report.html"
    page = replay_of(results, summary, command=session.typed)
    write_replay(report, page)
    if figure is not None:
        write_replay_figure(figure, page)
    first = _first(results, without_buffer=learning.policies[0] == NO_BUFFER)
    result = {
        **_told(results, first),
        "report": str(report),
        "summary": [_row(row) for row in sorted(summary.rows, key=lambda r: r.setting != first)],
        "results": str(results.folder / "results.parquet"),
        "runs": results.metrics.num_rows,
        "failures": [str(failure) for failure in results.failures],
        **session.failed_images(),
        "copies_left_out": max((most for _, most in results.left_out.values()), default=0),
        "never_learned": [label for each in results.never_learned.values() for label in each],
        "seconds": round(time.monotonic() - started, 2),
    }
    session.finish(result, f"{summary}\n\nresults: {result['results']}\nreport: {report}")
    refuse_failures(results.failures)


def _study(
    session: Session, embeddings: Embeddings, choice: StreamChoice, options: dict[str, Any]
) -> ReplayStudy:
    from ..continual import Stream
    from ..experiments.replay import ReplayStudy

    kind = choice.kind(embeddings)

    def made(seed: int) -> Stream:
        return Stream.of(
            embeddings,
            kind,
            n=choice.experiences,
            leave_out=split_specs(choice.leave_out or ""),
            protocol=choice.protocol,
            seed=seed,
        )

    return ReplayStudy(made, workspace=session.workspace, **options)


def _remark(session: Session, results: ReplayResults) -> None:
    """Say what a reader of the numbers must know."""
    from ..experiments.text import told_range

    for labels in results.never_learned.values():
        session.remark(
            f"tested but never learned: {', '.join(map(str, labels))}; nobody can predict what is "
            "in no experience, so each of their test rows counts as wrong"
        )
    for name, counts in results.left_out.items():
        if counts[1]:
            what = "test images" if results.protocols[name] == "iid" else "images learned before"
            session.remark(f"{name}: copies of {what} left out: {told_range(counts)}")
    heads = dict.fromkeys(setting.head for setting in results.settings)
    replayed = {setting.head for setting in results.settings if setting.policy}
    for head in heads:
        if head not in replayed and not results.failures:
            session.remark(
                f"{head} remembers a stream exactly: it was learned without a buffer, which loses "
                "nothing"
            )


def _first(results: ReplayResults, *, without_buffer: bool) -> ReplaySetting:
    """Return the setting that was asked for first."""
    if without_buffer:
        naive = (setting for setting in results.settings if setting.method == "naive")
        return next(naive, results.settings[0])
    return results.settings[0]


def _told(results: ReplayResults, setting: ReplaySetting) -> dict[str, Any]:
    """Return the accuracy matrix and the metrics of a setting, the means over its seeds."""
    from ..continual import METRICS
    from ..experiments.summary import number

    rows = [
        row
        for row in results.metrics.to_pylist()
        if all(row[name] == value for name, value in vars(setting).items())
    ]
    means = {name: sum(row[name] for row in rows) / len(rows) for name in METRICS}
    matrix = results.matrix(setting).tolist()
    return {
        "matrix": [[number(value) for value in row] for row in matrix],
        "metrics": {name: number(value) for name, value in means.items()},
    }


def _row(row: ReplayRow) -> dict[str, Any]:
    """Return a row of the summary as JSON has it."""
    from ..experiments.summary import ends, number

    return {
        **vars(row.setting),
        "seeds": row.seeds,
        "distinct_runs": row.distinct_runs,
        "metrics": {
            name: {"mean": number(found.estimate), "ci": ends(found)}
            for name, found in row.metrics.items()
        },
        "against_baseline": {
            name: None
            if found is None
            else {
                "difference": number(found.difference),
                "ci": ends(found),
                "p_value": number(found.p),
                "p_reason": found.reason,
                "significant": found.significant(),
            }
            for name, found in row.comparisons.items()
        },
    }


def size_from(text: str) -> int | float:
    """Return the size of a buffer as `embedpipe.continual.size_of` takes it.

    Raises
    ------
    UsageError
        If it means nothing.

    Examples
    --------
    >>> size_from("0.05"), size_from("500"), size_from("1.0")
    (0.05, 500, 1.0)
    """
    from ..continual import size_of

    try:
        size = int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise UsageError(
            f"--retain {text}: give a share of each experience, such as 0.05, or a number of rows "
            "in all, such as 500."
        ) from None
    try:
        size_of(size)
    except UsageError as error:
        raise UsageError(f"--retain {text}: {error}") from None
    return size
