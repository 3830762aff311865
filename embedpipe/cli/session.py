"""One run of a command: its dataset, output and progress; and the registration of commands."""

from __future__ import annotations

import contextlib
import inspect
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import typer
import typer.core

from .. import _workspace
from .._options import ASK, DatasetOptions
from .._registry import import_extensions
from .._text import printable, sentence_about
from .._urls import public_word
from ..errors import UsageError
from .folder_labels import FolderAnswers
from .image_lists import expanded
from .options import Common, Embed, FailureLimit
from .output import TOO_MANY_FAILURES, Output, ending, print_error
from .parameters import KEYWORD, Parameters
from .progress import Log, bars, one_bar
from .shown_remarks import ShownRemarks

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..embedding import Embeddings
    from ..embedding.scan import Scan
    from ..tracking import Tracker
    from .label_finding import FoundLabels

__all__ = ["Session", "add_command", "failures_of"]

MAX_NAMED = 5
"""Maximum number of failures that standard error names; JSON contains all."""


class Session:
    """One run of a command; `given` are the options on the command line, from `_typed_options`."""

    def __init__(self, common: Common, output: Output, given: Mapping[str, str]) -> None:
        self.common, self.given = common, given
        self.workspace = _workspace.Workspace(common.workspace)
        if str(self.workspace).startswith("memory://"):
            raise UsageError(
                f"the workspace '{self.workspace}' is in memory, and would be lost at the end of "
                "the command: give a folder, or an address such as s3://bucket/workspace."
            )
        self._scans: dict[str, Scan] = {}  # by dataset
        self._is_located = False
        self.refused_labels = False
        """Whether the user refused labels of the same images under another name."""
        self.typed = printable(shlex.join(["embedpipe", *map(public_word, sys.argv[1:])]))
        self._notes: list[str] = []  # remarks on the dataset that are not written yet
        self._folder_answers = FolderAnswers(self._notes.append, may_ask=not common.json)
        self._output = output
        self._failures: list[dict[str, Any]] = []
        self._exceeded: str | None = None

    @property
    def has_default_workspace(self) -> bool:
        """Whether neither an option nor the environment names a workspace."""
        return self.common.workspace is None and not os.environ.get(_workspace.VARIABLE)

    def load(self, data: DatasetOptions, *, uses_classes: bool = False) -> Dataset:
        """Load a dataset; for the first dataset of the command, find the workspace and the labels.

        A command that `uses_classes` asks about doubtful folder names.
        """
        dataset = self._load(data)
        if not self._is_located:
            from .label_finding import locate

            self._is_located = True
            locate(self, dataset, data)
            if self.has_default_workspace:
                self.remark(f"workspace: {self.workspace.root}")
        return self._folder_answers.apply(
            self.workspace, dataset, data.folder_labels, asks=uses_classes
        )

    def _load(self, data: DatasetOptions) -> Dataset:
        from ..datasets import load_dataset
        from ..datasets.load import name_conflict

        dataset = data.dataset if isinstance(data.dataset, str) else expanded(data.dataset)
        for name in [dataset] if isinstance(dataset, str) else dataset:
            conflict = name_conflict(name)
            if conflict is not None:
                self.remark(conflict)
        with self.progress() as progress:

            def update(done: int, total: int | None) -> None:
                if progress is not None:
                    progress("download", done, total or 0)

            return load_dataset(
                dataset,
                source=data.source,
                download=data.download,
                directory=self.workspace.downloads,
                progress=update,
                within=data.within,
                folder_labels=None if data.folder_labels == ASK else data.folder_labels,
                every=data.every,
            )

    def scan(self, dataset: Dataset, *, store: bool = True) -> Scan:
        """Return the content ids of the items; without `store`, no workspace is created."""
        from ..embedding.scan import scan

        store = store or self.workspace.exists()
        earlier = self._scans.get(dataset.name)
        with self.progress() as progress:
            found = scan(dataset, self.workspace, progress, earlier=earlier, store=store)
        self._scans[dataset.name] = found
        return found

    def embed(
        self,
        data: DatasetOptions | Dataset,
        embed_options: Embed,
        *,
        uses_classes: bool = False,
        again: bool = False,
    ) -> Embeddings:
        """Embed a dataset, and report its failures.

        If `data` are options, their dataset is loaded first. See `load` for `uses_classes`. With
        `again`, remarks that earlier commands have shown are shown again.
        """
        from ..embedding.embed import embed_scanned

        dataset = self._dataset(data, uses_classes)
        with self.progress() as progress:
            earlier = self._scans.get(dataset.name)
            embeddings = embed_scanned(dataset, self.workspace, embed_options, progress, earlier)
        self._report_on([embeddings], embed_options.max_failures, again)
        return embeddings

    def embed_each(self, data: DatasetOptions, embed_options: Embed) -> list[Embeddings]:
        """Embed a dataset with each backbone of the options; its failures are reported once."""
        from ..embedding.embed import embed_each

        dataset = self._dataset(data)
        with self.progress() as progress:
            earlier = self._scans.get(dataset.name)
            found = embed_each(dataset, self.workspace, embed_options, progress, earlier)
        self._report_on(found, embed_options.max_failures, again=True)
        return found

    def _dataset(self, data: DatasetOptions | Dataset, uses_classes: bool = False) -> Dataset:
        if isinstance(data, DatasetOptions):
            return self.load(data, uses_classes=uses_classes)
        return data

    def _report_on(
        self, found: Sequence[Embeddings], limit: FailureLimit | None, again: bool
    ) -> None:
        """Write the remarks on the embeddings of a dataset, and store their failures."""
        self._remark_on(found, again)
        self._note_failures(found, limit)
        self._folder_answers.store(self.workspace, found[0].dataset.name)

    def _remark_on(self, found: Sequence[Embeddings], again: bool) -> None:
        """Write the remarks on a dataset; without `again`, only those that are new."""
        from ..datasets.layout import remedy_for

        dataset, reports = found[0].dataset, [each.report for each in found]
        place = self.workspace
        local = [f"matrices, labels and runs of {place} are in {place.root}"] if place.url else []
        notes = [
            f"skipped {count} {suffix} files: {remedy_for(suffix)}"
            for suffix, count in dataset.skipped.items()
        ]
        decisions = [note for report in reports for note in report.notes]
        failures = [failure.message for each in found for failure in each.failures]
        remarks = [sentence_about(path, text) for each in reports for path, text in each.remarks]
        kinds = (
            ([*self._notes, *local, *notes, *decisions], ""),
            (failures, "failed images"),
            (remarks, "remarks; `check --json` lists all"),
        )
        self._notes.clear()
        if self.common.quiet:
            return
        shown = ShownRemarks(self.workspace.dataset_folder(dataset.name) / "shown-remarks.txt")
        for every, kind in kinds:
            texts = list(dict.fromkeys(every))
            new = texts if dataset.listed else shown.add(texts)
            listed = texts if again else new
            for text in listed[: MAX_NAMED if kind else None]:
                self.remark(printable(text))
            if kind and len(listed) > MAX_NAMED:
                self.remark(f"… and {len(listed) - MAX_NAMED} more {kind}.")

    def _note_failures(self, found: Sequence[Embeddings], limit: FailureLimit | None) -> None:
        """Store all failures for the result, and check the limit."""
        failures, known = failures_of(found), self._failures
        self._failures = [*known, *(each for each in failures if each not in known)]
        dataset, vanished = found[0].dataset, found[0].vanished
        self.remark_vanished([failure.path for failure in vanished])
        images = len({each["path"] for each in failures})
        self.check_failures(limit, images, len(dataset) + len(vanished), dataset.name)

    def check_failures(
        self, limit: FailureLimit | None, failed: int, images: int, dataset: str
    ) -> None:
        """End the command with an error after its work, if more images failed than allowed."""
        if limit is not None and limit.is_exceeded(failed, images):
            self._exceeded = (
                f"{failed} of {images} images of {dataset} failed, more than "
                f"--max-failures {limit.text}. The command continued without them."
            )

    def note_labels_found(self, found: Sequence[FoundLabels]) -> None:
        """Add labels of the same images under other names to the JSON object."""
        self._output.add(labels_found=[each.as_json() for each in found])

    def ask(self, question: str) -> bool | None:
        """Ask a question with the default answer yes; return None without a terminal."""
        if self.common.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return None
        try:
            return typer.confirm(printable(question), default=True, err=True)
        except typer.Abort:
            raise KeyboardInterrupt from None

    def tracker(self, name: str | None) -> contextlib.AbstractContextManager[Tracker | None]:
        """Return a context manager that yields the tracker of a name, or None without a name."""
        if name is None:
            return contextlib.nullcontext()
        from ..tracking import get_tracker

        return get_tracker(name, self.workspace.tracking)

    def remark_vanished(self, paths: Sequence[str]) -> None:
        """Name the items of the last scan whose files do not exist any more."""
        if paths:
            names = ", ".join(map(printable, paths[:MAX_NAMED]))
            more = f" and {len(paths) - MAX_NAMED} more" if len(paths) > MAX_NAMED else ""
            noun = "image" if len(paths) == 1 else "images"
            self.remark(f"{len(paths)} {noun} missing since the last scan: {names}{more}")

    @contextlib.contextmanager
    def counting(self) -> Iterator[Callable[[int, int, str], None]]:
        """Yield a function that shows progress: finished units, total units, and a text."""
        from rich.console import Console

        console = Console(stderr=True)
        if self.common.quiet:
            yield lambda done, total, text: None
        elif console.is_terminal:
            with one_bar(console) as update:
                yield update
        else:
            yield Log(self.remark).text

    @contextlib.contextmanager
    def rounds(self) -> Iterator[Callable[[int, int, str], None]]:
        """Yield a function that writes a line for each round; in a log, with the time."""
        if sys.stderr.isatty() or self.common.quiet:
            yield lambda done, total, text: self.remark(f"  {printable(text)}")
        else:
            yield Log(self.remark).line

    def remark(self, text: str) -> None:
        """Write a remark to standard error, unless the option ``--quiet`` is given."""
        if not self.common.quiet:
            with contextlib.suppress(OSError):  # the terminal is closed; the work continues
                print(printable(text, keep="\n"), file=sys.stderr)  # noqa: T201

    def finish(self, result: dict[str, Any], text: str, *, now: bool = False) -> None:
        """Write `text` at once, or the result as JSON at the end; with `now`, JSON at once too.

        Failed images are added as ``failures`` and their number as ``failed``, unless the result
        contains ``failures``.
        """
        if self._failures and "failures" not in result:
            result = {"failed": len(self._failures), **result, "failures": self._failures}
        self._output.result(result, text, now=now)

    def open_page(self, path: Path) -> None:
        """Open a page in the browser; without a browser, a remark has the address."""
        import webbrowser

        address = path.resolve().as_uri()
        if not webbrowser.open(address):
            self.remark(f"no browser was found. Open {address}")

    def failed_images(self) -> dict[str, list[dict[str, Any]]]:
        """Return the failed images, for a result whose key ``failures`` contains failed runs."""
        return {"failed_images": self._failures} if self._failures else {}

    def end(self) -> None:
        """End with exit status 3 if too many images failed."""
        if self._exceeded is not None:
            line = print_error(self._exceeded)
            self._output.error(line, "TooManyFailures", TOO_MANY_FAILURES)
            raise typer.Exit(TOO_MANY_FAILURES)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None] | None]:
        """Yield a function of the stage, finished units and total units, or None if quiet."""
        from rich.console import Console

        console = Console(stderr=True)
        if self.common.quiet:
            yield None
        elif console.is_terminal:
            with bars(console) as progress:
                yield progress
        else:
            yield Log(self.remark).stage


