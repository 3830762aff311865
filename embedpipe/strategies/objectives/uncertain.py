"""Uncertain to the head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..parts.predictions import uncertainty_of
from ..parts.uncertainty import UNCERTAINTIES
from ..pool import Pool
from .base import Float64s, StaticObjective, objectives

__all__ = ["EntropyObjective", "LeastConfidenceObjective", "MarginObjective", "UncertainObjective"]


@dataclass(frozen=True)
class UncertainObjective(StaticObjective):
    """One of `UNCERTAINTIES`, by the name of the objective: from 0 (certain) to 1."""

    needs_labels: ClassVar[bool] = True

    def measure(self, pool: Pool) -> Float64s:
        """Return the uncertainty of each unlabelled row: (u,), in [0, 1]."""
        return uncertainty_of(pool, UNCERTAINTIES[self.name])  # (u,)


@objectives.register("margin")
@dataclass(frozen=True)
class MarginObjective(UncertainObjective):
    """Uncertain to the head: its two likeliest classes are close.

    Examples
    --------
    >>> MarginObjective(strength=2).label
    'margin'
    """

    name: ClassVar[str] = "margin"


@objectives.register("least_confidence")
@dataclass(frozen=True)
class LeastConfidenceObjective(UncertainObjective):
    """Uncertain to the head: its likeliest class has a low probability."""

    name: ClassVar[str] = "least_confidence"


@objectives.register("entropy")
@dataclass(frozen=True)
class EntropyObjective(UncertainObjective):
    """Uncertain to the head: its probabilities are spread over many classes."""

    name: ClassVar[str] = "entropy"
