"""Labelling a dataset with a model that learns from the labels, in the browser or a terminal."""

from __future__ import annotations

from .annotation import AnnotatedRound, Annotation
from .label_state import STATES, Snapshot
from .learner import Model
from .proposals import LabelDoubts, Proposal
from .session import LabellingSession
from .terminal import Person, Question, Terminal

__all__ = [
    "STATES",
    "AnnotatedRound",
    "Annotation",
    "LabelDoubts",
    "LabellingSession",
    "Model",
    "Person",
    "Proposal",
    "Question",
    "Snapshot",
    "Terminal",
]
