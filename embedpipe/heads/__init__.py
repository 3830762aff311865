"""Classifiers on embeddings: scikit-learn estimators that are fitted again every round.

Nothing heavy is loaded until a head is asked for: names and descriptions come without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._base import Head, HeadRegistry, get_head, heads
from .files import load_head, save_head

if TYPE_CHECKING:
    from .logistic import LogisticHead

__all__ = [
    "Head",
    "HeadRegistry",
    "LogisticHead",
    "get_head",
    "heads",
    "load_head",
    "save_head",
]


def __getattr__(name: str) -> Any:
    if name == "LogisticHead":
        return heads["logistic"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
