"""The active-learning loop: problems, oracles, rounds, selection and stopping advice."""

from .._deprecated import old_names
from .expected import ClassAccuracy, ExpectedAccuracy
from .loop import ActiveLoop
from .modes import MODES
from .options import LoopOptions
from .oracle import Oracle, OracleOptions, SimulatedOracle
from .problem import Problem, ProblemIdentity
from .records import RoundRecord, RunFolder, area_under_budget_curve
from .selection import Group, groups, select
from .target import Target
from .train_predict import Accuracy, Prediction, Trained, check_spec, predict, train, train_head

__all__ = [
    "MODES",
    "Accuracy",
    "ActiveLoop",
    "ClassAccuracy",
    "ExpectedAccuracy",
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
    "Target",
    "Trained",
    "area_under_budget_curve",
    "check_spec",
    "groups",
    "predict",
    "select",
    "train",
    "train_head",
]

__getattr__ = old_names(__name__, {"Labelling": "embedpipe._options:OracleOptions"})
