"""Where all items lie in the plane, for the map of the labelling page."""

from __future__ import annotations

from .projection import Projection

__all__ = ["Projection"]
