"""Command ``replay``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._options import DatasetOptions, ReplayFields, option
from ..errors import UnknownNameError, UsageError
from .label_log import with_true_labels
from .options import EmbedArguments
from .parameters import Use
from .session import Session
from .study import StudyArguments, StudyRun

if TYPE_CHECKING:
    from ..continual import Stream
    from ..embedding import Embeddings
    from ..experiments.replay import ReplaySetting
    from ..experiments.replay_results import ReplayResults

__all__ = ["replay"]

FROM_DATASET = ("buckets", "folders")
"""Kinds of streams whose experiences are defined by the dataset."""


def sizes_from(text: str) -> list[int | float]:
    """Return the buffer sizes in a text: shares of each experience, or total numbers of rows."""
    from .._specs import split_specs

    return [_size_from(word) for word in split_specs(text)]


def _size_from(text: str) -> int | float:
    from ..continual import size_of

    try:
        size = int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise UsageError(
            f"--retain {text}: give a share of each experience, such as 0.05, or a total number of "
            "rows, such as 500."
        ) from None
    try:
        size_of(size)
    except UsageError as error:
        raise UsageError(f"--retain {text}: {error}") from None
    return size


@dataclass(frozen=True)
class StreamOptions:
    """Options of the stream."""

    stream: str | None = option(
        None,
        "Division into experiences: buckets, classes, order (of the file names), folders, random, "
        "or skewed (random, with different class shares) [default: buckets if the dataset has "
        "them, else classes]",
    )
    experiences: int | None = option(
        None,
        "Number of experiences, not for the streams buckets and folders [default: half the number "
        "of classes for the stream classes, else 10]",
    )
    protocol: str = option(
        "iid",
        "Test images. iid: a part of each experience; streaming: the next experience",
    )
    leave_out: str | None = option(
        None, "Buckets or folders to leave out of the stream", metavar="A,B"
    )

    def check(self) -> None:
        """Refuse unknown names, and options that cannot be combined."""
        from ..continual import KINDS, PROTOCOLS

        if self.stream is not None and self.stream not in KINDS:
            raise UnknownNameError("kind of stream", self.stream, KINDS)
        if self.protocol not in PROTOCOLS:
            raise UnknownNameError("protocol", self.protocol, PROTOCOLS)
        if self.stream is not None:
            self._check_kind(self.stream)

    def kind(self, embeddings: Embeddings) -> str:
        """Return the kind of stream for this dataset."""
        if self.stream is not None:
            return self.stream
        bucketed = any(item.bucket is not None for item in embeddings.items)
        kind = "buckets" if bucketed or self.leave_out else "classes"
        self._check_kind(kind)
        return kind

    def streams(self, embeddings: Embeddings) -> Callable[[int], Stream]:
        """Return a function that makes the stream of a seed."""
        from .._specs import split_specs
        from ..continual import Stream

        kind = self.kind(embeddings)

        def stream_of(seed: int) -> Stream:
            return Stream.of(
                embeddings,
                kind,
                n=self.experiences,
                leave_out=split_specs(self.leave_out or ""),
                protocol=self.protocol,
                seed=seed,
            )

        return stream_of

    def _check_kind(self, kind: str) -> None:
        if self.leave_out and kind not in FROM_DATASET:
            raise UsageError(
                f"--leave-out {self.leave_out}: a stream of kind {kind!r} has no buckets and no "
                "folders to leave out."
            )
        if self.experiences is not None and kind in FROM_DATASET:
            raise UsageError(
                f"--experiences {self.experiences}: the number of {kind} is fixed; leave the "
                "option out, or choose another kind of stream."
            )


def replay(
    session: Session,
    data: DatasetOptions,
    embed_options: EmbedArguments,
    stream: StreamOptions,
    study: Annotated[
        ReplayFields,
        Use(
            policies={"default": ("random",)},
            retains={"default": (0.05,), "read": sizes_from},
            seeds={"default": 5},
        ),
    ],
    run_options: StudyArguments,
    figure_kind: Annotated[
        str,
        typer.Option(
            help="Content of the figure: curves, rounds (differences after each experience), "
            "differences (in the first metric), forgetting, transfer, matrix or experiences (of "
            "the best policy)"
        ),
    ] = "curves",
) -> None:
    """Train on a stream of experiences with a replay buffer, and measure the forgetting.

    After each experience, the head is tested on all experiences, which gives the accuracy matrix.
    Every run is stored, so the command continues after an interruption. With another policy or more
    seeds, it computes only the new runs. The policy of --baseline is always included.
    """
    from ..continual import NO_BUFFER
    from ..experiments.replay import ReplayStudy
    from ..reports import replay_of, write_replay, write_replay_figure
    from ..reports.figures import REPLAY_KINDS

    running = StudyRun(session, run_options, figure_kind, REPLAY_KINDS)
    stream.check()
    _check(study)
    by_folder = stream.stream == "folders"
    embed_options = replace(
        embed_options, executor=run_options.executor, address=run_options.address
    )
    embeddings = session.embed(data, embed_options, uses_classes=not by_folder)
    embeddings, _ = with_true_labels(session, embeddings)
    options = vars(run_options.with_seeds(study))
    streams = stream.streams(embeddings)
    results = running.run(ReplayStudy(streams, workspace=session.workspace, **options).run)
    summary = results.summary()
    _remark(session, results)
    report = running.report(results)
    page = replay_of(results, summary, command=session.typed)
    write_replay(report, page)
    if run_options.figure is not None:
        write_replay_figure(
            run_options.figure, page, kind=figure_kind, width=run_options.figure_width
        )
    first = _first(results, without_buffer=study.policies[0] == NO_BUFFER)
    ordered = tuple(sorted(summary.rows, key=lambda row: row.setting != first))
    result = {
        **_matrix_and_metrics(results, first),
        "report": str(report),
        "summary": replace(summary, rows=ordered).to_json(),
        "results": str(running.folder(results) / "results.parquet"),
        "runs": results.metrics.num_rows,
        "failures": [str(failure) for failure in results.failures],
        **session.failed_images(),
        "pool_share": study.pool_share,
        "copies_left_out": max((most for _, most in results.left_out.values()), default=0),
        "never_learned": [label for each in results.never_learned.values() for label in each],
    }
    running.finish(results, result, summary)


def _check(study: ReplayFields) -> None:
    """Refuse wrong options and empty lists before the embedding."""
    from ..experiments.replay import ReplayOptions

    for flag, values in (
        ("policy", study.policies),
        ("retain", study.retains),
        ("head", study.heads),
    ):
        if not values:
            raise UsageError(f"--{flag} is empty: give one or more values, separated by commas.")
    ReplayOptions(**vars(study))


def _remark(session: Session, results: ReplayResults) -> None:
    """Write remarks that are needed to interpret the numbers."""
    from ..experiments.formatting import format_range

    for labels in results.never_learned.values():
        session.remark(
            f"classes without training images: {', '.join(map(str, labels))}; their test images "
            "count as wrong"
        )
    for name, counts in results.left_out.items():
        if counts[1]:
            originals = "test images" if results.protocols[name] == "iid" else "earlier images"
            session.remark(f"{name}: copies of {originals} left out: {format_range(counts)}")
    heads = dict.fromkeys(setting.head for setting in results.settings)
    replayed = {setting.head for setting in results.settings if setting.policy}
    for head in heads:
        if head not in replayed and not results.failures:
            session.remark(
                f"{head} does not forget: it needs no buffer, and was trained without one"
            )


def _first(results: ReplayResults, *, without_buffer: bool) -> ReplaySetting:
    """Return the setting of the first given policy."""
    if without_buffer:
        naive = (setting for setting in results.settings if setting.method == "naive")
        return next(naive, results.settings[0])
    return results.settings[0]


def _matrix_and_metrics(results: ReplayResults, setting: ReplaySetting) -> dict[str, Any]:
    """Return the accuracy matrix and the metrics of a setting, as means over its seeds."""
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
