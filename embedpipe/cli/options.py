"""Options that several commands share, as dataclasses that become parameters of a command."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

__all__ = [
    "Common",
    "DatasetChoice",
    "Download",
    "EmbedChoice",
    "Given",
    "HeadChoice",
    "ImagesChoice",
    "IndexChoice",
    "LabellingChoice",
    "Source",
    "ThinChoice",
    "TrackerChoice",
    "TrainChoice",
    "Within",
    "expand",
]


@dataclass(frozen=True)
class Common:
    """What every command takes."""

    workspace: Annotated[
        str | None,  # a Path makes one slash of two, and an address could not be recognised
        typer.Option(
            metavar="<path>",
            help="Folder of the cache, matrices and runs [default: EMBEDPIPE_WORKSPACE or "
            "./.embedpipe]",
            show_default=False,
        ),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else")] = (
        False
    )
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no remarks")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error")] = False


Source = Annotated[
    str | None,
    typer.Option(
        help="Folder, archive or URL that holds a named dataset's images", show_default=False
    ),
]
Download = Annotated[
    bool, typer.Option("--download", help="Fetch a named dataset from its public home")
]
Within = Annotated[
    Path | None,
    typer.Option(
        help="Refuse a manifest with a path that leads outside of this folder", show_default=False
    ),
]


@dataclass(frozen=True)
class DatasetChoice:
    """Which dataset is meant."""

    dataset: Annotated[
        str,
        typer.Argument(
            help="A registered name (see `embedpipe list datasets`), a folder, an archive, or a "
            ".csv/.jsonl/.parquet manifest with a `path` column",
            show_default=False,
        ),
    ]
    source: Source = None
    download: Download = False
    within: Within = None


@dataclass(frozen=True)
class ImagesChoice:
    """Which dataset is meant, or which image files."""

    dataset: Annotated[
        list[str],
        typer.Argument(
            help="Image files, or one dataset: a registered name (see `embedpipe list datasets`), "
            "a folder, an archive, or a .csv/.jsonl/.parquet manifest with a `path` column",
            show_default=False,
        ),
    ]
    source: Source = None
    download: Download = False
    within: Within = None


@dataclass(frozen=True)
class EmbedChoice:
    """How images become vectors."""

    backbone: Annotated[
        str, typer.Option(help="A registered name, timm:NAME[@revision] or torchvision:NAME")
    ] = "efficientnet_lite0"
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights for a timm or torchvision backbone: .safetensors or .pth",
            show_default=False,
        ),
    ] = None
    precision: Annotated[
        str,
        typer.Option(
            help="fp32, bf16, or auto: that of the dataset's vectors in the cache, or bf16 where "
            "the hardware has it"
        ),
    ] = "auto"
    runtime: Annotated[
        str,
        typer.Option(
            help="torch, openvino, or auto: in bf16 that of the vectors in the cache, or OpenVINO "
            "on x86 CPUs if installed"
        ),
    ] = "auto"
    scaled_decode: Annotated[
        bool,
        typer.Option(
            "--scaled-decode", help="Decode large JPEGs at reduced size: faster, other vectors"
        ),
    ] = False
    max_failures: Annotated[
        str | None,
        typer.Option(
            metavar="N|P%",
            help="End with exit status 3 if more than N images, or P percent of them, fail "
            "[default: no limit]",
            show_default=False,
        ),
    ] = None
    require_cached: Annotated[
        bool,
        typer.Option("--require-cached", help="Embed nothing: fail if an image has no vector"),
    ] = False

    def options(self) -> dict[str, Any]:
        """Return what `EmbedOptions` takes."""
        options = dataclasses.asdict(self)
        del options["max_failures"]
        return options


@dataclass(frozen=True)
class IndexChoice:
    """How neighbours are found."""

    index: Annotated[
        str,
        typer.Option(
            help="How strategies find neighbours: exact, or ivf or hnsw for millions of items"
        ),
    ] = "exact"


@dataclass(frozen=True)
class Given:
    """What is known of the items beside their images."""

    labels: Annotated[
        Path | None,
        typer.Option(
            help="What is labelled: .csv, .jsonl or .parquet with the columns path and label",
            show_default=False,
        ),
    ] = None
    examples: Annotated[
        list[str],
        typer.Option(
            help="What is looked for, for combine(similarity): an item's id, or a folder or "
            "archive of example images; may be repeated",
            show_default=False,
        ),
    ] = field(default_factory=list)
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="Numbers for combine(metadata(COLUMN)): .csv, .jsonl or .parquet with the column "
            "path",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True)
class HeadChoice:
    """Which classifier is fitted."""

    head: Annotated[
        str,
        typer.Option(
            help='See `embedpipe list heads`; with options: "mlp(hidden=64)"; or any scikit-learn '
            'classifier: "sklearn.ensemble:RandomForestClassifier(n_estimators=50)"'
        ),
    ] = "logistic"


@dataclass(frozen=True)
class TrainChoice:
    """How the head learns from round to round, and what is left out of a query."""

    mode: Annotated[
        str,
        typer.Option(
            help="cumulative: a fresh head, all labels; half_cumulative: weights kept, all labels; "
            "incremental: weights kept, the newest batch; replay: that and a sample of the labels "
            "before it"
        ),
    ] = "cumulative"
    buffer_size: Annotated[
        int | None,
        typer.Option(
            help="Labels in that sample [default: the batch size]", min=1, show_default=False
        ),
    ] = None
    skip: Annotated[
        int, typer.Option(help="Top-ranked items of each query that are left out", min=0)
    ] = 0


@dataclass(frozen=True)
class LabellingChoice:
    """How the simulated labeller behaves."""

    noise: Annotated[
        float, typer.Option(help="Share of the labels that are wrong", min=0, max=1)
    ] = 0.0
    noise_kind: Annotated[
        str,
        typer.Option(help="Wrong how: symmetric (any class) or confusable (the nearest class)"),
    ] = "symmetric"
    abstain: Annotated[
        float, typer.Option(help="Share of the questions that are not answered", min=0, max=1)
    ] = 0.0


@dataclass(frozen=True)
class ThinChoice:
    """How the items to choose from are made imbalanced."""

    long_tailed: Annotated[
        float | None,
        typer.Option(
            help="Thin the classes out until the largest is so many times the smallest",
            min=1,
            show_default=False,
        ),
    ] = None
    rare: Annotated[
        list[str],
        typer.Option(
            metavar="CLASS=N",
            help="Keep only N items of a class; may be repeated",
            show_default=False,
        ),
    ] = field(default_factory=list)


@dataclass(frozen=True)
class TrackerChoice:
    """Where figures are kept beside the run."""

    tracker: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Keep the figures for tensorboard, mlflow or wandb (offline), in tracking/ of the "
            "workspace",
        ),
    ] = None


def expand(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn each parameter whose type is a dataclass of options into those options.

    Typer sees the single options; the function receives the dataclasses.
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {
        name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)
    }
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in groups:
            parameters += _parameters_of(groups[name])
        else:
            parameters.append(parameter.replace(annotation=hints[name]))
    parameters.sort(key=lambda p: p.default is not inspect.Parameter.empty)  # stable

    def expanded(**values: Any) -> Any:
        for name, group in groups.items():
            fields = {entry.name: values.pop(entry.name) for entry in dataclasses.fields(group)}
            values[name] = group(**fields)
        return function(**values)

    expanded.__name__, expanded.__doc__ = function.__name__, function.__doc__
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return expanded


def _parameters_of(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            entry.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default_of(entry),
            annotation=hints[entry.name],
        )
        for entry in dataclasses.fields(group)
    ]


def _default_of(entry: dataclasses.Field[Any]) -> Any:
    if entry.default_factory is not dataclasses.MISSING:
        return entry.default_factory()
    return inspect.Parameter.empty if entry.default is dataclasses.MISSING else entry.default
