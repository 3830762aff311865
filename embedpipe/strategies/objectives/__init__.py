"""What `combine` multiplies: one objective a file.

To add one, write a frozen dataclass that derives from `StaticObjective` or `ChangingObjective`
under ``@objectives.register(name)``.
"""

from .balance import Balance
from .base import ChangingObjective, Objective, Standing, StaticObjective, objectives
from .diversity import Diversity
from .metadata import Metadata
from .reading import read_objective
from .similarity import Similarity
from .threshold import Threshold
from .typicality import Typicality
from .uncertain import EntropyObjective, LeastConfidenceObjective, MarginObjective

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
