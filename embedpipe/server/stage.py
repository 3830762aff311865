"""How far something is that was begun because somebody asked for it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Stage"]


@dataclass(frozen=True)
class Stage:
    """How far it is: whoever asks again later will have it.

    Attributes
    ----------
    doing
        What is being done.
    share
        How much of that is done, from 0 to 1.
    """

    doing: str
    share: float
