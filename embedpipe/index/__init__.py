"""Distances, neighbours, clusters and duplicates of vectors."""

from .._deprecated import old_names
from .centres import nearest_in_set, nearest_of_set
from .clusters import Clusters, kmeans
from .distances import between, mean_vector, nearest_to_mean, squared_distances
from .duplicates import distinct_rows
from .farthest import Farthest, FarthestFirst
from .index import Index, check_kind
from .neighbours import Neighbours
from .radius_neighbors import RadiusNeighbors
from .sampling import DistanceSampler, Drawn
from .sharded_matrix import ShardedMatrix
from .vectors import METRICS, UnitRows, check_metric, vectors_of

__all__ = [
    "METRICS",
    "Clusters",
    "DistanceSampler",
    "Drawn",
    "Farthest",
    "FarthestFirst",
    "Index",
    "Neighbours",
    "RadiusNeighbors",
    "ShardedMatrix",
    "UnitRows",
    "between",
    "check_kind",
    "check_metric",
    "distinct_rows",
    "kmeans",
    "mean_vector",
    "nearest_in_set",
    "nearest_of_set",
    "nearest_to_mean",
    "squared_distances",
    "vectors_of",
]

__getattr__ = old_names(__name__, {"Balls": "embedpipe.index:RadiusNeighbors"})
