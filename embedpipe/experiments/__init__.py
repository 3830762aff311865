"""Grids of runs: every strategy on every dataset, with many seeds, and honest statistics."""

from . import statistics
from .cell import Cell, Setting
from .experiment import Experiment
from .progress import Progress
from .replay import ReplayCell, ReplaySetting, ReplayStudy
from .replay_results import ReplayResults, ReplaySummary
from .results import Failure, Results

__all__ = [
    "Cell",
    "Experiment",
    "Failure",
    "Progress",
    "ReplayCell",
    "ReplayResults",
    "ReplaySetting",
    "ReplayStudy",
    "ReplaySummary",
    "Results",
    "Setting",
    "statistics",
]
