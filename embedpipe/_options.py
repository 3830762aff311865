"""The options of the library, each written once for Python, grid files and the command line.

An option class is a frozen dataclass. Its fields are made by `option`, whose help text is what the
command line shows; a field without help is no option of the command line. Nothing heavy is imported
here, because `embedpipe --help` reads these classes. Checks that need more are where the options
are used: `LoopFields`, `ExperimentFields` and `ReplayFields` are the fields of classes with checks.
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
    "NOISE_KINDS",
    "DatasetOptions",
    "EmbedOptions",
    "ExperimentFields",
    "ImbalanceOptions",
    "LoopFields",
    "Option",
    "OracleOptions",
    "ReplayFields",
    "documented",
    "option",
]

NOISE_KINDS = ("symmetric", "confusable")

_INDEX = "How strategies find neighbours: exact, or ivf or hnsw for millions of items"
_NAME = "Of the folder of the results in the workspace"


@dataclass(frozen=True)
class Option:
    """How the command line takes an option."""

    help: str
    flag: str | None = None
    """``"--noise-kind"``; by default from the field's name."""
    short: str | None = None
    argument: bool = False
    """Whether it is a word without a flag."""
    metavar: str | None = None
    min: float | None = None
    max: float | None = None
    type: Any = None
    """What Typer reads; by default from the field's type."""
    read: Callable[[Any], Any] | None = None
    """From what Typer has read to the value of the field; by default from the field's type."""


def option(
    default: Any = dataclasses.MISSING,
    help: str = "",  # noqa: A002
    *,
    factory: Any = dataclasses.MISSING,
    **how: Any,
) -> Any:
    """Return a field of an option class; `how` are fields of `Option`."""
    metadata = {"option": Option(help, **how)}
    if factory is not dataclasses.MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


T = TypeVar("T")


def documented(kind: type[T]) -> type[T]:
    """Add the help of its options to the docstring of an option class."""
    lines = [
        f"{each.name}\n    {each.metadata['option'].help}."
        for each in dataclasses.fields(kind)  # type: ignore[arg-type]
        if "option" in each.metadata
    ]
    kind.__doc__ = "\n".join(
        [inspect.cleandoc(str(kind.__doc__)), "", "Attributes", "-" * 10, *lines]
    )
    return kind


@dataclass(frozen=True)
class DatasetOptions:
    """Which dataset, as `load_dataset` takes it."""

    dataset: str | Sequence[str] = option(
        help="A registered name (see `embedpipe list datasets`), a folder, an archive, or a "
        ".csv/.jsonl/.parquet manifest with a `path` column",
        argument=True,
    )
    source: str | None = option(None, "Folder, archive or URL that holds a named dataset's images")
    download: bool = option(False, "Fetch a named dataset from its public home")
    within: str | Path | None = option(
        None, "Refuse a manifest with a path that leads outside of this folder"
    )


@documented
@dataclass(frozen=True)
class EmbedOptions:
    """How images become vectors."""

    backbone: str | Any = option(
        "efficientnet_lite0", "A registered name, timm:NAME[@revision] or torchvision:NAME"
    )  # or a `Backbone`
    weights: str | Path | None = option(
        None, "Weights for a timm or torchvision backbone: .safetensors or .pth"
    )
    precision: str = option(
        "auto",
        "fp32, bf16, or auto: that of the dataset's vectors in the cache, or bf16 where the "
        "hardware has it",
    )
    runtime: str = option(
        "auto",
        "torch, openvino, or auto: in bf16 that of the vectors in the cache, or OpenVINO on x86 "
        "CPUs if installed",
    )
    executor: str = option("local", "local, or ray: a cluster that shares the file system")
    scaled_decode: bool = option(False, "Decode large JPEGs at reduced size: faster, other vectors")
    retry_failed: bool = option(False, "Try images again that failed before")
    require_cached: bool = option(False, "Embed nothing: fail if an image has no vector")


@dataclass(frozen=True, kw_only=True)
class ImbalanceOptions:
    """How the items to choose from are made imbalanced."""

    long_tailed: float | None = option(
        None, "Thin the classes out until the largest is so many times the smallest", min=1
    )
    rare: Mapping[str, int] = option(
        factory=dict, help="Keep only N items of a class; may be repeated", metavar="CLASS=N"
    )