def failures_of(found: Sequence[Embeddings]) -> list[dict[str, Any]]:
    """Return the images without a vector, each with the stage and the reason."""
    failures = (failure for each in found for failure in (*each.failures, *each.vanished))
    return [
        {"path": failure.path, "stage": failure.stage, "reason": failure.error}
        for failure in dict.fromkeys(failures)
    ]


RENAMED = {
    "--bound": "--upper-baseline",
    "--no-bound": "--no-upper-baseline",
    "--bounds": "--reference-methods",
    "--first-seed": "--seed-offset",
    "--least-confident-instances": "--batch-size",
    "--num-annotation-rounds": "--rounds",
}
"""Old names of options, accepted for one version, and the new names."""


class _Command(typer.core.TyperCommand):
    """A command that accepts old names of options, with a warning."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = {flag for each in self.params for flag in (*each.opts, *each.secondary_opts)}
        quiet = not {"--quiet", "-q"}.isdisjoint(args)
        return super().parse_args(ctx, [_current_name(word, own, quiet) for word in args])


def _current_name(word: str, own: set[str], quiet: bool) -> str:
    """Return a word of a command line with the new name of a renamed option."""
    flag, equals, value = word.partition("=")
    new = RENAMED.get(flag)
    if new is None or new not in own:
        return word
    if not quiet:
        print_error(f"`{flag}` is now `{new}`; the next version will not accept the old name.")
    return f"{new}{equals}{value}"


def add_command(app: typer.Typer, name: str, function: Callable[..., None]) -> None:
    """Add a function ``f(session, ...)`` as a command of `app`, with the common options.

    An error ends the command with one line on standard error and an exit status.
    """
    hints = get_type_hints(function, include_extras=True)
    own = Parameters.of(
        each.replace(annotation=hints[each.name])
        for each in inspect.signature(function).parameters.values()
        if each.name != "session"
    )
    shared = Parameters.of([inspect.Parameter("common", KEYWORD, annotation=Common)])

    def run(context: typer.Context, **values: Any) -> None:
        common: Common = shared.build(values)["common"]
        output = Output(common.json)
        with output.reserved(), ending(output, common.debug):
            import_extensions(common.imports)
            _check_finite(context)
            session = Session(common, output, _typed_options(context))
            function(session, **own.build(values))
            session.end()

    context = inspect.Parameter("context", KEYWORD, annotation=typer.Context)
    parameters = [context, *own.parameters(), *shared.parameters()]
    parameters.sort(key=lambda each: each.default is not inspect.Parameter.empty)  # required first
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    app.command(name, cls=_Command, help=inspect.cleandoc(function.__doc__ or ""))(run)


def _typed_options(context: typer.Context) -> dict[str, str]:
    """Return the options on the command line, such as ``"--seeds 3"``, by parameter name."""
    typed = {}
    for parameter in context.command.params:
        name, value = str(parameter.name), context.params.get(str(parameter.name))
        source = context.get_parameter_source(name)
        is_option = parameter.param_type_name == "option"
        if is_option and source is not None and source.name == "COMMANDLINE":
            option = parameter.opts[0]
            values = value if isinstance(value, (list, tuple)) else [value]
            typed[name] = (
                option if isinstance(value, bool) else " ".join(map(str, [option, *values]))
            )
    return typed


def _check_finite(context: typer.Context) -> None:
    """Refuse NaN and infinity, which the parser's checks of ranges accept."""
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{parameter.opts[0]} {value}: give a finite number.")
