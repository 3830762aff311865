"""Objectives of `combine`: static objectives, changing objectives and thresholds.

To add one, register a frozen dataclass derived from `StaticObjective` or `ChangingObjective`
with ``@objectives.register(name)``.
"""

from ..._deprecated import old_names
from .changing import Balance, Diversity
from .objective import (
    ChangingObjective,
    Objective,
    ObjectiveState,
    StaticObjective,
    objectives,
    read_objective,
)
from .static import (
    EntropyObjective,
    LeastConfidenceObjective,
    MarginObjective,
    Metadata,
    Similarity,
    TargetSimilarity,
    Threshold,
    Typicality,
)

__all__ = [
    "Balance",
    "ChangingObjective",
    "Diversity",
    "EntropyObjective",
    "LeastConfidenceObjective",
    "MarginObjective",
    "Metadata",
    "Objective",
    "ObjectiveState",
    "Similarity",
    "StaticObjective",
    "TargetSimilarity",
    "Threshold",
    "Typicality",
    "objectives",
    "read_objective",
]

__getattr__ = old_names(__name__, {"Standing": "embedpipe.strategies.objectives:ObjectiveState"})