@dataclass(frozen=True)
class OracleOptions:
    """How a simulated labeller behaves: its errors, its gaps, its price.

    What happens to an item depends on the seed and on its row alone: never on when it is asked
    for, or with what else.

    Parameters
    ----------
    noise
        The share of labels that are wrong, from 0 to 1.
    kind
        Which wrong label: ``"symmetric"``, any other class, each as likely; ``"confusable"``, the
        class whose mean vector is the nearest to the mean of the item's own class.
    abstain
        The share of questions that are not answered, from 0 to 1. Such an item leaves the pool
        without a label.
    cost
        What it costs to ask about an item of a class, by its true label or the text of it; 1 for
        classes that are not named. It is due whether or not there is an answer.

    Raises
    ------
    UsageError
        If a number is out of range or there is no such kind.

    Examples
    --------
    >>> OracleOptions(noise=0.2, kind="confusable")
    OracleOptions(noise=0.2, kind='confusable', abstain=0.0, cost={})
    """

    noise: float = option(0.0, "Share of the labels that are wrong", min=0, max=1)
    kind: str = option(
        "symmetric",
        "Wrong how: symmetric (any class) or confusable (the nearest class)",
        flag="--noise-kind",
    )
    abstain: float = option(0.0, "Share of the questions that are not answered", min=0, max=1)
    cost: Mapping[Any, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("noise", "abstain"):
            _check_share(name, getattr(self, name))
        if self.kind not in NOISE_KINDS:
            raise UnknownNameError("kind of noise", str(self.kind), NOISE_KINDS)
        if not isinstance(self.cost, Mapping):
            raise UsageError(f"cost is {self.cost!r}: give a cost by class, such as {{'hat': 2}}.")
        for name, price in self.cost.items():
            if not _is_number(price) or not 0 <= price < math.inf:
                raise UsageError(
                    f"the cost of class {name!r} is {price!r}: give a number, at least 0."
                )


def _is_number(value: Any) -> bool:
    """Return whether it is a number, of NumPy too."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_share(name: str, value: Any) -> None:
    if not _is_number(value) or not 0 <= value <= 1:
        raise UsageError(f"{name} is {value!r}: give a share of the labels, from 0 to 1.")


@dataclass(frozen=True, kw_only=True)
class LoopFields:
    """The fields of `LoopOptions`."""

    strategy: str | Any = option("margin", "Strategy of every further batch")
    initial: str | Any = option("coreset", "Strategy of the first batch")
    head: str | Any = option(
        "logistic",
        'See `embedpipe list heads`; with options: "mlp(hidden=64)"; or any scikit-learn '
        'classifier: "sklearn.ensemble:RandomForestClassifier(n_estimators=50)"',
    )
    initial_size: int = option(50, "Items in the first batch", min=1)
    batch_size: int = option(50, "Items in every further batch", min=1)
    seed: int = option(0, "The same seed gives the same picks", min=0)
    mode: str = option(
        "cumulative",
        "cumulative: a fresh head, all labels; half_cumulative: weights kept, all labels; "
        "incremental: weights kept, the newest batch; replay: that and a sample of the labels "
        "before it",
    )
    buffer_size: int | None = option(None, "Labels in that sample [default: the batch size]", min=1)
    skip: int = option(0, "Top-ranked items of each query that are left out", min=0)
    labelling: OracleOptions = field(default_factory=OracleOptions)
    advice: str = "full"


@dataclass(frozen=True, kw_only=True)
class ExperimentFields:
    """The options of an `Experiment`."""

    strategies: Sequence[str | Any] = option(
        ("auto", "random"),
        "What chooses, separated by commas: 'auto,margin,combine(margin^2, diversity)'",
    )
    initials: Sequence[str | Any] = option(
        ("same",),
        "What chooses the first batch; same: the strategy itself, or typiclust where it needs "
        "labels",
    )
    heads: Sequence[str | Any] = option(("logistic",), "See `embedpipe list heads`")
    modes: Sequence[str] = option(
        ("cumulative",),
        "How heads are trained from round to round: cumulative, half_cumulative, incremental, "
        "replay",
    )
    seeds: int | Sequence[int] = option(5, "How many", min=1)
    initial_size: int = option(50, "Items in the first batch", min=1)
    batch_size: int = option(50, "Items in every further batch", min=1)
    rounds: int = option(10, "Rounds after the first batch", min=0)
    baseline: str | Any = option("random", "What the others are compared with")
    skip: int = option(0, "Leave out so many of the top-ranked items of each query", min=0)
    labelling: OracleOptions = field(default_factory=OracleOptions)
    index: str = option("exact", _INDEX)
    upper_bound: bool = option(
        True,
        "Measure the accuracy with all labels, the upper baseline, by one fit to the whole pool",
        flag="--upper-baseline",
    )
    name: str | None = option(None, _NAME)


@dataclass(frozen=True, kw_only=True)
class ReplayFields:
    """The options of a `ReplayStudy`."""

    policies: Sequence[str | Any] = option(
        ("random", "el2n", "entropy", "margin"),
        "What the buffer keeps, separated by commas: 'el2n,margin(take=easiest)', see "
        "`embedpipe list policies`; none: no buffer",
        flag="--policy",
    )
    retains: Sequence[float | int] = option(
        (0.01, 0.05),
        "How much of it, separated by commas: 0.05 is a share of each experience, 500 rows in all",
        flag="--retain",
    )
    heads: Sequence[str] = option(
        ("logistic",),
        'Separated by commas, see `embedpipe list heads`; with options: "mlp(hidden=64)"',
        flag="--head",
    )
    bounds: Sequence[str] = option(
        ("naive", "joint"),
        "Methods to run beside replay, separated by commas: naive (no buffer), cumulative (a new "
        "head on all data so far), joint (all data at once); '' for none",
        flag="--reference-methods",
    )
    seeds: int | Sequence[int] = option(10, "How many", min=1)
    mix: str = option(
        "concatenated",
        "concatenated: every row counts alike; balanced: the buffer counts as much as the new rows",
    )
    budget: int | None = option(
        None, "Label only so many rows of each experience [default: all]", min=1
    )
    strategy: str | Any = option("margin", "What chooses them")
    baseline: str | Any = option("random", "The policy that the others are compared with")
    name: str | None = option(None, _NAME)
