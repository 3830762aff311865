"""Embed a folder of images once; then every step is seconds on a CPU.

::

    import embedpipe as ep

    dataset = ep.load_dataset("clothing", source="clothing-dataset-small.zip")
    embeddings = ep.embed(dataset)
    picks = ep.select(embeddings, n=200, strategy="coreset")
    loop = ep.ActiveLoop(embeddings, strategy="margin", initial="coreset")
    for record in loop.run(rounds=10, batch_size=50):
        print(record)

``ep.strategies.register(name)`` adds a strategy of one's own; ``ep.heads``, ``ep.datasets`` and
``ep.backbones`` hold what else there is by name; ``ep.Experiment`` runs grids, ``ep.ContinualLoop``
and ``ep.ReplayStudy`` learn streams.

Names are loaded when they are first used: importing the package loads neither torch nor faiss.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._versions import own_version

if TYPE_CHECKING:
    from . import backbones, checks, continual, datasets, errors, experiments, heads, strategies
    from ._scripts import run_script
    from ._workspace import Workspace
    from .active import (
        ActiveLoop,
        Group,
        Labelling,
        Oracle,
        Prediction,
        Problem,
        RoundRecord,
        SimulatedOracle,
        area_under_budget_curve,
        groups,
        predict,
        select,
        train,
    )
    from .backbones import Backbone, ToyBackbone, get_backbone
    from .cache import Spec, collect_garbage, list_specs, verify
    from .continual import (
        ContinualLoop,
        ExperienceRecord,
        Policy,
        Stream,
        continual_metrics,
        get_policy,
    )
    from .datasets import Dataset, Item, corrupted, load_clear_features, load_dataset
    from .embedding import Embeddings, EmbedOptions, EmbedReport, embed
    from .experiments import Cell, Experiment, ReplayResults, ReplayStudy, Results
    from .heads import (
        FeCAMHead,
        Head,
        KNNHead,
        LabelPropagationHead,
        LogisticHead,
        MLPHead,
        NearestMeanHead,
        RandomProjectionRidgeHead,
        RidgeHead,
        SLDAHead,
        get_head,
        head_spelling,
        load_head,
        save_head,
    )
    from .index import Index
    from .labelling import LabellingSession
    from .labels import LabelLog, read_labels, write_labels
    from .reports import (
        ReportData,
        comparison_of,
        replay_of,
        report_of,
        write_comparison,
        write_figure,
        write_replay,
        write_replay_figure,
        write_report,
    )
    from .strategies import (
        DiverseStrategy,
        PointPicks,
        Pool,
        Selection,
        Strategy,
        get_strategy,
    )
    from .tracking import Tracker, get_tracker, trackers

    __version__: str

_MODULES = (
    "backbones",
    "checks",
    "continual",
    "datasets",
    "errors",
    "experiments",
    "heads",
    "strategies",
)
_PLACES = {
    "_scripts": ["run_script"],
    "_workspace": ["Workspace"],
    "active": [
        "ActiveLoop",
        "Group",
        "Labelling",
        "Oracle",
        "Prediction",
        "Problem",
        "RoundRecord",
        "SimulatedOracle",
        "area_under_budget_curve",
        "groups",
        "predict",
        "select",
        "train",
    ],
    "backbones": ["Backbone", "ToyBackbone", "get_backbone"],
    "cache": ["Spec", "collect_garbage", "list_specs", "verify"],
    "continual": [
        "ContinualLoop",
        "ExperienceRecord",
        "Policy",
        "Stream",
        "continual_metrics",
        "get_policy",
    ],
    "datasets": ["Dataset", "Item", "corrupted", "load_clear_features", "load_dataset"],
    "embedding": ["EmbedOptions", "EmbedReport", "Embeddings", "embed"],
    "experiments": ["Cell", "Experiment", "ReplayResults", "ReplayStudy", "Results"],
    "heads": [
        "FeCAMHead",
        "Head",
        "KNNHead",
        "LabelPropagationHead",
        "LogisticHead",
        "MLPHead",
        "NearestMeanHead",
        "RandomProjectionRidgeHead",
        "RidgeHead",
        "SLDAHead",
        "get_head",
        "head_spelling",
        "load_head",
        "save_head",
    ],
    "index": ["Index"],
    "labelling": ["LabellingSession"],
    "labels": ["LabelLog", "read_labels", "write_labels"],
    "reports": [
        "ReportData",
        "comparison_of",
        "replay_of",
        "report_of",
        "write_comparison",
        "write_figure",
        "write_replay",
        "write_replay_figure",
        "write_report",
    ],
    "strategies": [
        "DiverseStrategy",
        "PointPicks",
        "Pool",
        "Selection",
        "Strategy",
        "get_strategy",
    ],
    "tracking": ["Tracker", "get_tracker", "trackers"],
}
_WHERE = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "ActiveLoop",
    "Backbone",
    "Cell",
    "ContinualLoop",
    "Dataset",
    "DiverseStrategy",
    "EmbedOptions",
    "EmbedReport",
    "Embeddings",
    "ExperienceRecord",
    "Experiment",
    "FeCAMHead",
    "Group",
    "Head",
    "Index",
    "Item",
    "KNNHead",
    "LabelLog",
    "LabelPropagationHead",
    "Labelling",
    "LabellingSession",
    "LogisticHead",
    "MLPHead",
    "NearestMeanHead",
    "Oracle",
    "PointPicks",
    "Policy",
    "Pool",
    "Prediction",
    "Problem",
    "RandomProjectionRidgeHead",
    "ReplayResults",
    "ReplayStudy",
    "ReportData",
    "Results",
    "RidgeHead",
    "RoundRecord",
    "SLDAHead",
    "Selection",
    "SimulatedOracle",
    "Spec",
    "Strategy",
    "Stream",
    "ToyBackbone",
    "Tracker",
    "Workspace",
    "__version__",
    "area_under_budget_curve",
    "backbones",
    "checks",
    "collect_garbage",
    "comparison_of",
    "continual",
    "continual_metrics",
    "corrupted",
    "datasets",
    "embed",
    "errors",
    "experiments",
    "get_backbone",
    "get_head",
    "get_policy",
    "get_strategy",
    "get_tracker",
    "groups",
    "head_spelling",
    "heads",
    "list_specs",
    "load_clear_features",
    "load_dataset",
    "load_head",
    "predict",
    "read_labels",
    "replay_of",
    "report_of",
    "run_script",
    "save_head",
    "select",
    "strategies",
    "trackers",
    "train",
    "verify",
    "write_comparison",
    "write_figure",
    "write_labels",
    "write_replay",
    "write_replay_figure",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return own_version()
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name in _WHERE:
        return getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
