"""What `combine` multiplies: fixed objectives, changing ones, and thresholds.

To add one, write a frozen dataclass that derives from `StaticObjective` or `ChangingObjective`
under ``@objectives.register(name)``.
"""

from .changing import Balance, Diversity
from .objective import (
    ChangingObjective,
    Objective,
    Standing,
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
    "Similarity",
    "Standing",
    "StaticObjective",
    "Threshold",
    "Typicality",
    "objectives",
    "read_objective",
]
