"""The active-learning loop: problems, oracles, rounds, selection and stopping advice."""

from .._deprecated import old_names
from .expected import ClassAccuracy, ExpectedAccuracy
from .loop import ActiveLoop
from .modes import MODES
from .options import LoopOptions
from .oracle import Oracle, OracleOptions, SimulatedOracle
from .problem import Problem, ProblemIdentity
from .records import RoundRecord, RunFolder, area_under_budget_curve
from .search import SearchResult, search
from .selection import Group, groups, select
from .target import Target
from .train_predict import Accuracy, Prediction, Trained, predict, train, train_head
from .words import text_vectors, zero_shot_prior

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
    "SearchResult",
    "SimulatedOracle",
    "Target",
    "Trained",
    "area_under_budget_curve",
    "groups",
    "predict",
    "search",
    "select",
    "text_vectors",
    "train",
    "train_head",
    "zero_shot_prior",
]

__getattr__ = old_names(__name__, {"Labelling": "embedpipe._options:OracleOptions"})
