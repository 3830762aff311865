"""A head fitted to the labels so far, and what it says of every item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Model"]


@dataclass(frozen=True)
class Model:
    """What was learned from the labels at one moment.

    Attributes
    ----------
    name
        What the label log calls it.
    version
        Id of the last event that it learned from.
    labelled
        How many labels it learned from.
    head
        The fitted classifier.
    classes
        (C,) their names.
    codes
        (n,) the most probable class of each item, as a position in `classes`.
    confidence
        (n,) float32, its probability.
    accuracy, interval
        Cross-validated on the labelled items, and its 95 % interval (Wilson); None where it
        cannot be told. Items that were chosen because they are hard make it lower than it is on
        all items.
    advice
        Whether more labels are worth their while: see `embedpipe.active.stopping.advise`.
    seconds
        How long it took.

    Notes
    -----
    12 bytes per item.
    """

    name: str
    version: int
    labelled: int
    head: Any
    classes: tuple[str, ...]
    codes: NDArray[np.int64]
    confidence: NDArray[np.float32]
    accuracy: float | None
    interval: tuple[float, float] | None
    advice: dict[str, Any]
    seconds: float
