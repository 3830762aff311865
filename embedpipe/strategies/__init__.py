"""Strategies: rules that select which items to label next.

A strategy takes a `Pool` and returns a `Selection`. `random` is the shortest example.
"""

from .._deprecated import old_names
from .alfamix import AlfaMix
from .auto import Auto
from .badge import Badge
from .bald import Bald, PowerBald
from .centroid import Centroid
from .cluster_margin import ClusterMargin
from .combine import Combine
from .coral import Coral
from .coreset import CoreSet, RobustCoreSet
from .doubtful_coverage import DoubtfulCoverage
from .dropquery import DropQuery
from .facility_location import FacilityLocation
from .galaxy import Galaxy
from .herding import MaxHerding, UncertaintyHerding
from .logdet_bald import LogdetBald
from .pool import Pool
from .probcover import ProbCover
from .query_by_committee import QueryByCommittee
from .random import Random
from .refine import Refine
from .strategy import DiverseStrategy, Selection, Strategy, UniquePicks, get_strategy, strategies
from .typiclust import TypiClust
from .uncertainty_sampling import Entropy, LeastConfidence, Margin

register = strategies.register

__all__ = [
    "AlfaMix",
    "Auto",
    "Badge",
    "Bald",
    "Centroid",
    "ClusterMargin",
    "Combine",
    "Coral",
    "CoreSet",
    "DiverseStrategy",
    "DoubtfulCoverage",
    "DropQuery",
    "Entropy",
    "FacilityLocation",
    "Galaxy",
    "LeastConfidence",
    "LogdetBald",
    "Margin",
    "MaxHerding",
    "Pool",
    "PowerBald",
    "ProbCover",
    "QueryByCommittee",
    "Random",
    "Refine",
    "RobustCoreSet",
    "Selection",
    "Strategy",
    "TypiClust",
    "UncertaintyHerding",
    "UniquePicks",
    "get_strategy",
    "register",
    "strategies",
]

__getattr__ = old_names(
    __name__,
    {
        "PointPicks": "embedpipe.strategies:UniquePicks",
        "spelling_of": "embedpipe._specs:format_spec",
    },
)
