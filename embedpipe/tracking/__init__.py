"""Experiment trackers; off by default, with local files only."""

from __future__ import annotations

from .mlflow import MLflowTracker
from .tensorboard import TensorBoardTracker
from .tracker import Tracker, get_tracker, trackers
from .wandb import WandbTracker

__all__ = [
    "MLflowTracker",
    "TensorBoardTracker",
    "Tracker",
    "WandbTracker",
    "get_tracker",
    "trackers",
]
