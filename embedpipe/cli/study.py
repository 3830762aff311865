"""The common part of ``compare`` and ``replay``: they run a study and write a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .._options import ADDRESS, ExperimentFields, ReplayFields, option
from ..errors import RunError
from .options import Tracking
from .session import Session

if TYPE_CHECKING:
    from ..experiments import ReplayResults, Results
    from ..experiments.tables import Tabular

__all__ = ["StudyArguments", "StudyRun"]


Fields = TypeVar("Fields", ExperimentFields, ReplayFields)
R = TypeVar("R", "Results", "ReplayResults")


@dataclass(frozen=True)
class StudyArguments(Tracking):
    """Options for running a study and writing its report."""

    seed_offset: int = option(0, "The first seed", min=0)
    workers: int | None = option(
        None,
        "Number of worker processes; it does not change the results [default: the number of "
        "processors of the machine or the cluster]",
        min=0,
    )
    executor: str = option(
        "local", "local (processes of this machine), or ray (the workers of a Ray cluster)"
    )
    address: str | None = option(None, ADDRESS)
    output: Path | None = option(
        None, "File of the report [default: report.html in the results folder]"
    )
    figure: Path | None = option(None, "Also write a figure to a .pdf, .svg or .png file")
    figure_width: str = option(
        "double", "Width of the figure: single (3.3 inches) or double (6.9 inches) column"
    )
    table: Path | None = option(
        None, "Also write the statistics to a .tex (LaTeX), .md (Markdown) or .csv file"
    )

    def with_seeds(self, study: Fields) -> Fields:
        """Return the options of a study with its seeds as a range from the offset."""
        assert isinstance(study.seeds, int)
        return replace(study, seeds=range(self.seed_offset, self.seed_offset + study.seeds))


class StudyRun:
    """One run of a study by a command; the constructor refuses wrong options.

    `kind` is the kind of the figure, one of the keys of `kinds`.
    """

    def __init__(
        self, session: Session, options: StudyArguments, kind: str, kinds: Mapping[str, str]
    ) -> None:
        from ..experiments.tables import check_table
        from ..reports import check_figure

        check_figure(options.figure or "figure.pdf", kind, options.figure_width, kinds)
        if options.table is not None:
            check_table(options.table)
        self._session, self._options = session, options
        self._tracker = session.tracker(options.tracker)
        self._started = time.monotonic()

    def run(self, run: Callable[..., R]) -> R:
        """Call the method ``run`` of a study, show its progress, and return the results."""
        session = self._session
        with self._tracker as tracker, session.counting() as update:
            results = run(
                workers=self._options.workers,
                progress=lambda now: update(now.rounds, now.of_rounds, str(now)),
                on_run=None if tracker is None else tracker.log_run,
                executor=self._options.executor,
                address=self._options.address,
            )
        if session.common.debug:
            for failure in results.failures:
                session.remark(failure.trace)
        return results

    def folder(self, results: Results | ReplayResults) -> Path:
        """Return the folder of the results."""
        assert results.folder is not None  # the results are written
        return results.folder

    def report(self, results: Results | ReplayResults) -> Path:
        """Return the file of the report."""
        return self._options.output or self.folder(results) / "report.html"

    def finish(
        self, results: Results | ReplayResults, result: dict[str, Any], summary: Tabular
    ) -> None:
        """Write the table and the result, and raise an error if tasks failed."""
        if self._options.table is not None:
            summary.write_table(self._options.table)
        failures = results.failures
        result |= {"seconds": round(time.monotonic() - self._started, 2)}
        text = f"{summary}\n\nresults: {result['results']}\nreport: {result['report']}"
        self._session.finish(result, text)
        if failures:
            count = len(failures)
            raise RunError(
                f"{count} task{'s' if count > 1 else ''} failed; {failures[0]}. The other "
                "tasks are done; run the same command again to retry."
            )
