"""Options of the command line only, and options that several commands share."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from .._options import (
    ADDRESS,
    RAY_OPTIONS,
    TARGET,
    DatasetOptions,
    EmbedOptions,
    ExperimentFields,
    LoopFields,
    option,
)
from ..errors import UsageError
from .parameters import Use

__all__ = [
    "Address",
    "Common",
    "DatasetWithLabels",
    "Embed",
    "EmbedArguments",
    "Executor",
    "FailureLimit",
    "FirstStrategy",
    "Head",
    "Images",
    "ImagesWithLabels",
    "Index",
    "LabelInputs",
    "LabelSource",
    "LabelSourceOrOwn",
    "LaterStrategy",
    "ModelFileName",
    "OpenPage",
    "TargetName",
    "Tracking",
]


@dataclass(frozen=True)
class Common:
    """The options of every command."""

    # The type is not Path, because Path replaces the two slashes of an address by one.
    workspace: str | None = option(
        None,
        "Folder of the cache, labels and runs, or an address such as s3://bucket/workspace "
        "[default: EMBEDPIPE_WORKSPACE or ./.embedpipe]",
        metavar="<path>",
    )
    json: bool = option(False, "Print one JSON object only")
    quiet: bool = option(False, "Print no progress and no remarks", short="-q")
    debug: bool = option(False, "Show the traceback of an error")
    imports: Sequence[str] = option(
        factory=list,
        help="Import a module or .py file that registers strategies, heads, datasets or other "
        "extensions; may be repeated",
        flag="--import",
        metavar="MODULE",
        type=list[str],
    )


@dataclass(frozen=True)
class FailureLimit:
    """Maximum number or percentage of failed images."""

    text: str
    number: float
    percent: bool

    @classmethod
    def parse(cls, text: str) -> FailureLimit:
        """Return the limit of a text ``N`` or ``P%``."""
        match = re.fullmatch(r"([0-9]+)|([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?%", text.strip(), re.ASCII)
        if match is None or (match[2] and float(match[2]) > 100):
            raise UsageError(
                f"--max-failures {text}: give a number of images, such as 10, or a share of all "
                "images from 0% to 100%, such as 1%."
            )
        return cls(text, float(match[1] or match[2]), percent=match[1] is None)

    def is_exceeded(self, failed: int, images: int) -> bool:
        """Return whether a number of failed images exceeds the limit."""
        if self.percent:
            return 100 * failed > self.number * images
        return failed > self.number


@dataclass(frozen=True)
class Embed(EmbedOptions):
    """Options of embedding, with the maximum number of failures."""

    max_failures: FailureLimit | None = option(
        None,
        "End with exit status 3 if more than N images, or P percent of all images, fail [default: "
        "no limit]",
        metavar="N|P%",
        type=str,
        read=FailureLimit.parse,
    )


EmbedArguments = Annotated[Embed, Use(without=(*RAY_OPTIONS, "retry_failed"))]


@dataclass(frozen=True)
class DatasetWithLabels(DatasetOptions):
    """A dataset whose labels in the label log are read."""

    labels_from: str = option(
        "ask",
        "Labels of the same images under another name, as after a move: auto (use them), none, the "
        "name or former path of a dataset, or ask",
        metavar="auto|none|ask|NAME",
    )


_SEVERAL = Use(
    dataset={
        "help": "Image files, patterns such as '*.jpg', or - for paths on standard input; or one "
        "dataset: a registered name (see `embedpipe list datasets`), a folder, an archive, or a "
        ".csv/.jsonl/.parquet manifest with a `path` column",
        "type": list[str],
    }
)

Images = Annotated[DatasetOptions, _SEVERAL]
ImagesWithLabels = Annotated[DatasetWithLabels, _SEVERAL]


@dataclass(frozen=True)
class Tracking:
    """Options of experiment tracking."""

    tracker: str | None = option(
        None,
        "Also write the metrics for tensorboard, mlflow or wandb (offline), in tracking/ of the "
        "workspace",
        metavar="NAME",
    )


@dataclass(frozen=True)
class LabelSource:
    """The labels of a command."""

    labels: str | None = option(
        None,
        "Labels: a .csv, .jsonl or .parquet file with the columns path and label; dataset: the "
        "dataset's own labels; none: no labels [default: the label log of the workspace]",
        metavar="FILE|dataset|none",
    )
    skip_unknown: bool = option(
        False, "Leave out paths of the label file that are not in the dataset"
    )


LabelSourceOrOwn = Annotated[
    LabelSource,
    Use(
        labels={
            "help": "Labels: a .csv, .jsonl or .parquet file with the columns path and label; "
            "dataset: the dataset's own labels; none: no labels [default: the label log of the "
            "workspace, and the dataset's own labels of other images]"
        }
    ),
]


@dataclass(frozen=True)
class LabelInputs(LabelSource):
    """Labels, example images and metadata of the items."""

    examples: Sequence[str] = option(
        factory=list,
        help="Example for combine(similarity): an item's id, or a folder or archive of example "
        "images; may be repeated",
        type=list[str],
    )
    metadata: Path | None = option(
        None,
        "Numbers for combine(metadata(COLUMN)): .csv, .jsonl or .parquet with the columns path and "
        "COLUMN",
    )


def _as_option(kind: type[Any], name: str) -> Any:
    """Return a field of an option class as an option of Typer."""
    (entry,) = (each for each in dataclasses.fields(kind) if each.name == name)
    return typer.Option(help=entry.metadata["option"].help)


Executor = Annotated[
    str,
    typer.Option(
        help="local (this process), or ray: the workers of a Ray cluster embed the images and "
        "compare the vectors, from files that each node finds at the same path"
    ),
]
Address = Annotated[str | None, typer.Option(help=ADDRESS, show_default=False)]
FirstStrategy = Annotated[str, typer.Option("--initial", help="Strategy of the first batch")]
Head = Annotated[str, _as_option(LoopFields, "head")]
Index = Annotated[str, _as_option(ExperimentFields, "index")]
OpenPage = Annotated[bool, typer.Option("--open", help="Open the report in the browser at the end")]
ModelFileName = Annotated[
    Path,
    typer.Option("--model", help="Model file written by `train`", show_default=False),
]
LaterStrategy = Annotated[
    str, typer.Option("--strategy", help="Strategy of the later batches, with a trained model")
]
TargetName = Annotated[
    str | None,
    typer.Option(
        "--target",
        help=TARGET,
        metavar="FOLDER|SPLIT",
        show_default=False,
    ),
]
