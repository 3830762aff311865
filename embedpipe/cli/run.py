"""Commands ``demo`` and ``run``."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._options import DatasetOptions, ImbalanceOptions, LoopFields
from .label_log import LOG, KnownLabels, with_true_labels
from .options import DatasetWithLabels, EmbedArguments, Index, OpenPage, TargetName, Tracking
from .session import Session
from .strategy_checks import check_texts
from .target import target_facts, target_of, transductive

if TYPE_CHECKING:
    from ..active import ActiveLoop, LoopOptions, Problem
    from ..embedding import Embeddings
    from ..tracking import Tracker

__all__ = ["demo", "run"]

UPPER_BASELINE_UP_TO = 5000
"""Maximum number of items in the pool for which the report shows the upper baseline."""


def demo(
    session: Session,
    output: Annotated[Path, typer.Option(help="Folder for report.html")] = Path("demo"),
    open_page: OpenPage = False,
) -> None:
    """Show the whole workflow on handwritten digits, offline.

    Embeds 1,797 images with the bundled backbone. Chooses 100 images by core-set, then 50 images in
    each round by margin, up to 400 labels. Compares the accuracy with random selection.
    """
    from ..active import LoopOptions
    from ..embedding import embed

    started = time.monotonic()
    digits = session.load(DatasetOptions("digits"))
    with session.progress() as progress:
        embeddings = embed(digits, workspace=session.workspace, progress=progress)
    loops = _loops(
        session,
        embeddings,
        LoopOptions(strategy="margin", initial="coreset", initial_size=100),
        with_baseline=True,
    )
    report = output / "report.html"
    _run_all(session, loops, rounds=6)
    _report(loops, report, "embedpipe demo")
    records = loops[0].records
    seconds = time.monotonic() - started
    result = {
        "items": len(embeddings.dataset),
        "rounds": [record.summary() for record in records],
        "accuracy": records[-1].accuracy,
        "report": str(report),
        "seconds": round(seconds, 2),
    }
    session.finish(
        result,
        f"{records[-1].accuracy:.3f} accuracy from {records[-1].labelled} of "
        f"{len(loops[0].problem.candidates)} labels ({loops[1].records[-1].accuracy:.3f} when "
        f"chosen at random), in {seconds:.0f} s\nreport: {report}",
    )
    if open_page:
        session.open_page(report)


def run(
    session: Session,
    data: DatasetWithLabels,
    embed_options: EmbedArguments,
    loop: LoopFields,
    imbalance: ImbalanceOptions,
    tracking: Tracking,
    rounds: Annotated[int, typer.Option(help="Rounds after the first batch", min=0)] = 5,
    index: Index = "exact",
    target: TargetName = None,
    baseline: Annotated[
        bool, typer.Option(help="Also run random selection, for comparison in the report")
    ] = True,
    open_page: OpenPage = False,
) -> None:
    """Run an active-learning loop with known labels as answers.

    The answers are the labels of the label log, and the dataset's own labels of other images.
    Images without a label are left out. The accuracy is measured on the test split. After an
    interruption, the same command continues with the same picks.
    """
    from ..active import LoopOptions, Problem
    from ..active.target import check_loop_target
    from ..active.words import texts_of
    from ..experiments.problems import imbalanced
    from ..index import check_kind

    options = LoopOptions(**vars(loop))  # checked before the embedding
    check_kind(index)
    if target is not None:
        check_loop_target(options.built_initial, options.built_strategy)
    check_texts(texts_of(options.built_initial, options.built_strategy), embed_options)
    tracking_context = session.tracker(tracking.tracker)
    embeddings, known = with_true_labels(
        session, session.embed(data, embed_options, uses_classes=True)
    )
    if known.source == LOG:
        session.remark(f"The pool has only the labelled images: {known}.")
    problem = Problem.of(embeddings, loop.seed, index)
    if problem.untested is not None:
        session.remark(f"no accuracy: {problem.untested}")
    problem = imbalanced(problem, imbalance.long_tailed, imbalance.rare.items(), loop.seed)
    used_in = target_of(session, embeddings.for_seed(loop.seed), target, embed_options)
    if used_in is not None:
        problem = problem.with_target(used_in)
    loops = _loops(session, problem, options, with_baseline=baseline)
    with tracking_context as tracker:
        _run_all(session, loops, rounds, tracker)
    folder = loops[0].folder()
    assert folder is not None
    report = _report(loops, folder.path / "report.html", session.typed)
    shown = sys.stderr.isatty() and sys.stdout.isatty() and not session.common.quiet
    session.finish(
        _result(loops[0], known, report), _text(loops[0], rounds, report, with_rounds=not shown)
    )
    if open_page:
        session.open_page(report)


def _result(loop: ActiveLoop, known: KnownLabels, report: Path) -> dict[str, Any]:
    from ..active import area_under_budget_curve

    tested = [r for r in loop.records if r.accuracy is not None]
    accuracies = [r.accuracy for r in tested if r.accuracy is not None]
    return {
        "run_id": loop.run_id(),
        "rounds": [record.summary() for record in loop.records],
        "aubc": area_under_budget_curve([r.labelled for r in tested], accuracies)
        if tested
        else None,
        "copies_left_out": loop.problem.copies_left_out,
        **target_facts(loop.problem.target, loop.problem.test_items_in_target),
        **known.facts(),
        "report": str(report),
    }


def _text(loop: ActiveLoop, rounds: int, report: Path, *, with_rounds: bool) -> str:
    from ..reports.loop_report import advice_of

    last = loop.records[-1]
    lines = [str(record) for record in loop.records] if with_rounds else []
    if last.round < rounds:
        lines.append(
            f"stopped after round {last.round}: no items are left for {loop.strategy} to choose"
        )
    left_out = loop.problem.copies_left_out
    if left_out:
        lines.append(f"copies of test images left out: {left_out:,}")
    lines += transductive(loop.problem.target, loop.problem.test_items_in_target)
    advice = advice_of(loop)
    if advice is not None:
        lines.append(advice)
    return "\n".join([*lines, f"report: {report}"])


def _loops(
    session: Session,
    problem: Embeddings | Problem,
    options: LoopOptions,
    *,
    with_baseline: bool,
) -> list[ActiveLoop]:
    """Return the loop, and with `with_baseline` the same loop with random selection."""
    from ..active import ActiveLoop

    random = replace(options, strategy="random", initial="random")
    all_options = [options, random] if with_baseline and random != options else [options]
    return [ActiveLoop(problem, workspace=session.workspace, options=each) for each in all_options]


def _run_all(
    session: Session, loops: list[ActiveLoop], rounds: int, tracker: Tracker | None = None
) -> None:
    total = len(loops) * (rounds + 1)
    with session.rounds() as update:
        for number, loop in enumerate(loops):
            session.remark(f"{loop.initial}, then {loop.strategy}")
            for record in loop.run(rounds):
                update(number * (rounds + 1) + record.round + 1, total, str(record))
                if tracker is not None:
                    tracker(loop, record)


def _report(loops: list[ActiveLoop], path: Path, command_line: str) -> Path:
    from ..reports import report_of, write_report

    small = len(loops[0].problem.candidates) <= UPPER_BASELINE_UP_TO
    data = report_of(
        loops[:1],
        baseline=loops[1] if len(loops) > 1 else None,
        upper_baseline=loops[0].upper_baseline() if small else None,
        command=command_line,
    )
    return write_report(path, data)
