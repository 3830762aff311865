"""The head that a run trains."""

from __future__ import annotations

from typing import Any

from .._seeds import seeded
from ..heads import get_head

__all__ = ["run_head"]


def run_head(given: Any, seed: int) -> Any:
    """Return an unfitted head whose randomness follows from the seed of a run.

    Parameters
    ----------
    given
        A spec string, such as ``"mlp(hidden=64)"``, or a classifier, which stays as it is.
    seed
        Of the run. A seed that the spec or the classifier names itself is kept.

    Raises
    ------
    UsageError
        As `get_head`.

    Examples
    --------
    >>> run_head("mlp(hidden=8)", 3), run_head("mlp(hidden=8, seed=7)", 3)
    (MLPHead(hidden=8, seed=3), MLPHead(hidden=8, seed=7))
    """
    return seeded(get_head(given) if isinstance(given, str) else given, seed)
