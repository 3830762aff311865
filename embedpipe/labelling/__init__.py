"""People label a dataset, and a head learns along: what the page and the terminal share."""

from __future__ import annotations

from .model import Model
from .proposals import Proposal
from .session import LabellingSession
from .snapshot import STATES, Snapshot

__all__ = ["STATES", "LabellingSession", "Model", "Proposal", "Snapshot"]
