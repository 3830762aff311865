"""What tells one set of options from another: every parameter, to the last bit."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from ..errors import RunError

__all__ = ["identity_of"]


def identity_of(value: Any) -> Any:
    """Return plain JSON that two values share only if they mean the same.

    Parameters
    ----------
    value
        A number, text, None, array, or a collection of these; a scikit-learn estimator (its class
        and parameters) or another object (its class and attributes).

    Raises
    ------
    RunError
        For what has no such form, such as a function or a random state.

    Examples
    --------
    >>> from embedpipe.strategies import get_strategy
    >>> identity_of(get_strategy("coreset"))["class"]
    'embedpipe.strategies.coreset.CoreSet'
    """
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype != object:
        array = np.ascontiguousarray(value)
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        return {"array": [str(array.dtype), list(array.shape), digest]}
    if isinstance(value, (list, tuple)):
        return [identity_of(each) for each in value]
    if isinstance(value, dict):
        return [[identity_of(key), identity_of(each)] for key, each in value.items()]
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "get_params"):
        options = value.get_params(deep=False)
    elif hasattr(value, "__dict__") and not callable(value):
        options = vars(value)
    else:
        raise RunError(
            f"a {type(value).__name__} has no identity that a run could be found by again: use "
            "options that are numbers, texts or arrays, or leave out the workspace."
        )
    return {"class": name, "options": {key: identity_of(options[key]) for key in sorted(options)}}
