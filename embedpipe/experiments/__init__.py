"""Grids of runs: every strategy on every dataset with many seeds, and their statistics."""

from . import statistics
from .cells import Cell, ReplayCell, ReplaySetting, Setting
from .experiment import Experiment
from .replay import ReplayStudy
from .replay_results import ReplayResults, ReplaySummary
from .results import Results
from .study import Failure, Progress
from .summary import Summary

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
    "Summary",
    "statistics",
]
