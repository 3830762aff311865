"""The active-learning loop: oracles, rounds, and choosing what to label next."""

from .groups import Group, groups
from .loop import ActiveLoop
from .modes import MODES
from .options import LoopOptions
from .oracle import Labelling, Oracle, SimulatedOracle
from .problem import Problem, ProblemIdentity
from .records import RoundRecord, area_under_budget_curve
from .runs import RunFolder
from .selecting import select
from .training import Accuracy, Prediction, Trained, check_spec, predict, train, train_head

__all__ = [
    "MODES",
    "Accuracy",
    "ActiveLoop",
    "Group",
    "Labelling",
    "LoopOptions",
    "Oracle",
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
