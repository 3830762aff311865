"""Seeds of runs and of scikit-learn estimators."""

from __future__ import annotations

import copy
from numbers import Integral
from typing import Any

from .errors import UsageError

__all__ = ["check_seed", "random_parameters", "seeded"]

NAMES = ("random_state", "seed", "random_seed")
"""Names of seed parameters in several libraries."""

SEEDS = 2**32
"""Exclusive upper limit of scikit-learn's seeds."""


def check_seed(seed: Any) -> int:
    """Return a seed as a plain int; raise UsageError if it is negative or not a whole number."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or int(seed) < 0:
        raise UsageError(f"seed must be a whole number, at least 0; got {seed!r}.")
    return int(seed)


def random_parameters(estimator: Any) -> list[str]:
    """Return the seed parameters of an estimator and its nested estimators, sorted.

    Examples
    --------
    >>> from sklearn.ensemble import BaggingClassifier
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> random_parameters(BaggingClassifier(DecisionTreeClassifier()))
    ['estimator__random_state', 'random_state']
    """
    known = estimator.get_params()
    return sorted(name for name in known if name.rpartition("__")[2] in NAMES)


def seeded(estimator: Any, seed: int) -> Any:
    """Return an unfitted copy of an estimator, with `seed` in place of random states that are None.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> seeded(DecisionTreeClassifier(), 3), seeded(DecisionTreeClassifier(random_state=7), 3)
    (DecisionTreeClassifier(random_state=3), DecisionTreeClassifier(random_state=7))
    """
    from sklearn.base import clone

    own = check_seed(seed) % SEEDS
    fresh = clone(estimator)
    known = fresh.get_params()
    changes: dict[str, Any] = {
        name: own for name in random_parameters(fresh) if known[name] is None
    }
    for name, value in known.items():
        if _splits_at_random(value):
            changes[name] = copy.copy(value)
            changes[name].random_state = own
    return fresh.set_params(**changes)


def _splits_at_random(value: Any) -> bool:
    """Return whether a parameter is a shuffled splitter, such as `KFold`, without a seed."""
    if isinstance(value, type) or hasattr(value, "get_params"):
        return False
    return getattr(value, "random_state", 0) is None and bool(getattr(value, "shuffle", True))
