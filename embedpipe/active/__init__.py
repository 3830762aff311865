"""The active-learning loop: oracles, rounds, and choosing what to label next."""

import warnings
from typing import Any

from .loop import ActiveLoop
from .modes import MODES
from .options import LoopOptions
from .oracle import Oracle, OracleOptions, SimulatedOracle
from .problem import Problem, ProblemIdentity
from .records import RoundRecord, RunFolder, area_under_budget_curve
from .selecting import Group, groups, select
from .train_predict import Accuracy, Prediction, Trained, check_spec, predict, train, train_head

__all__ = [
    "MODES",
    "Accuracy",
    "ActiveLoop",
    "Group",
    "LoopOptions",
    "Oracle",
    "OracleOptions",
    "Prediction",
    "Problem",
    "ProblemIdentity",
    "RoundRecord",
    "RunFolder",
    "SimulatedOracle",
    "Trained",
    "area_under_budget_curve",
    "check_spec",
    "groups",
    "predict",
    "select",
    "train",
    "train_head",
]


def __getattr__(name: str) -> Any:
    if name == "Labelling":
        warnings.warn("`Labelling` is now `OracleOptions`.", DeprecationWarning, stacklevel=2)
        return OracleOptions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
