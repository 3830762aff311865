"""Far from what is labelled or picked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ...errors import UsageError
from ...index import check_metric
from ..parts.metric import METRIC
from .base import Objective, objectives

__all__ = ["Diversity"]


@objectives.register("diversity")
@dataclass(frozen=True)
class Diversity(Objective):
    """Far from every labelled or picked item: the distance to the nearest one.

    It changes with every pick; `combine` measures it, exactly, with the search that ``coreset``
    and ``coral`` use.

    Parameters
    ----------
    min_distance
        Nothing nearer than this to a labelled or picked item is picked, and the selection ends
        early when nothing else is left. In the unit of the metric. Default: no limit.
    metric
        ``"cosine"``: distances are between vectors scaled to unit length, as most heads see them,
        and lie between 0 and 2; ``"euclidean"``: between vectors as they are.
    strength
        The power that the distance is raised to, above 0.

    Examples
    --------
    >>> Diversity(strength=2, min_distance=0.1).label
    'diversity(min_distance=0.1)'
    """

    name: ClassVar[str] = "diversity"

    min_distance: float | None = None
    metric: str = METRIC

    def __post_init__(self) -> None:
        super().__post_init__()
        check_metric(self.metric)
        least = self.min_distance
        if least is not None and not (math.isfinite(least) and least > 0):
            raise UsageError(f"min_distance is {least!r}: give a number above 0, or leave it out.")
