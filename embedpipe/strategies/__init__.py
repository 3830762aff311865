"""Which items to label next.

A strategy takes a `Pool` and gives a `Selection`. To add one, write a file with a subclass of
`Strategy` under ``@register("name")`` and import it below.
"""

from .base import Selection, Strategy, get_strategy, strategies
from .coral import Coral
from .coreset import CoreSet
from .diverse import DiverseStrategy, PointPicks
from .entropy import Entropy
from .least_confidence import LeastConfidence
from .margin import Margin
from .pool import Pool
from .random import Random

register = strategies.register

__all__ = [
    "Coral",
    "CoreSet",
    "DiverseStrategy",
    "Entropy",
    "LeastConfidence",
    "Margin",
    "PointPicks",
    "Pool",
    "Random",
    "Selection",
    "Strategy",
    "get_strategy",
    "register",
    "strategies",
]
