"""The common part of ``compare`` and ``replay``: they run a study and write a report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .._options import ExperimentFields, ReplayFields, option
from ..errors import RunError
from .options import Tracking
from .session import Session

if TYPE_CHECKING:
    from ..experiments import ReplayResults, Results

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
        "processors]",
        min=0,
    )
    output: Path | None = option(
        None, "File of the report [default: report.html in the results folder]"
    )
    figure: Path | None = option(None, "Also write the curves to a .pdf, .svg or .png file")

    def with_seeds(self, study: Fields) -> Fields:
        """Return the options of a study with its seeds as a range from the offset."""
        assert isinstance(study.seeds, int)
        return replace(study, seeds=range(self.seed_offset, self.seed_offset + study.seeds))


class StudyRun:
    """One run of a study by a command; the constructor refuses wrong options."""

    def __init__(self, session: Session, options: StudyArguments) -> None:
        from ..reports import check_figure

        if options.figure is not None:
            check_figure(options.figure)
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
        self, results: Results | ReplayResults, result: dict[str, Any], summary: object
    ) -> None:
        """Write the result, and raise an error if tasks failed."""
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
