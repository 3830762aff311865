"""Distances, neighbours and other questions about where vectors lie."""

from .farthest import Farthest, FarthestFirst
from .frame import squared_distances
from .mean import mean_vector, nearest_to_mean
from .nearest import nearest_of_set

__all__ = [
    "Farthest",
    "FarthestFirst",
    "mean_vector",
    "nearest_of_set",
    "nearest_to_mean",
    "squared_distances",
]
