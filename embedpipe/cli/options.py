"""The options that only the command line has, and those that several commands share."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from .._options import DatasetOptions, EmbedOptions, ExperimentFields, LoopFields, option
from ..errors import UsageError
from .parameters import Use

__all__ = [
    "Common",
    "Embed",
    "EmbedArguments",
    "FailureLimit",
    "Head",
    "Images",
    "Index",
    "LabelInputs",
    "Tracking",
]


@dataclass(frozen=True)
class Common:
    """What every command takes."""

    # A Path makes one slash of two, and an address could not be recognised.
    workspace: str | None = option(
        None,
        "Folder of the cache, matrices and runs [default: EMBEDPIPE_WORKSPACE or ./.embedpipe]",
        metavar="<path>",
    )
    json: bool = option(False, "Print one JSON object, nothing else")
    quiet: bool = option(False, "No progress, no remarks", short="-q")
    debug: bool = option(False, "Show the traceback of an error")
    imports: Sequence[str] = option(
        factory=list,
        help="Import a module, or a .py file, that registers strategies, heads, datasets or the "
        "like; may be repeated",
        flag="--import",
        metavar="MODULE",
        type=list[str],
    )


@dataclass(frozen=True)
class FailureLimit:
    """The most images that may fail: a number of them, or percent of all."""

    text: str
    number: float
    percent: bool

    @classmethod
    def parse(cls, text: str) -> FailureLimit:
        """Return the limit that ``N`` or ``P%`` means."""
        match = re.fullmatch(r"([0-9]+)|([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?%", text.strip(), re.ASCII)
        if match is None or (match[2] and float(match[2]) > 100):
            raise UsageError(
                f"--max-failures {text}: give a number of images, such as 10, or a share of them "
                "from 0% to 100%, such as 1%."
            )
        return cls(text, float(match[1] or match[2]), percent=match[1] is None)

    def is_exceeded(self, failed: int, images: int) -> bool:
        """Return whether so many failures of so many images are more than the limit."""
        if self.percent:
            return 100 * failed > self.number * images
        return failed > self.number


@dataclass(frozen=True)
class Embed(EmbedOptions):
    """How images become vectors, and how many of them may fail."""

    max_failures: FailureLimit | None = option(
        None,
        "End with exit status 3 if more than N images, or P percent of them, fail [default: no "
        "limit]",
        metavar="N|P%",
        type=str,
        read=FailureLimit.parse,
    )


EmbedArguments = Annotated[Embed, Use(without=("executor", "retry_failed"))]

Images = Annotated[
    DatasetOptions,
    Use(
        dataset={
            "help": "Image files, or one dataset: a registered name (see `embedpipe list "
            "datasets`), a folder, an archive, or a .csv/.jsonl/.parquet manifest with a `path` "
            "column",
            "type": list[str],
        }
    ),
]


@dataclass(frozen=True)
class Tracking:
    """Where figures are kept beside a run."""

    tracker: str | None = option(
        None,
        "Keep the figures for tensorboard, mlflow or wandb (offline), in tracking/ of the "
        "workspace",
        metavar="NAME",
    )


@dataclass(frozen=True)
class LabelInputs:
    """What is known of the items beside their images."""

    labels: Path | None = option(
        None, "What is labelled: .csv, .jsonl or .parquet with the columns path and label"
    )
    examples: Sequence[str] = option(
        factory=list,
        help="What is looked for, for combine(similarity): an item's id, or a folder or archive "
        "of example images; may be repeated",
        type=list[str],
    )
    metadata: Path | None = option(
        None,
        "Numbers for combine(metadata(COLUMN)): .csv, .jsonl or .parquet with the column path",
    )


def _note(kind: type[Any], name: str) -> Any:
    """Return a field of an option class as Typer's note on a single option."""
    (entry,) = (each for each in dataclasses.fields(kind) if each.name == name)
    return typer.Option(help=entry.metadata["option"].help)


Head = Annotated[str, _note(LoopFields, "head")]
Index = Annotated[str, _note(ExperimentFields, "index")]
