"""Options of the library, each defined once for Python, grid files and the command line.

An option class is a frozen dataclass. Its fields are made by `option` with the help text of the
command line; a field made without `option` is not an option of the command line. `embedpipe --help`
imports this module, so it must not import heavy modules. The subclasses of `LoopFields`,
`ExperimentFields` and `ReplayFields` check the values.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

from .errors import UnknownNameError, UsageError

__all__ = [
    "ADDRESS",
    "ASK",
    "NOISE_KINDS",
    "RAY_OPTIONS",
    "DatasetOptions",
    "EmbedOptions",
    "ExperimentFields",
    "ImbalanceOptions",
    "LoopFields",
    "Option",
    "OracleOptions",
    "ReplayFields",
    "check_executor",
    "check_pool_share",
    "documented",
    "option",
    "read_folder_labels",
]

NOISE_KINDS = ("symmetric", "confusable")

ADDRESS = (
    "Address of the Ray cluster [default: RAY_ADDRESS, or the cluster on this machine, or else a "
    "new one on its processors]"
)
"""Help of the option ``--address``."""

_INDEX = "Index for nearest neighbours: exact, or ivf or hnsw for millions of items"
_NAME = "Name of the results folder in the workspace"

TARGET = (
    "Unlabelled images from where the model will be used: a split of the dataset, or a folder or "
    "another dataset. Images are chosen to represent them"
)
"""Help of the option ``--target``."""

POOL_SHARE = 0.8
"""Default share of the training images in the pool of each seed."""


@dataclass(frozen=True)
class Option:
    """The command-line form of an option."""

    help: str
    flag: str | None = None
    """Flag such as ``"--noise-kind"``; by default derived from the field's name."""
    short: str | None = None
    argument: bool = False
    """Whether the option is a positional argument."""
    metavar: str | None = None
    min: float | None = None
    max: float | None = None
    type: Any = None
    """Type for Typer; by default derived from the field's type."""
    read: Callable[[Any], Any] | None = None
    """Converter of Typer's value to the field's value; by default chosen by the field's type."""


def option(
    default: Any = dataclasses.MISSING,
    help: str = "",  # noqa: A002
    *,
    factory: Any = dataclasses.MISSING,
    **how: Any,
) -> Any:
    """Return a field of an option class; `how` has further fields of `Option`."""
    metadata = {"option": Option(help, **how)}
    if factory is not dataclasses.MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


T = TypeVar("T")


def documented(kind: type[T]) -> type[T]:
    """Return an option class with the help of the options in its docstring."""
    lines = [
        f"{each.name}\n    {each.metadata['option'].help}."
        for each in dataclasses.fields(kind)  # type: ignore[arg-type]
        if "option" in each.metadata
    ]
    kind.__doc__ = "\n".join(
        [inspect.cleandoc(str(kind.__doc__)), "", "Attributes", "-" * 10, *lines]
    )
    return kind


ASK = "ask"


def read_folder_labels(text: str) -> bool | str:
    """Return the value of the option ``--folder-labels``."""
    values: dict[str, bool | str] = {"yes": True, "no": False, ASK: ASK}
    if text not in values:
        raise UsageError(f"--folder-labels {text}: give yes, no or ask.")
    return values[text]


@dataclass(frozen=True)
class DatasetOptions:
    """The arguments of `load_dataset`."""

    dataset: str | Sequence[str] = option(
        help="A registered name (see `embedpipe list datasets`), a folder, an archive, a "
        ".csv/.jsonl/.parquet manifest with a `path` column, or an address of one of these, such "
        "as s3://bucket/photos",
        argument=True,
    )
    source: str | None = option(
        None, "Folder, archive or URL with the images of a registered dataset"
    )
    download: bool = option(False, "Download a registered dataset from its public source")
    within: str | Path | None = option(None, "Refuse a manifest with paths outside this folder")
    folder_labels: bool | Any = option(
        None,
        "Whether folder names are the classes of the images; an answer is remembered [default: yes "
        "if the layout is unmistakable, else ask on a terminal, else no]",
        metavar="yes|no|ask",
        type=str,
        read=read_folder_labels,
    )
    every: str | None = option(
        None,
        "Time between two frames of each video, such as 1s or 500ms, for a video or a folder with "
        "videos",
    )


EXECUTORS = ("local", "ray")
"""Where work is done: by this machine, or by the workers of a Ray cluster."""


def check_executor(name: str) -> None:
    """Raise UsageError if a name is not one of `EXECUTORS`."""
    if name not in EXECUTORS:
        raise UsageError(f"unknown executor {name!r}: use {' or '.join(EXECUTORS)}.")


RAY_OPTIONS = ("executor", "address", "workers", "cpus_per_worker", "gpus_per_worker")
"""Options of embedding that choose where it runs; they do not change the vectors."""


