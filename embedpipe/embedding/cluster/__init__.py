"""Embedding on a Ray cluster: actors read, hash, decode and embed shards of the images."""

from .executor import RayExecutor
from .fill_only import FillCounts, fill_only

__all__ = ["FillCounts", "RayExecutor", "fill_only"]
