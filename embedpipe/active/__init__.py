"""The active-learning loop: oracles, rounds, and choosing what to label next."""

from .groups import Group, groups
from .loop import ActiveLoop
from .modes import MODES
from .oracle import Labelling, Oracle, SimulatedOracle
from .problem import Problem
from .records import RoundRecord, area_under_budget_curve
from .runs import RunFolder
from .selecting import select
from .training import Prediction, check_spec, predict, train

__all__ = [
    "MODES",
    "ActiveLoop",
    "Group",
    "Labelling",
    "Oracle",
    "Prediction",
    "Problem",
    "RoundRecord",
    "RunFolder",
    "SimulatedOracle",
    "area_under_budget_curve",
    "check_spec",
    "groups",
    "predict",
    "select",
    "train",
]