@documented
@dataclass(frozen=True)
class EmbedOptions:
    """Options of embedding."""

    backbone: str | Any = option(
        "efficientnet_lite0",
        "A name from `embedpipe list backbones`, or timm:NAME, openclip:NAME, torchvision:NAME, "
        "onnx:FILE or imported:NAME; A+B: the vectors of both, joined",
    )  # or a `Backbone`
    vectors: str | Path | Any = option(
        None,
        "Vectors of the images instead of a backbone: a .npy file with a file of paths, .npz, "
        ".parquet, Lightly's .csv or .lance. The file is imported once",
    )
    weights: str | Path | None = option(
        None, "Weights of a timm, open_clip or torchvision backbone: .safetensors or .pth"
    )
    image_size: int | None = option(
        None, "Height and width of the images in pixels [default: of the backbone]", min=1
    )
    pooling: str | None = option(
        None,
        "cls (class token), mean (of the patches) or cls+mean, for transformers [default: of the "
        "backbone]",
    )
    precision: str = option(
        "auto",
        "fp32, bf16, or auto: the precision of the dataset's cached vectors, else bf16 if the "
        "hardware supports it, else fp32",
    )
    runtime: str = option(
        "auto",
        "torch, torch-compile, openvino, or auto: in bf16 the runtime of the cached vectors; "
        "otherwise openvino on x86 CPUs without a CUDA GPU, if it is installed, else torch",
    )
    executor: str = option("local", "local (this process), or ray (the workers of a Ray cluster)")
    address: str | None = option(None, ADDRESS)
    workers: int | None = option(
        None, "Ray workers [default: as many as fit on the cluster]", min=1
    )
    cpus_per_worker: float | None = option(
        None,
        "Processors of a Ray worker, and its threads [default: up to 8, so that few processors "
        "are unused]",
        min=0,
    )
    gpus_per_worker: float | None = option(
        None, "GPUs of a Ray worker [default: 1 if the cluster has GPUs]", min=0
    )
    views: str = option(
        "none",
        "Views of an image whose vectors are averaged. none: the image; flip: also its mirror "
        "image, twice the work; crops5: its centre and its corners, five times the work",
    )
    scaled_decode: bool = option(
        False, "Decode large JPEGs at a reduced size: faster, but with other vectors"
    )
    retry_failed: bool = option(False, "Retry images that failed before")
    require_cached: bool = option(False, "Do not embed: fail if an image has no cached vector")


@dataclass(frozen=True, kw_only=True)
class ImbalanceOptions:
    """Options that make the pool imbalanced."""

    long_tailed: float | None = option(
        None,
        "Remove items until the class sizes form a long tail with this ratio of the largest to the "
        "smallest",
        min=1,
    )
    rare: Mapping[str, int] = option(
        factory=dict, help="Keep at most N items of a class; may be repeated", metavar="CLASS=N"
    )


