"""By which metric strategies measure distances."""

from __future__ import annotations

__all__ = ["METRIC"]

METRIC = "cosine"
"""The metric of every strategy that measures distances, unless it is given another.

It is that of the heads, which scale rows to unit length.
"""
