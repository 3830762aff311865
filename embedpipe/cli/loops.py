"""Commands ``demo`` and ``run``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import DatasetChoice, EmbedChoice, HeadChoice, IndexChoice
from .session import Session, command

if TYPE_CHECKING:
    from ..active import ActiveLoop
    from ..embedding import Embeddings

__all__ = ["register"]

UPPER_BOUND_UP_TO = 5000
"""Items in the pool up to which the report also shows the accuracy with all their labels."""


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    command(app, "demo")(demo)
    command(app, "run")(run)


def demo(
    session: Session,
    output: Annotated[Path, typer.Option(help="Folder for report.html")] = Path("demo"),
) -> None:
    """Do the main job on handwritten digits, offline.

    Embeds 1,797 images with the bundled backbone, chooses 100 by core-set, then 50 a round by
    margin up to 400 labels, and compares with choosing at random.
    """
    started = time.monotonic()
    embeddings = session.embed(DatasetChoice("digits"), EmbedChoice())
    loops = _loops(
        session,
        embeddings,
        {"strategy": "margin", "initial": "coreset", "initial_size": 100},
        with_baseline=True,
    )
    report = output / "report.html"
    _run_all(session, loops, rounds=6, batch_size=50)
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
        f"they are chosen at random), in {seconds:.0f} s\nreport: {report}",
    )


def run(
    session: Session,
    where: DatasetChoice,
    how: EmbedChoice,
    head: HeadChoice,
    search: IndexChoice,
    initial: Annotated[str, typer.Option(help="Strategy of the first batch")] = "coreset",
    strategy: Annotated[str, typer.Option(help="Strategy of every further batch")] = "margin",
    initial_size: Annotated[int, typer.Option(help="Items in the first batch", min=1)] = 50,
    batch_size: Annotated[int, typer.Option(help="Items in every further batch", min=1)] = 50,
    rounds: Annotated[int, typer.Option(help="Rounds after the first batch", min=0)] = 5,
    mode: Annotated[str, typer.Option(help="cumulative: fit to all labels so far")] = "cumulative",
    seed: Annotated[int, typer.Option(help="The same seed gives the same picks", min=0)] = 0,
    baseline: Annotated[
        bool, typer.Option(help="Also run random choice, to compare with in the report")
    ] = True,
) -> None:
    """Run an active-learning loop against the dataset's own labels.

    The accuracy is that on the test split, which is used for nothing else. Killed and run again,
    it continues with the same picks.
    """
    from ..active import area_under_budget_curve
    from ..heads import heads
    from ..index import check_kind
    from ..strategies import get_strategy

    get_strategy(initial), get_strategy(strategy), heads[head.head]
    check_kind(search.index)
    embeddings = session.embed(where, how)
    options = {
        "strategy": strategy,
        "initial": initial,
        "initial_size": initial_size,
        "head": head.head,
        "seed": seed,
        "mode": mode,
        "index": search.index,
    }
    loops = _loops(session, embeddings, options, with_baseline=baseline)
    _run_all(session, loops, rounds, batch_size)
    records = loops[0].records
    folder = loops[0].folder(batch_size)
    assert folder is not None
    report = _report(loops, folder.path / "report.html", session.typed)
    accuracies = [record.accuracy for record in records if record.accuracy is not None]
    result = {
        "run_id": loops[0].run_id(batch_size),
        "rounds": [record.summary() for record in records],
        "aubc": area_under_budget_curve([r.labelled for r in records], accuracies)
        if accuracies
        else None,
        "report": str(report),
    }
    told = sys.stderr.isatty() and sys.stdout.isatty() and not session.common.quiet
    lines = [] if told else [str(record) for record in records]
    if records[-1].round < rounds:
        lines.append(
            f"stopped after round {records[-1].round}: nothing is left that {strategy} may choose"
        )
    session.finish(result, "\n".join([*lines, f"report: {report}"]))


def _loops(
    session: Session,
    embeddings: Embeddings,
    options: dict[str, Any],
    *,
    with_baseline: bool,
) -> list[ActiveLoop]:
    """Return the loop that was asked for and, if wanted, the same with random choice."""
    from ..active import ActiveLoop

    random = {"strategy": "random", "initial": "random"}
    wanted = [options]
    if with_baseline and {**options, **random} != options:
        wanted.append({**options, **random})
    return [ActiveLoop(embeddings, workspace=session.workspace, **each) for each in wanted]


def _run_all(session: Session, loops: list[ActiveLoop], rounds: int, batch_size: int) -> None:
    for loop in loops:
        session.remark(f"{loop.initial}, then {loop.strategy}")
        for record in loop.run(rounds=rounds, batch_size=batch_size):
            session.remark(f"  {record}")


def _report(loops: list[ActiveLoop], path: Path, command_line: str) -> Path:
    from ..reports import report_of, write_report

    small = len(loops[0].problem.candidates) <= UPPER_BOUND_UP_TO
    data = report_of(
        loops[:1],
        baseline=loops[1] if len(loops) > 1 else None,
        upper_bound=loops[0].upper_bound() if small else None,
        command=command_line,
    )
    return write_report(path, data)