@dataclass(frozen=True)
class OracleOptions:
    """Options of a simulated oracle: wrong labels, missing labels, costs.

    The answer for an item depends only on the seed and on the item's row, not on the order of the
    queries.

    Parameters
    ----------
    noise
        Share of wrong labels, from 0 to 1.
    kind
        Kind of wrong labels. ``"symmetric"``: any other class with equal probability.
        ``"confusable"``: the class whose mean vector is nearest to the mean of the true class.
    abstain
        Share of items that get no label, from 0 to 1. These items leave the pool.
    cost
        Cost of a query by true class; a key is the class or its text. Other classes cost 1. A query
        that returns no label has the same cost.

    Raises
    ------
    UsageError
        If a number is out of range or the kind is unknown.

    Examples
    --------
    >>> OracleOptions(noise=0.2, kind="confusable")
    OracleOptions(noise=0.2, kind='confusable', abstain=0.0, cost={})
    """

    noise: float = option(0.0, "Share of wrong labels", min=0, max=1)
    kind: str = option(
        "symmetric",
        "Wrong labels: symmetric (any other class) or confusable (the nearest class)",
        flag="--noise-kind",
    )
    abstain: float = option(0.0, "Share of items that get no label", min=0, max=1)
    cost: Mapping[Any, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("noise", "abstain"):
            _check_share(name, getattr(self, name))
        if self.kind not in NOISE_KINDS:
            raise UnknownNameError("kind of noise", str(self.kind), NOISE_KINDS)
        if not isinstance(self.cost, Mapping):
            raise UsageError(
                f"cost must map classes to costs, such as {{'hat': 2}}; got {self.cost!r}."
            )
        for name, price in self.cost.items():
            if not _is_number(price) or not 0 <= price < math.inf:
                raise UsageError(
                    f"the cost of class {name!r} must be a number, at least 0; got {price!r}."
                )


def _is_number(value: Any) -> bool:
    """Return whether a value is a real number of Python or NumPy."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_pool_share(share: Any) -> None:
    """Raise an error unless `share` is a number above 0, at most 1."""
    if not _is_number(share) or not 0 < share <= 1:
        raise UsageError(
            f"pool_share must be a share of the training images, above 0 and at most 1; got "
            f"{share!r}."
        )


def _check_share(name: str, value: Any) -> None:
    if not _is_number(value) or not 0 <= value <= 1:
        raise UsageError(f"{name} must be a share of the labels, from 0 to 1; got {value!r}.")


@dataclass(frozen=True, kw_only=True)
class LoopFields:
    """The fields of `LoopOptions`."""

    strategy: str | Any = option("margin", "Strategy of the later batches")
    initial: str | Any = option("coreset", "Strategy of the first batch")
    head: str | Any = option(
        "auto",
        'Classifier: see `embedpipe list heads`; with options: "mlp(hidden=64)"; or one of '
        'scikit-learn: "sklearn.ensemble:RandomForestClassifier(n_estimators=50)"',
    )
    initial_size: int = option(50, "Items in the first batch", min=1)
    batch_size: int = option(50, "Items in each later batch", min=1)
    seed: int = option(0, "Random seed", min=0)
    mode: str = option(
        "cumulative",
        "Training in each round. cumulative: a new head, all labels; half_cumulative: the previous "
        "weights, all labels; incremental: the previous weights, the newest batch; replay: like "
        "incremental, with a sample of earlier labels",
    )
    buffer_size: int | None = option(
        None, "Earlier labels in the sample of mode replay [default: the batch size]", min=1
    )
    skip: int = option(0, "Number of top-ranked items to leave out in each batch", min=0)
    labelling: OracleOptions = field(default_factory=OracleOptions)
    advice: str = "full"
    oracle_ceiling: bool = False


@dataclass(frozen=True, kw_only=True)
class ExperimentFields:
    """The options of an `Experiment`."""

    strategies: Sequence[str | Any] = option(
        ("auto", "random"),
        "Strategies, separated by commas: 'auto,margin,combine(margin^2, diversity)'",
    )
    initials: Sequence[str | Any] = option(
        ("same",),
        "Strategies of the first batch; same: the strategy of the later batches, or typiclust if "
        "that strategy needs labels",
    )
    heads: Sequence[str | Any] = option(
        ("auto",), "Classifiers, separated by commas: see `embedpipe list heads`"
    )
    modes: Sequence[str] = option(
        ("cumulative",),
        "Training modes, separated by commas: cumulative, half_cumulative, incremental, replay",
    )
    seeds: int | Sequence[int] = option(5, "Number of seeds", min=1)
    pool_share: float = option(
        POOL_SHARE,
        "Share of the training images in the pool of each seed. Each seed draws its own pool at "
        "random, for all strategies; 1: the same pool for all seeds",
        min=0,
        max=1,
    )
    initial_size: int = option(50, "Items in the first batch", min=1)
    batch_size: int = option(50, "Items in each later batch", min=1)
    rounds: int = option(10, "Rounds after the first batch", min=0)
    baseline: str | Any = option("random", "Strategy to compare the others with")
    target: str | Any = option(None, TARGET, metavar="FOLDER|SPLIT")
    skip: int = option(0, "Number of top-ranked items to leave out in each batch", min=0)
    labelling: OracleOptions = field(default_factory=OracleOptions)
    index: str = option("exact", _INDEX)
    upper_baseline: bool = option(
        True,
        "Measure the accuracy with all labels, the upper baseline, by one fit to the whole pool",
    )
    oracle_ceiling: bool = option(
        False,
        "Add a reference that chooses each batch by the true labels of the pool, which no user "
        "has: about 100 fits of the head per round",
    )
    name: str | None = option(None, _NAME)


@dataclass(frozen=True, kw_only=True)
class ReplayFields:
    """The options of a `ReplayStudy`."""

    policies: Sequence[str | Any] = option(
        ("random", "el2n", "entropy", "margin"),
        "Replay policies, separated by commas: 'el2n,margin(take=easiest)'; see `embedpipe list "
        "policies`; none: no buffer",
        flag="--policy",
    )
    retains: Sequence[float | int] = option(
        (0.01, 0.05),
        "Buffer sizes, separated by commas: a share of each experience, such as 0.05, or a total "
        "number of rows, such as 500",
        flag="--retain",
    )
    heads: Sequence[str] = option(
        ("logistic",),
        "Classifiers, separated by commas: see `embedpipe list heads`; with options: "
        '"mlp(hidden=64)"',
        flag="--head",
    )
    methods: Sequence[str | Any] = option(
        ("replay",),
        "Methods of continual learning, separated by commas: 'replay,gdumb,ewc(strength=100)'; see "
        "`embedpipe list methods`. Methods with a buffer run with every policy and size",
        flag="--method",
    )
    reference_methods: Sequence[str] = option(
        ("naive", "joint"),
        "Methods to run in addition, separated by commas: naive (no buffer), cumulative (a new "
        "head on all data so far), joint (all data at once); '' for none",
    )
    seeds: int | Sequence[int] = option(10, "Number of seeds", min=1)
    pool_share: float = option(
        POOL_SHARE,
        "Share of the training images of each experience that a seed uses. Each seed draws its own "
        "images at random, for all policies; 1: the same images for all seeds",
        min=0,
        max=1,
    )
    mix: str = option(
        "concatenated",
        "Weights of the rows in training. concatenated: equal for all rows; balanced: equal sums "
        "for buffer and new rows",
    )
    budget: int | None = option(None, "Rows to label in each experience [default: all]", min=1)
    strategy: str | Any = option("margin", "Strategy that chooses the rows to label")
    baseline: str | Any = option("random", "Policy to compare the others with")
    name: str | None = option(None, _NAME)
